"""Train a diffusion prior on pairs of words and pictures that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from onnx_export.clipsonic.models.prior import Prior, PriorSize
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, run_steps, step_optimiser
from onnx_export.training.run import Intervals, TrainingRun
from plugin_server.engine.sampling.prior import alphas_cumprod


@dataclass(frozen=True, slots=True)
class PriorTraining:
    """Hyperparameters of a prior's training."""

    steps: int = 3000
    batch: int = 256
    learning_rate: float = 5e-4
    condition_dropout: float = 0.1
    """Share of pairs without their words, for classifier-free guidance."""
    embedding_noise: float = 0.3
    """Largest length of the noise added to the words' embedding, so that a neighbourhood is learnt."""


@dataclass(frozen=True, slots=True)
class EmbeddingPairs:
    """Embeddings of words and of pictures in groups: any words of a group belong with any of its pictures."""

    words: Sequence[np.ndarray]
    """Unit vectors (n, size) of each group."""
    pictures: Sequence[np.ndarray]
    """Unit vectors (m, size) of each group."""
    weights: np.ndarray
    """Share of each group in a batch, (groups,), summing to one."""

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw embeddings (n, size) of words and of pictures."""
        groups = rng.choice(len(self.words), n, p=self.weights)
        drawn = [(rng.choice(self.words[i]), rng.choice(self.pictures[i])) for i in groups]
        words, pictures = (np.stack(rows).astype(np.float32) for rows in zip(*drawn, strict=True))
        return words, pictures

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and deviation of the pictures' numbers, float32 (size,) each."""
        rows = np.concatenate(list(self.pictures))
        return rows.mean(axis=0), rows.std(axis=0)


def train_prior(
    pairs: EmbeddingPairs,
    size: PriorSize,
    training: PriorTraining,
    run: TrainingRun,
    embedding: str,
    held_out: EmbeddingPairs | None = None,
) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    Args:
        pairs: The words and pictures to train on.
        size: Shape of the network.
        training: Hyperparameters.
        run: Where and how it is trained.
        embedding: Name of the space of both, stored with the weights.
        held_out: Pairs for validation, where there are any.
    """
    seed = run.start_seed()
    prior = Prior(size)
    for buffer, values in zip((prior.mean, prior.std), pairs.statistics(), strict=True):
        buffer.copy_(torch.from_numpy(values))
    prior.to(run.device).train()
    ema = EMA(prior, 0.998)
    optimiser = torch.optim.AdamW(prior.network.parameters(), lr=training.learning_rate, weight_decay=0.05)
    parts: dict[str, Stateful] = {"model": prior, "average": ema, "optimiser": optimiser}
    checkpoint = Checkpoint(run.path, parts, CheckpointMetadata(embedding, seed=seed))

    def do_step(_: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        value = step_optimiser(optimiser, prior_loss(prior, pairs, training, rng), prior.network.parameters())
        ema.update(prior)
        return {"loss": value}

    def validate(rng: np.random.Generator) -> dict[str, float]:
        assert held_out is not None
        with evaluating(prior):
            return {"loss": float(prior_loss(prior, held_out, training, rng))}

    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    intervals = run.intervals or Intervals(log=200)
    run_steps(checkpoint, [optimiser], schedule, do_step, validate if held_out else None, intervals)


def prior_loss(prior: Prior, pairs: EmbeddingPairs, training: PriorTraining, rng: np.random.Generator) -> torch.Tensor:
    """Return the squared error of the clean picture embedding on one batch, at noise levels drawn evenly."""
    device, levels = prior.mean.device, prior.size.levels
    words, pictures = pairs.draw(training.batch, rng)
    words = augment_words(words, training, rng)
    clean = (torch.from_numpy(pictures).to(device) - prior.mean) / prior.std
    timesteps = torch.randint(levels, (len(clean),), device=device)
    signal = torch.from_numpy(alphas_cumprod(levels)).float().to(device)[timesteps][:, None]
    noised = signal.sqrt() * clean + (1 - signal).sqrt() * torch.randn_like(clean)
    estimate = prior(noised, timesteps.float(), torch.from_numpy(words).to(device))
    return ((estimate - clean) ** 2).mean()


def augment_words(words: np.ndarray, training: PriorTraining, rng: np.random.Generator) -> np.ndarray:
    """Move embeddings (n, size) at random, keep them at unit length, and replace a share of them by zeros."""
    noise = rng.standard_normal(words.shape)
    lengths = training.embedding_noise * rng.random((len(words), 1))
    moved = words + lengths * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return (moved * (rng.random((len(words), 1)) >= training.condition_dropout)).astype(np.float32)
