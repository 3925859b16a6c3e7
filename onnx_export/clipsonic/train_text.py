"""Teach the text tower where the sound space puts a sentence (distillation from a sentence encoder)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.text_tower import TextTower, TextTowerSize, tokenize
from onnx_export.training import Average, Checkpoint, Schedule, precision, run_steps, step_optimiser

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TextTraining:
    """How the tower is taught."""

    steps: int = 6_000
    batch: int = 256
    learning_rate: float = 1e-3
    likeness_weight: float = 5.0
    """Weight of the error between the batch's matrix of cosines and the teacher's."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts of one kind with the vectors (n, n_embedding) they should get, and their share of every batch."""

    texts: Sequence[str]
    vectors: np.ndarray
    share: float


def tower_loss(made: torch.Tensor, wanted: torch.Tensor, likeness_weight: float) -> torch.Tensor:
    """One minus the cosine, and the error of all cosines between sentences (Park et al. 2019)."""
    angle = (1 - (made * wanted).sum(-1)).mean()
    likeness = functional.mse_loss(made @ made.T, wanted @ wanted.T)
    return angle + likeness_weight * likeness


class Sentences:
    """Batches drawn from the lessons, tokenised once."""

    def __init__(self, lessons: Sequence[Lesson], training: TextTraining, context_length: int):
        self.lessons, self.training = lessons, training
        self.tokens = [tokenize(list(lesson.texts), context_length).numpy().astype(np.int32) for lesson in lessons]
        self.rng = np.random.default_rng()

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (batch, longest) and vectors (batch, n_embedding)."""
        rows = []
        for lesson, tokens in zip(self.lessons, self.tokens, strict=True):
            chosen = self.rng.integers(0, len(tokens), round(self.training.batch * lesson.share))
            rows += [(tokens[i], lesson.vectors[i]) for i in chosen]
        longest = max(int((ids != 0).sum()) for ids, _ in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        for row, (tokens, _) in enumerate(rows):
            part = tokens[:longest]
            ids[row, : len(part)] = part
        return torch.from_numpy(ids), torch.from_numpy(np.stack([vector for _, vector in rows]).astype(np.float32))


def train_text(
    lessons: Sequence[Lesson],
    word_vectors: np.ndarray,
    size: TextTowerSize,
    training: TextTraining,
    path: Path,
    device: torch.device,
) -> None:
    """Train until `training.steps`, going on from `path` where it exists."""
    tower = TextTower(size)
    tower.start_from_words(word_vectors)
    tower.to(device)
    average = Average(tower, 0.998)
    optimiser = torch.optim.AdamW(tower.parameters(), lr=training.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    sentences = Sentences(lessons, training, size.context_length)
    checkpoint = Checkpoint(path, {"model": tower, "average": average, "optimiser": optimiser})

    def do_step(step: int) -> dict[str, float]:
        ids, wanted = (part.to(device) for part in sentences.draw())
        with precision(device):
            made = tower(ids)
        cosine = float((made.detach() * wanted).sum(-1).mean())
        step_optimiser(optimiser, tower_loss(made, wanted, training.likeness_weight), tower.parameters())
        average.update(tower)
        return {"cosine": cosine}

    run_steps(checkpoint, [optimiser], Schedule(training.steps, training.learning_rate), do_step)
