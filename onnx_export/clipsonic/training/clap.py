"""Train the contrastive model of words and sounds on pairs of a wording and a crop."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.embedding_names import CLAP_EMBEDDING
from onnx_export.clipsonic.models.clap import Clap, ClapSize
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.data.sounds import SoundDataset
from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, run_steps, step_optimiser


@dataclass(frozen=True, slots=True)
class ClapTraining:
    """How it is taught."""

    steps: int = 1500
    batch: int = 96
    learning_rate: float = 1e-3
    frames: int = 216
    """2.5 s at 44,100 Hz."""
    temperature: float = 12.0


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
    cache: SoundDataset,
    words: LabelConditioning,
    size: ClapSize,
    training: ClapTraining,
    path: Path,
    device: torch.device,
) -> None:
    """Train until `training.steps`, going on from `path` where it exists. `words` are the text tower's."""
    clap = Clap(size).to(device).train()
    average = EMA(clap, 0.995)
    optimiser = torch.optim.AdamW(clap.parameters(), lr=training.learning_rate, weight_decay=0.1)
    checkpoint = Checkpoint(
        path, {"model": clap, "average": average, "optimiser": optimiser}, {"embedding": CLAP_EMBEDDING}
    )
    rng = np.random.default_rng()
    indices = np.array([i for i in cache.indices("train") if words.has(i)])
    _, label_of, counts = np.unique([words.labels[i] for i in indices], return_inverse=True, return_counts=True)
    odds = counts[label_of] ** -0.5
    odds /= odds.sum()

    def do_step(step: int) -> dict[str, float]:
        rows = rng.choice(len(indices), training.batch, p=odds)
        said = np.stack([words.sample(int(indices[row]), rng) for row in rows])
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
