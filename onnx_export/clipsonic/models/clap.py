"""A small contrastive model of words and sounds (after CLAP, Wu et al. 2023): the condition of CLAP-TTA.

Words are read by the text tower, which stays as it is, and moved by a head of their own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.text_tower import TextTower
from onnx_export.clipsonic.training.conditioning import ByLabel
from onnx_export.data.sounds import Cache
from onnx_export.training.loop import Average, Checkpoint, Schedule, run_steps, step_optimiser

EMBEDDING = "clipsonic-clap-384"


@dataclass(frozen=True, slots=True)
class ClapSize:
    """Shape of the networks."""

    n_embedding: int = 384
    n_mels: int = 128
    width: int = 256
    depth: int = 4
    """Stages, each of which halves the number of frames."""


@dataclass(frozen=True, slots=True)
class ClapTraining:
    """How it is taught."""

    steps: int = 1500
    batch: int = 96
    learning_rate: float = 1e-3
    frames: int = 216
    """2.5 s at 44,100 Hz."""
    temperature: float = 12.0


class WordHead(nn.Module):
    """Text embeddings (batch, n) to where their sounds are, unit vectors (batch, n)."""

    def __init__(self, size: ClapSize):
        super().__init__()
        n = size.n_embedding
        self.move = nn.Sequential(nn.Linear(n, 2 * n), nn.GELU(), nn.Dropout(0.2), nn.Linear(2 * n, n))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return functional.normalize(embedding + self.move(embedding * embedding.shape[1] ** 0.5), dim=-1)


class SoundHead(nn.Module):
    """Normalised log-mels (batch, n_mels, frames) to unit vectors (batch, n)."""

    def __init__(self, size: ClapSize):
        super().__init__()
        stages, before = [], size.n_mels
        for _ in range(size.depth):
            stages += [nn.Conv1d(before, size.width, 5, 2, 2), nn.GroupNorm(8, size.width), nn.GELU()]
            before = size.width
        self.stages = nn.Sequential(*stages)
        self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * size.width, size.n_embedding))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        h = self.stages(mel)
        return functional.normalize(self.out(torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1)), dim=-1)


class Clap(nn.Module):
    """Both heads."""

    def __init__(self, size: ClapSize):
        super().__init__()
        self.size = size
        self.words, self.sounds = WordHead(size), SoundHead(size)


class ClapTextTower(nn.Module):
    """Token ids (batch, context) to unit vectors: what takes the text tower's place in a bundle."""

    def __init__(self, tower: TextTower, clap: Clap):
        super().__init__()
        self.tower, self.head, self.size = tower, clap.words, tower.size

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.tower(tokens))


def contrast(words: torch.Tensor, sounds: torch.Tensor, same: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross entropy both ways (Radford et al. 2021); pairs of one label, `same` (batch, batch), are all right answers
    (Khosla et al. 2020)."""
    logits = temperature * words @ sounds.T
    wanted = same.float()
    by_words, by_sounds = (
        -(functional.log_softmax(way, dim=1) * wanted).sum(1).div(wanted.sum(1)).mean() for way in (logits, logits.T)
    )
    return by_words + by_sounds


def train_clap(
    cache: Cache, words: ByLabel, size: ClapSize, training: ClapTraining, path: Path, device: torch.device
) -> None:
    """Train until `training.steps`, going on from `path` where it exists. `words` are the text tower's."""
    clap = Clap(size).to(device).train()
    average = Average(clap, 0.995)
    optimiser = torch.optim.AdamW(clap.parameters(), lr=training.learning_rate, weight_decay=0.1)
    checkpoint = Checkpoint(path, {"model": clap, "average": average, "optimiser": optimiser}, {"embedding": EMBEDDING})
    rng = np.random.default_rng()
    indices = np.array([i for i in cache.indices("train") if words.covers(i)])
    _, label_of, counts = np.unique([words.labels[i] for i in indices], return_inverse=True, return_counts=True)
    odds = counts[label_of] ** -0.5
    odds /= odds.sum()

    def do_step(step: int) -> dict[str, float]:
        rows = rng.choice(len(indices), training.batch, p=odds)
        said = np.stack([words.draw(int(indices[row]), rng) for row in rows])
        heard = np.stack([crop(cache.mel(int(indices[row])), training.frames, rng) for row in rows])
        label = torch.from_numpy(label_of[rows]).to(device)
        made = clap.words(torch.from_numpy(said.astype(np.float32)).to(device))
        loss = contrast(
            made, clap.sounds(torch.from_numpy(heard).to(device)), label[:, None] == label, training.temperature
        )
        value = step_optimiser(optimiser, loss, clap.parameters())
        average.update(clap)
        return {"loss": value}

    run_steps(checkpoint, [optimiser], Schedule(training.steps, training.learning_rate), do_step, log_every=100)


def crop(mel: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """A part of a log-mel (frames, n_mels), or all of it and silence behind, as the network takes it: float32
    (n_mels, frames) around 0, whatever its level."""
    start = rng.integers(0, max(1, len(mel) - frames + 1))
    part = mel[start : start + frames].astype(np.float32)
    part = np.maximum((part - part.max() + 5) / 3, -3)
    return np.pad(part, ((0, frames - len(part)), (0, 0)), constant_values=-3).T.copy()
