"""Train the text tower on the embeddings that a sentence encoder's become in the sound space (distillation)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize, tokenize
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, precision, run_steps, step_optimiser
from onnx_export.training.run import TrainingRun


@dataclass(frozen=True, slots=True)
class TextTraining:
    """Hyperparameters of the text tower's training."""

    steps: int = 6_000
    batch: int = 256
    learning_rate: float = 1e-3
    similarity_weight: float = 5.0
    """Weight of the error between the batch's matrix of cosines and the teacher's."""


@dataclass(frozen=True, slots=True)
class DistillationSet:
    """Texts of one kind with the vectors (n, n_embedding) they should get, and their share of every batch."""

    texts: Sequence[str]
    vectors: np.ndarray
    share: float


def distillation_losses(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of one minus the cosine, and the error of all cosines between sentences (Park et al. 2019).

    Both arguments are unit vectors (batch, n_embedding).
    """
    distance = (1 - (outputs * targets).sum(-1)).mean()
    return distance, functional.mse_loss(outputs @ outputs.T, targets @ targets.T)


MAX_TOKENS = (8, 12, 18, 32)
"""Most tokens of a text in a batch: batches of short texts are cheap, and prompts are short."""


class DistillationBatches:
    """Batches drawn from several sets, tokenised once. Texts longer than the last of MAX_TOKENS are left out."""

    def __init__(self, sets: Sequence[DistillationSet], training: TextTraining, context_length: int):
        self.training = training
        self.shares = [part.share for part in sets]
        self.rows = [self._sorted_by_length(part, context_length) for part in sets]

    @staticmethod
    def _sorted_by_length(part: DistillationSet, context_length: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Return ids (n, 32) and vectors, short texts first, and how many texts fit each of MAX_TOKENS."""
        tokens = tokenize(list(part.texts), context_length).numpy()
        lengths = (tokens != 0).sum(axis=1)
        order = np.argsort(lengths, kind="stable")
        ids = np.zeros((len(tokens), MAX_TOKENS[-1]), np.int32)
        width = min(tokens.shape[1], MAX_TOKENS[-1])
        ids[:, :width] = tokens[:, :width]
        ends = [int(np.searchsorted(lengths[order], limit, "right")) for limit in MAX_TOKENS]
        return ids[order], part.vectors[order].astype(np.float16), ends

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw ids (batch, longest text) and vectors (batch, n_embedding)."""
        level = rng.integers(len(MAX_TOKENS))
        parts = []
        for share, (ids, vectors, ends) in zip(self.shares, self.rows, strict=True):
            if ends[level]:
                chosen = rng.integers(0, ends[level], round(self.training.batch * share))
                parts.append((ids[chosen], vectors[chosen]))
        ids, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
        longest = int((ids != 0).sum(axis=1).max())
        return torch.from_numpy(ids[:, :longest].astype(np.int64)), torch.from_numpy(vectors.astype(np.float32))


def train_text(
    sets: Sequence[DistillationSet],
    word_vectors: np.ndarray,
    size: TextTowerSize,
    training: TextTraining,
    run: TrainingRun,
) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    There is no validation: texts are not split, since every label has to be known.

    Args:
        sets: The texts and their targets.
        word_vectors: The teacher's vector for each token of CLIP's vocabulary, (vocab_size, n), to begin with.
        size: Shape of the network.
        training: Hyperparameters.
        run: Where and how it is trained.
    """
    seed = run.start_seed()
    tower = TextTower(size)
    tower.start_from_words(word_vectors)
    tower.to(run.device)
    ema = EMA(tower, 0.998)
    optimiser = torch.optim.AdamW(tower.parameters(), lr=training.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    batches = DistillationBatches(sets, training, size.context_length)
    parts: dict[str, Stateful] = {"model": tower, "average": ema, "optimiser": optimiser}
    checkpoint = Checkpoint(run.path, parts, CheckpointMetadata(seed=seed))

    def do_step(_: int, rng: np.random.Generator) -> dict[str, float]:
        ids, targets = (part.to(run.device) for part in batches.draw(rng))
        with precision(run.device):
            outputs = tower(ids)
        distance, similarity = distillation_losses(outputs, targets)
        step_optimiser(optimiser, distance + training.similarity_weight * similarity, tower.parameters())
        ema.update(tower)
        return {"cosine": 1 - float(distance.detach()), "similarity": float(similarity.detach())}

    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    run_steps(checkpoint, [optimiser], schedule, do_step, None, run.intervals)
