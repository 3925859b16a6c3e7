"""Teach the text tower where the sound space puts a sentence (distillation from a sentence encoder)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize, tokenize
from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, precision, run_steps, step_optimiser

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
class DistillationSet:
    """Texts of one kind with the vectors (n, n_embedding) they should get, and their share of every batch."""

    texts: Sequence[str]
    vectors: np.ndarray
    share: float


def tower_loss(made: torch.Tensor, wanted: torch.Tensor, likeness_weight: float) -> torch.Tensor:
    """One minus the cosine, and the error of all cosines between sentences (Park et al. 2019)."""
    angle = (1 - (made * wanted).sum(-1)).mean()
    likeness = functional.mse_loss(made @ made.T, wanted @ wanted.T)
    return angle + likeness_weight * likeness


LENGTH_CAPS = (8, 12, 18, 32)
"""Most tokens of a text in a batch: batches of short texts are cheap, and prompts are short."""


class Sentences:
    """Batches drawn from the lessons, tokenised once. Texts longer than the last cap are left out."""

    def __init__(self, lessons: Sequence[DistillationSet], training: TextTraining, context_length: int):
        self.training = training
        self.shares = [lesson.share for lesson in lessons]
        self.rng = np.random.default_rng()
        self.rows = []
        for lesson in lessons:
            tokens = tokenize(list(lesson.texts), context_length).numpy()
            lengths = (tokens != 0).sum(axis=1)
            order = np.argsort(lengths, kind="stable")
            ids = np.zeros((len(tokens), LENGTH_CAPS[-1]), np.int32)
            width = min(tokens.shape[1], LENGTH_CAPS[-1])
            ids[:, :width] = tokens[:, :width]
            ends = [int(np.searchsorted(lengths[order], cap, "right")) for cap in LENGTH_CAPS]
            self.rows.append((ids[order], lesson.vectors[order].astype(np.float16), ends))

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (batch, longest) and vectors (batch, n_embedding)."""
        level = self.rng.integers(len(LENGTH_CAPS))
        parts = []
        for share, (ids, vectors, ends) in zip(self.shares, self.rows, strict=True):
            if ends[level]:
                chosen = self.rng.integers(0, ends[level], round(self.training.batch * share))
                parts.append((ids[chosen], vectors[chosen]))
        ids, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
        longest = int((ids != 0).sum(axis=1).max())
        return torch.from_numpy(ids[:, :longest].astype(np.int64)), torch.from_numpy(vectors.astype(np.float32))


def train_text(
    lessons: Sequence[DistillationSet],
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
    average = EMA(tower, 0.998)
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
