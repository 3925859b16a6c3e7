"""Examples for the denoiser: crops of log-mels on canvases of several lengths, each with an embedding."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.training.conditioning import Conditioning
from onnx_export.data.sounds import ClipDataset, frames_per_second
from onnx_export.training.run import step_generator
from plugin_server.audio.spectral import LOG_FLOOR
from plugin_server.engine.bundles.card import Card

if TYPE_CHECKING:
    from onnx_export.clipsonic.training.denoiser import DenoiserTraining

MAX_NORMALISATION_CLIPS = 5000
"""Enough for a mean and a deviation of each mel band."""
MAX_GRAIN_CLIPS, MAX_GRAIN_FRAMES = 300, 430
"""Enough for the variance of each band's grain: clips, and frames of each."""
MIN_GRAIN = 0.01
"""Least variance of a band's grain: a skip of nothing would leave the network all of it."""
GRAIN_NEIGHBOURS = 5
SILENT_LOG_MEL = -8.0
"""A frame whose loudest band is below is silence."""
MAX_BALANCED_S = 10.0
"""A sound's own length counts for its odds up to this one."""
ONE_SHOT_S = 1.0
"""A sound of its own under this length is a one-shot: mostly alone, so that silence follows it."""
ONE_SHOT_REPEATED, LONGER_REPEATED = 0.25, 0.6
"""Probabilities that a sound shorter than its canvas is repeated."""
START_AT_ONCE = 0.7
"""Probability that a sound shorter than its canvas begins where the canvas does."""
RANDOM_CROP = 0.7
"""Probability that a sound longer than its canvas is cut elsewhere than at its start."""
MEAN_PAUSE_S = 0.25
"""Mean silence between repetitions, distributed exponentially."""

Examples: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Normalised mels (batch, n_mels, frames), embeddings (batch, n_embedding), lengths in seconds (batch,)."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A length of training examples, and how often it is drawn."""

    seconds: float
    odds: float


CANVASES = (
    Canvas(0.75, 0.10),
    Canvas(1.5, 0.25),
    Canvas(3.0, 0.28),
    Canvas(5.0, 0.24),
    Canvas(7.5, 0.05),
    Canvas(10.0, 0.06),
    Canvas(20.0, 0.01),
    Canvas(30.0, 0.01),
)
"""The lengths, each drawn between 0.8 and 1 of it; the odds add up to one."""


@dataclass(frozen=True, slots=True)
class MelNormalisation:
    """Mean and deviation of every mel band over the training split, and its grain, float32 (n_mels,)."""

    mean: np.ndarray
    std: np.ndarray
    grain: np.ndarray | None = None
    """Variance of the normalised band around the mean of its neighbours in time and frequency; None: not known."""

    @classmethod
    def measure(cls, dataset: ClipDataset) -> "MelNormalisation":
        """Measure every tenth frame of the training split, or of some thousand clips of it, silence left out."""
        indices = dataset.indices("train")
        some = indices[:: -(-len(indices) // MAX_NORMALISATION_CLIPS)]
        frames = np.concatenate([dataset.mel(i)[::10] for i in some]).astype(np.float32)
        frames = frames[frames.max(axis=1) > SILENT_LOG_MEL]
        mean, std = frames.mean(axis=0), frames.std(axis=0)
        few = indices[:: -(-len(indices) // MAX_GRAIN_CLIPS)]
        clips = (dataset.mel(i)[:MAX_GRAIN_FRAMES].astype(np.float32) for i in few)
        grains = [grain(clip, mean, std)[clip.max(axis=1) > SILENT_LOG_MEL] for clip in clips]
        variance = (np.concatenate(grains) ** 2).mean(axis=0)
        return cls(mean, std, np.clip(variance, MIN_GRAIN, 1.0).astype(np.float32))

    @classmethod
    def of_card(cls, card: Card) -> "MelNormalisation":
        """Return the normalisation that a bundle's denoiser was trained with."""
        return cls(np.array(card.mel_mean, np.float32), np.array(card.mel_std, np.float32))

    def store(self, model: Denoiser) -> None:
        """Put mean and deviation into the buffers of a denoiser."""
        for buffer, values in ((model.mel_mean, self.mean), (model.mel_std, self.std)):
            buffer.copy_(torch.from_numpy(values))
        if self.grain is not None and model.grain_variance is not None:
            model.grain_variance.copy_(torch.from_numpy(self.grain)[:, None])


def grain(mel: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return how far a log-mel (frames, n_mels), normalised, is from the mean of its 5 x 5 neighbours."""
    normal = (mel - mean) / std
    side = GRAIN_NEIGHBOURS // 2
    padded = np.pad(normal, side, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (GRAIN_NEIGHBOURS, GRAIN_NEIGHBOURS))
    return normal - windows.mean(axis=(2, 3))


def saved_normalisation(path: Path) -> MelNormalisation | None:
    """Return the normalisation of a checkpoint, None where there is no file: its weights mean nothing without it."""
    if not path.exists():
        return None
    weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
    grain_variance = weights.get("grain_variance")
    return MelNormalisation(
        weights["mel_mean"].numpy().copy(),
        weights["mel_std"].numpy().copy(),
        None if grain_variance is None else grain_variance[:, 0].numpy().copy(),
    )


class DenoiserDataset:
    """Batches of (normalised mel, embedding, seconds), rare labels drawn nearly as often as common ones."""

    def __init__(
        self,
        conditioning: Conditioning,
        norm: MelNormalisation,
        training: "DenoiserTraining",
        patch: int,
        split: str = "train",
    ):
        """Take the clips of a split that have a condition; `patch` is the denoiser's, in mel frames."""
        self.conditioning, self.dataset, self.norm = conditioning, conditioning.dataset, norm
        self.training, self.patch, self.mel_settings = training, patch, self.dataset.mel_settings
        self.indices = np.array([i for i in self.dataset.indices(split) if conditioning.has(i)], np.int64)
        self.odds = self._balance([self.dataset.sounds[i].label for i in self.indices])

    def __len__(self) -> int:
        return len(self.indices)

    def _balance(self, labels: Sequence[str]) -> np.ndarray:
        """Return the odds of each clip.

        A label is drawn in its length to the power of 0.3, a sound within it in its own length.
        """
        rate = frames_per_second(self.mel_settings)
        seconds = np.array([min(MAX_BALANCED_S, len(self.dataset.mel(i)) / rate) for i in self.indices])
        totals: dict[str, float] = defaultdict(float)
        for label, length in zip(labels, seconds, strict=True):
            totals[label] += length
        odds = np.array([s / totals[label] ** 0.7 for s, label in zip(seconds, labels, strict=True)])
        return odds / odds.sum()

    def draw(self, rng: np.random.Generator) -> Examples:
        """Draw one batch, of one canvas length; the same for the same random numbers."""
        canvas_s = rng.choice([c.seconds for c in CANVASES], p=[c.odds for c in CANVASES]) * rng.uniform(0.8, 1.0)
        mel = self.mel_settings
        n_tokens = max(2, round(canvas_s * mel.sample_rate / mel.hop / self.patch))
        frames = n_tokens * self.patch
        batch = max(1, self.training.tokens // n_tokens)
        examples = [self._example(i, frames, rng) for i in rng.choice(self.indices, batch, p=self.odds)]
        mels, embeddings = (torch.from_numpy(np.stack(parts)) for parts in zip(*examples, strict=True))
        return mels, embeddings, torch.full((batch,), frames * mel.hop / mel.sample_rate)

    def _example(self, index: int, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        mel, embedding = self._canvas(index, frames, rng), self.conditioning.sample(index, rng)
        if rng.random() < self.training.mixup_probability:
            other = rng.choice(self.indices, p=self.odds)
            # Magnitudes of sounds that know nothing of each other add in power.
            mel = 0.5 * np.logaddexp(2 * mel, 2 * self._canvas(other, frames, rng))
            embedding = embedding + self.conditioning.sample(other, rng)
        embedding = embedding / np.linalg.norm(embedding)
        embedding = self._augment(embedding, rng) * (rng.random() >= self.training.condition_dropout)
        normal = (mel - self.norm.mean) / self.norm.std
        return np.ascontiguousarray(normal.T, np.float32), embedding.astype(np.float32)

    def _augment(self, embedding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Move an embedding at random, so that the network learns a neighbourhood and not a point."""
        noise = rng.standard_normal(len(embedding))
        other_share = rng.uniform(0, self.training.cross_label_mix)
        other = other_share * self.conditioning.sample(rng.choice(self.indices), rng)
        moved = embedding + other + noise / np.linalg.norm(noise) * rng.uniform(0, self.training.embedding_noise)
        return moved / np.linalg.norm(moved)

    def _canvas(self, index: int, frames: int, rng: np.random.Generator) -> np.ndarray:
        """Return a log-mel (frames, n_mels): a crop, or the whole sound once or repeated, silence around it."""
        mel = self.dataset.mel(index).astype(np.float32)
        if len(mel) >= frames:
            start = rng.integers(0, len(mel) - frames + 1) if rng.random() < RANDOM_CROP else 0
            return mel[start : start + frames]
        canvas = np.full((frames, mel.shape[1]), np.log(LOG_FLOOR), np.float32)
        rate = frames_per_second(self.mel_settings)
        repeated = rng.random() < (ONE_SHOT_REPEATED if len(mel) < ONE_SHOT_S * rate else LONGER_REPEATED)
        start = 0 if rng.random() < START_AT_ONCE else int(rng.integers(0, frames - len(mel) + 1))
        while start < frames:
            piece = mel[: frames - start]
            canvas[start : start + len(piece)] = piece
            if not repeated:
                break
            start += len(mel) + int(rng.exponential(MEAN_PAUSE_S) * rate)
        return canvas


class InfiniteDataset(IterableDataset[Examples]):
    """The batches of all steps from one on, each with the random numbers of its step.

    With several processes each draws the batches of some steps, so that together they give what one would give.
    """

    def __init__(self, examples: DenoiserDataset, seed: int, start: int = 0):
        self.examples, self.seed, self.start = examples, seed, start

    def __iter__(self) -> Iterator[Examples]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in itertools.count(self.start + first, stride):
            yield self.examples.draw(step_generator(self.seed, step))
