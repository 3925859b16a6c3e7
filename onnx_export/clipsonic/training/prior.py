"""Train a diffusion prior on pairs of words and pictures that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from onnx_export.clipsonic.models.prior import Prior, PriorSize
from onnx_export.training.checkpoint import Checkpoint, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, run_steps, step_optimiser
from plugin_server.engine.sampling.prior import alphas_cumprod


@dataclass(frozen=True, slots=True)
class PriorTraining:
    """How a prior is taught."""

    steps: int = 3000
    batch: int = 256
    learning_rate: float = 5e-4
    drop_words: float = 0.1
    """Share of pairs without their words, for guidance."""
    spread: float = 0.3
    """Largest length of the noise added to the words' embedding, so that a neighbourhood is learnt."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Words and pictures in parts that belong together: any of a part's words with any of its pictures."""

    words: Sequence[np.ndarray]
    """Of each part, unit vectors (n, size)."""
    pictures: Sequence[np.ndarray]
    """Of each part, unit vectors (m, size)."""
    weights: np.ndarray
    """Share of each part in a batch, (parts,), summing to one."""

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (n, size) of words and of pictures."""
        parts = rng.choice(len(self.words), n, p=self.weights)
        drawn = [(rng.choice(self.words[i]), rng.choice(self.pictures[i])) for i in parts]
        words, pictures = (np.stack(rows).astype(np.float32) for rows in zip(*drawn, strict=True))
        return words, pictures

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the pictures' numbers, float32 (size,) each."""
        rows = np.concatenate(list(self.pictures))
        return rows.mean(axis=0), rows.std(axis=0)


def train_prior(
    pairs: Pairs, size: PriorSize, training: PriorTraining, path: Path, device: torch.device, embedding: str
) -> None:
    """Train until `training.steps`, going on from `path` where it exists."""
    rng = np.random.default_rng()
    prior = Prior(size)
    for buffer, numbers in zip((prior.mean, prior.std), pairs.statistics(), strict=True):
        buffer.copy_(torch.from_numpy(numbers))
    prior.to(device).train()
    average = EMA(prior, 0.998)
    optimiser = torch.optim.AdamW(prior.network.parameters(), lr=training.learning_rate, weight_decay=0.05)
    kept = torch.from_numpy(alphas_cumprod(size.levels)).float().to(device)
    parts: dict[str, Stateful] = {"model": prior, "average": average, "optimiser": optimiser}
    checkpoint = Checkpoint(path, parts, {"embedding": embedding})

    def do_step(step: int) -> dict[str, float]:
        words, pictures = pairs.draw(training.batch, rng)
        words = _spread(words, training, rng)
        clean = (torch.from_numpy(pictures).to(device) - prior.mean) / prior.std
        level = torch.randint(size.levels, (len(clean),), device=device)
        left = kept[level][:, None]
        noised = left.sqrt() * clean + (1 - left).sqrt() * torch.randn_like(clean)
        estimate = prior(noised, level.float(), torch.from_numpy(words).to(device))
        loss = ((estimate - clean) ** 2).mean()
        value = step_optimiser(optimiser, loss, prior.network.parameters())
        average.update(prior)
        return {"loss": value}

    run_steps(checkpoint, [optimiser], Schedule(training.steps, training.learning_rate), do_step, log_every=200)


def _spread(words: np.ndarray, training: PriorTraining, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(words.shape)
    far = training.spread * rng.random((len(words), 1))
    moved = words + far * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return (moved * (rng.random((len(words), 1)) >= training.drop_words)).astype(np.float32)
