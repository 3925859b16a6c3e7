"""What judges a sound: descriptions of it, and small networks that name it from them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from onnx_export.data.sounds import Sound, SoundDataset, split_of
from onnx_export.evaluation.references.soundnet import SoundNet, load_soundnet, soundnet_frames
from plugin_server.audio.spectral import MelSettings, log_mel

LEAST_RECORDINGS = 4
"""A concept is judged when the training split holds this many recordings of it, and the test split one."""
N_FOLDS = 4
WINDOW_S = 1.0
"""Length of the pieces that a Fréchet distance is taken over; half of it from one to the next."""


class Ear(Protocol):
    """Describes sounds by numbers."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def clip(self, wave: np.ndarray) -> np.ndarray:
        """Float32 (n,) of a whole mono sound."""
        ...

    def windows(self, wave: np.ndarray) -> np.ndarray:
        """Float32 (windows, m) of its pieces."""
        ...


@dataclass(frozen=True, slots=True)
class OwnEar:
    """Statistics of the bands of a mel spectrogram."""

    mel: MelSettings
    name: str = "bands"

    def clip(self, wave: np.ndarray) -> np.ndarray:
        """(6 * n_mels,)."""
        return describe(log_mel(wave, self.mel).T)

    def windows(self, wave: np.ndarray) -> np.ndarray:
        """(windows, 6 * n_mels)."""
        frames, length = log_mel(wave, self.mel).T, round(WINDOW_S * self.mel.sample_rate / self.mel.hop)
        starts = range(0, max(1, len(frames) - length + 1), length // 2)
        return np.stack([describe(frames[start : start + length]) for start in starts])


@dataclass(frozen=True, slots=True)
class SoundNetEar:
    """Layers of a network that pictures have taught, none of ours."""

    network: SoundNet
    sample_rate: int
    name: str = "SoundNet"

    @classmethod
    def read(cls, path: Path, sample_rate: int) -> "SoundNetEar":
        """From sound8.npy. Raises ValueError when it is another file."""
        return cls(load_soundnet(path), sample_rate)

    def clip(self, wave: np.ndarray) -> np.ndarray:
        """(1536,): mean and maximum of two layers."""
        parts = soundnet_frames(self.network, wave, self.sample_rate)
        return np.log1p(np.concatenate([f(part, axis=0) for part in parts for f in (np.mean, np.max)]))

    def windows(self, wave: np.ndarray) -> np.ndarray:
        """(frames of 0.37 s, 256)."""
        return np.log1p(soundnet_frames(self.network, wave, self.sample_rate)[0])


def describe(log_mel: np.ndarray) -> np.ndarray:
    """What a log-mel (frames, n_mels) sounds like on the whole, float32 (6 * n_mels,), whatever its level and length.

    Mean, deviation, loud and soft levels of each band, how much it moves from frame to frame, and how much over a
    tenth of a second; quiet frames are left out of the levels.
    """
    mel = log_mel.astype(np.float32)
    loudness = mel.mean(axis=1)
    loud = mel[loudness > loudness.max() - 4.5]
    level = loud.mean()
    soft, high = np.quantile(loud, [0.1, 0.9], axis=0)
    moves = np.abs(np.diff(mel, axis=0)).mean(axis=0) if len(mel) > 1 else np.zeros(mel.shape[1])
    slow = np.abs(mel[9:] - mel[:-9]).mean(axis=0) if len(mel) > 9 else moves
    return np.concatenate([loud.mean(0) - level, loud.std(0), soft - level, high - level, moves, slow]).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """Standardises descriptions by the training split."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def measure(cls, rows: np.ndarray) -> "Scale":
        """From rows (n, m)."""
        return cls(rows.mean(axis=0), rows.std(axis=0) + 1e-3)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The rows in deviations, none beyond 6."""
        return np.clip((rows - self.mean) / self.std, -6, 6).astype(np.float32)


class Listeners:
    """Networks that name sounds, each taught on three quarters of the training recordings.

    A training clip is judged by those alone that have not heard its recording, everything else by all: so a copy of
    a training clip is judged as a new clip would be.
    """

    def __init__(self, labels: Sequence[str], scale: Scale, folds: Mapping[int, nn.Module]):
        self.labels, self.scale, self.folds = list(labels), scale, folds

    @classmethod
    def train(cls, rows: np.ndarray, sounds: Sequence[Sound], steps: int = 250) -> "Listeners":
        """`rows` (n, m) describe `sounds`, which are of the training split; all their labels are learnt."""
        labels = sorted({sound.label for sound in sounds})
        scale = Scale.measure(rows)
        x = torch.from_numpy(scale(rows))
        y = torch.tensor([labels.index(sound.label) for sound in sounds])
        fold = np.array([fold_of(sound.recording_id) for sound in sounds])
        folds = {k: _fit(x[fold != k], y[fold != k], len(labels), steps, seed=k) for k in range(N_FOLDS)}
        return cls(labels, scale, folds)

    @torch.no_grad()
    def ranks(self, rows: np.ndarray, labels: Sequence[str], recordings: Sequence[str | None]) -> np.ndarray:
        """Place of each label among all, (n, N_FOLDS), 0 for the first; -1 where a network has heard the recording."""
        x = torch.from_numpy(self.scale(rows))
        y = torch.tensor([self.labels.index(label) for label in labels])[:, None]
        ranks = np.stack([_ranks(network(x), y) for network in self.folds.values()], axis=1)
        for i, recording in enumerate(recordings):
            if recording is not None and split_of(recording) == "train":
                ranks[i, [k for k in self.folds if k != fold_of(recording)]] = -1
        return ranks


def _ranks(scores: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    return (scores > scores.gather(1, y)).sum(dim=1).numpy()


def fold_of(recording_id: str) -> int:
    """The network that never hears this recording; another digit of the hash than the split's would do as well."""
    return sum(recording_id.encode()) % N_FOLDS


def _fit(x: torch.Tensor, y: torch.Tensor, n_labels: int, steps: int, seed: int) -> nn.Module:
    """One hidden layer, rare labels weighted up, full batches."""
    torch.manual_seed(seed)
    hidden = nn.Sequential(nn.Dropout(0.3), nn.Linear(x.shape[1], 512), nn.GELU())
    network = nn.Sequential(hidden, nn.Dropout(0.5), nn.Linear(512, n_labels))
    importance = torch.bincount(y, minlength=n_labels).float().clamp_min(1) ** -0.5
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(network(x), y, importance, label_smoothing=0.1).backward()
        optimiser.step()
    return network.eval()


def concepts(cache: SoundDataset) -> list[str]:
    """Labels with enough recordings to be judged."""
    recordings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sound in cache.sounds:
        recordings[sound.label, split_of(sound.recording_id)].add(sound.recording_id)
    names = sorted({label for label, _ in recordings})
    return [n for n in names if len(recordings[n, "train"]) >= LEAST_RECORDINGS and recordings[n, "test"]]


def describe_all(waves: Sequence[np.ndarray], ear: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Rows (n, m)."""
    return np.stack([ear(wave) for wave in waves])
