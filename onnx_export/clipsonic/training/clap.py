"""Train the contrastive model of words and sounds on pairs of a wording and a crop."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.embedding_names import CLAP_EMBEDDING
from onnx_export.clipsonic.models.clap import Clap, ClapSize
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, run_steps, step_optimiser
from onnx_export.training.run import Intervals, TrainingRun


@dataclass(frozen=True, slots=True)
class ClapTraining:
    """Hyperparameters of the contrastive model's training."""

    steps: int = 1500
    batch: int = 96
    learning_rate: float = 1e-3
    crop_s: float = 2.5
    temperature: float = 12.0


def contrastive_loss(
    words: torch.Tensor, sounds: torch.Tensor, is_same_label: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the cross entropy both ways (Radford et al. 2021) of unit vectors (batch, n).

    Pairs of one label, `is_same_label` (batch, batch), are all right answers (Khosla et al. 2020).
    """
    logits = temperature * words @ sounds.T
    right = is_same_label.float()
    by_words, by_sounds = (
        -(functional.log_softmax(rows, dim=1) * right).sum(1).div(right.sum(1)).mean() for rows in (logits, logits.T)
    )
    return by_words + by_sounds


class ClapPairs:
    """Pairs of a wording's embedding and a crop of a sound, rare labels drawn nearly as often as common ones."""

    def __init__(self, words: LabelConditioning, training: ClapTraining, split: str = "train"):
        """Take the sounds of a split whose label has wordings."""
        self.words, self.training, dataset = words, training, words.dataset
        mel = dataset.mel_settings
        self.frames = mel.n_frames(round(training.crop_s * mel.sample_rate))
        self.indices = np.array([i for i in dataset.indices(split) if words.has(i)], np.int64)
        labels = [dataset.sounds[i].label for i in self.indices]
        _, self.label_ids, counts = np.unique(labels, return_inverse=True, return_counts=True)
        odds = counts[self.label_ids] ** -0.5 if len(labels) else np.zeros(0)
        self.odds = odds / odds.sum() if len(labels) else odds

    def __len__(self) -> int:
        return len(self.indices)

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw embeddings (batch, n), log-mels (batch, n_mels, frames) and numbers of the labels (batch,)."""
        rows = rng.choice(len(self.indices), self.training.batch, p=self.odds)
        embeddings = np.stack([self.words.sample(int(self.indices[row]), rng) for row in rows])
        mels = np.stack([crop(self.words.dataset.mel(int(self.indices[row])), self.frames, rng) for row in rows])
        label_ids = torch.from_numpy(self.label_ids[rows])
        return torch.from_numpy(embeddings.astype(np.float32)), torch.from_numpy(mels), label_ids


def train_clap(words: LabelConditioning, size: ClapSize, training: ClapTraining, run: TrainingRun) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    `words` are the sounds with the text tower's embeddings of their wordings.
    """
    seed = run.start_seed()
    clap = Clap(size).to(run.device).train()
    ema = EMA(clap, 0.995)
    optimiser = torch.optim.AdamW(clap.parameters(), lr=training.learning_rate, weight_decay=0.1)
    parts: dict[str, Stateful] = {"model": clap, "average": ema, "optimiser": optimiser}
    checkpoint = Checkpoint(run.path, parts, CheckpointMetadata(CLAP_EMBEDDING, seed=seed))
    pairs, held_out = ClapPairs(words, training), ClapPairs(words, training, "valid")

    def loss_of(batches: ClapPairs, rng: np.random.Generator) -> torch.Tensor:
        embeddings, mels, label_ids = (part.to(run.device) for part in batches.draw(rng))
        same = label_ids[:, None] == label_ids
        return contrastive_loss(clap.words(embeddings), clap.sounds(mels), same, training.temperature)

    def do_step(_: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        value = step_optimiser(optimiser, loss_of(pairs, rng), clap.parameters())
        ema.update(clap)
        return {"loss": value}

    def validate(rng: np.random.Generator) -> dict[str, float]:
        with evaluating(clap):
            return {"loss": float(loss_of(held_out, rng))}

    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    validation: Callable[[np.random.Generator], dict[str, float]] | None = validate if len(held_out) else None
    run_steps(checkpoint, [optimiser], schedule, do_step, validation, run.intervals or Intervals(log=100))


def crop(mel: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Return a part of a log-mel (frames, n_mels), or all of it and silence behind, as the network takes it.

    It is float32 (n_mels, frames) around 0, whatever its level.
    """
    start = rng.integers(0, max(1, len(mel) - frames + 1))
    part = mel[start : start + frames].astype(np.float32)
    part = np.maximum((part - part.max() + 5) / 3, -3)
    return np.pad(part, ((0, frames - len(part)), (0, 0)), constant_values=-3).T.copy()
