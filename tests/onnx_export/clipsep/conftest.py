"""Recordings of five labels as tones of their own, and embeddings that tell them apart."""

import numpy as np
import pytest

from onnx_export.data.sounds import SoundDataset
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import sound

LABELS = ("bell", "drum", "horn", "pipe", "string")
RATE = 44_100


@pytest.fixture(scope="session")
def tones() -> SoundDataset:
    """Two recordings a label in each split, 1 s and 5 s long; label i sounds at 300 * (i + 1) Hz."""
    sounds, waves = [], []
    for split in ("train", "valid", "test"):
        for i, label in enumerate(LABELS):
            for k, seconds in enumerate((1, 5)):
                sounds.append(sound(label, split, 2 * i + k))
                times = np.arange(seconds * RATE) / RATE
                waves.append((8000 * np.sin(2 * np.pi * 300 * (i + 1) * times)).astype(np.int16))
    bounds = np.cumsum([0, *map(len, waves)])
    mel = MelSettings()
    frames = np.cumsum([0, *(mel.n_frames(len(wave)) for wave in waves)])
    mels = np.zeros((frames[-1], mel.n_mels), np.float16)
    return SoundDataset(sounds, mel, np.concatenate(waves), bounds, mels, frames)


@pytest.fixture(scope="session")
def words() -> dict[str, np.ndarray]:
    """Three wordings a label, each close to an axis of its own."""
    rng = np.random.default_rng(0)
    rows = {label: np.eye(8)[i] + 0.05 * rng.standard_normal((3, 8)) for i, label in enumerate(LABELS)}
    return {label: (r / np.linalg.norm(r, axis=1, keepdims=True)).astype(np.float32) for label, r in rows.items()}
