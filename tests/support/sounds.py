"""Sound datasets of random log-mels, without files."""

from pathlib import Path

import numpy as np

from onnx_export.data.sounds import Sound, SoundDataset, split_of
from plugin_server.audio.spectral import MelSettings


def recording_in(split: str, number: int = 0) -> str:
    """The recording of some number whose id puts it into a split."""
    ids = (f"r{i}" for i in range(10_000))
    return [id_ for id_ in ids if split_of(id_) == split][number]


def sound(label: str, split: str = "train", number: int = 0, rate_hz: int = 48_000, caption: str = "") -> Sound:
    id_ = recording_in(split, number)
    return Sound(Path(f"{id_}.wav"), label, caption or f"a {label}", "test", id_, "CC0", "me", "us", rate_hz)


def dataset(sounds, frames, mel: MelSettings | None = None, seed: int = 0) -> SoundDataset:
    """Sounds of so many mel frames each; the mel of sound i is around -i."""
    mel, rng = mel or MelSettings(), np.random.default_rng(seed)
    mels = [rng.standard_normal((n, mel.n_mels)) * 0.1 - i for i, n in enumerate(frames)]
    bounds = np.cumsum([0, *frames])
    samples = rng.integers(-9000, 9000, bounds[-1] * mel.hop).astype(np.int16)
    return SoundDataset(sounds, mel, samples, bounds * mel.hop, np.concatenate(mels).astype(np.float16), bounds)
