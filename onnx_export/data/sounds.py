"""Labelled sounds on disk as arrays: the catalogue, its licences, splits by recording, and stored features."""

import csv
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr

from onnx_export.data.processes import make_once, map_in_processes
from plugin_server.audio.spectral import MelSettings, log_mel

log = logging.getLogger(__name__)

FORBIDDEN = ("NC", "see package copyright")
"""Parts of a licence's name that keep a clip out of weights that are shared."""
PERMISSIVE = ("CC0", "public-domain", "CC-BY-3", "CC-BY-4", "CC-BY-version", "MIT", "zlib")
"""Parts of a licence's name that ask for nothing but attribution."""
TRAIN_SHARE, VALID_SHARE = 0.85, 0.05
"""Shares of the recordings in these splits; the others are in 'test'."""
BLOCKS_PER_SECOND = 100
"""Blocks of 10 ms, whose power tells the loud parts of a sound from the quiet ones."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One row of a catalogue."""

    path: Path
    label: str
    """Short concept: 'sea waves'."""
    caption: str
    """A prompt as a user would type it."""
    category: str
    recording_id: str
    """Pieces of one recording share it, and never stand on both sides of a split."""
    licence: str
    attribution: str
    source: str
    source_rate_hz: int
    """Sample rate of the source: tells how much bandwidth a clip really has."""


def read_catalog(folder: Path, licences: str = "all") -> list[Sound]:
    """Read the sounds of `folder/catalog.csv` that may stand behind shared weights.

    Args:
        folder: Holds the catalogue and the files that it names.
        licences: 'all' (all that may be shared) or 'permissive' (no share-alike, no copyleft).

    Raises:
        ValueError: When `licences` is neither.
    """
    with open(folder / "catalog.csv", newline="", encoding="utf-8") as file:
        sounds = [_sound(folder, row) for row in csv.DictReader(file)]
    allowed = [s for s in sounds if not any(part in s.licence for part in FORBIDDEN)]
    if licences == "permissive":
        allowed = [s for s in allowed if any(part in s.licence for part in PERMISSIVE) and "SA" not in s.licence]
    elif licences != "all":
        raise ValueError(f"licences must be 'all' or 'permissive', not {licences!r}")
    log.info("%d of %d sounds may be used", len(allowed), len(sounds))
    return allowed


def _sound(folder: Path, row: dict[str, str]) -> Sound:
    return Sound(
        path=folder / row["file"],
        label=row["label"],
        caption=row["caption"],
        category=row["category"],
        recording_id=row["recording_id"],
        licence=row["licence"],
        attribution=row["attribution"],
        source=row["source"],
        source_rate_hz=int(row["sample_rate_of_source"]),
    )


def hash_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone, the same everywhere."""
    return int.from_bytes(hashlib.blake2s(text.encode()).digest()[:4], "big") / 2**32


def split_of(recording_id: str) -> str:
    """Return 'train' (85 %), 'valid' (5 %) or 'test' (10 %), decided by the recording alone, the same everywhere."""
    fraction = hash_fraction(recording_id)
    return "train" if fraction < TRAIN_SHARE else "valid" if fraction < TRAIN_SHARE + VALID_SHARE else "test"


def read_mono(path: Path, sample_rate: int) -> np.ndarray:
    """Read a sound file as float32 samples (n,) at `sample_rate`, channels averaged."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate).astype(np.float32)


def normalise_level(samples: np.ndarray, sample_rate: int, rms: float = 0.08, peak: float = 0.95) -> np.ndarray:
    """Apply one gain that brings the louder half of the sound to `rms`, unless its peak would pass `peak`.

    The louder half: a bark followed by silence should not be louder than a bark alone. Samples are float32 (n,).
    """
    length = sample_rate // BLOCKS_PER_SECOND
    blocks = samples[: len(samples) // length * length].reshape(-1, length)
    power = np.sort((blocks**2).mean(axis=1))
    loud = np.sqrt(power[len(power) // 2 :].mean()) if len(power) else 0.0
    gain = min(rms / max(loud, 1e-5), peak / max(float(np.abs(samples).max(initial=0)), 1e-5))
    return (samples * gain).astype(np.float32)


def frames_per_second(mel: MelSettings) -> int:
    """Return the whole mel frames in a second: 86 for the shipped settings."""
    return mel.sample_rate // mel.hop


class ClipDataset(Protocol):
    """Labelled clips with their log-mels, in splits: of sound files, or of videos."""

    @property
    def sounds(self) -> Sequence[Sound]:
        """One row a clip: its label, and where it comes from."""
        ...

    @property
    def mel_settings(self) -> MelSettings:
        """The settings that the log-mels were computed with."""
        ...

    def mel(self, index: int) -> np.ndarray:
        """Return the log-mel, float16 (frames, n_mels), of one clip."""
        ...

    def indices(self, split: str) -> list[int]:
        """Return the clips of one split: 'train', 'valid' or 'test'."""
        ...


@dataclass(frozen=True, slots=True)
class SoundDataset:
    """Sounds, their labels, samples and log-mels, all by one index; arrays are memory-mapped, one after another."""

    sounds: Sequence[Sound]
    mel_settings: MelSettings
    samples: np.ndarray
    """int16 (total samples,) at the mel's sample rate, level-normalised."""
    sample_bounds: np.ndarray
    """int64 (n_sounds + 1,): sound i is samples[bounds[i]:bounds[i + 1]]."""
    mels: np.ndarray
    """float16 (total frames, n_mels), log-mel."""
    mel_bounds: np.ndarray
    """int64 (n_sounds + 1,), the same for frames."""

    def __post_init__(self) -> None:
        """Raise ValueError when the arrays are not of these sounds."""
        for name, bounds in (("samples", self.sample_bounds), ("mels", self.mel_bounds)):
            if len(bounds) != len(self.sounds) + 1:
                raise ValueError(f"{name} of {len(bounds) - 1} sounds, expected {len(self.sounds)}")

    def wave(self, index: int) -> np.ndarray:
        """Return the float32 samples (n,) of one sound."""
        low, high = self.sample_bounds[index : index + 2]
        return self.samples[low:high].astype(np.float32) / 32767

    def mel(self, index: int) -> np.ndarray:
        """Return the log-mel, float16 (frames, n_mels), of one sound."""
        low, high = self.mel_bounds[index : index + 2]
        return self.mels[low:high]

    def indices(self, split: str) -> list[int]:
        """Return the sounds of one split, by recording."""
        return [i for i, sound in enumerate(self.sounds) if split_of(sound.recording_id) == split]


def open_sound_dataset(sounds: Sequence[Sound], folder: Path, mel: MelSettings) -> SoundDataset:
    """Open the features of `sounds`, computed once and stored in `folder` under a name of what they depend on."""
    key = hashlib.blake2s(repr(([str(s.path) for s in sounds], mel)).encode()).hexdigest()[:12]
    features = folder / key
    make_once(features, "bounds.json", partial(_write_features, sounds, mel))
    bounds = json.loads((features / "bounds.json").read_text())
    sample_bounds, mel_bounds = np.array(bounds["samples"]), np.array(bounds["mels"])
    samples = np.memmap(features / "samples.i16", np.int16, "r", shape=(int(sample_bounds[-1]),))
    mels = np.memmap(features / "mels.f16", np.float16, "r", shape=(int(mel_bounds[-1]), mel.n_mels))
    return SoundDataset(sounds, mel, samples, sample_bounds, mels, mel_bounds)


def _write_features(sounds: Sequence[Sound], mel: MelSettings, folder: Path) -> None:
    sample_bounds, mel_bounds = [0], [0]
    compute = partial(sound_features, mel=mel)
    with open(folder / "samples.i16", "wb") as samples_file, open(folder / "mels.f16", "wb") as mels_file:
        for count, (samples, frames) in enumerate(map_in_processes(compute, [s.path for s in sounds]), 1):
            samples_file.write(samples.tobytes())
            mels_file.write(frames.tobytes())
            sample_bounds.append(sample_bounds[-1] + len(samples))
            mel_bounds.append(mel_bounds[-1] + len(frames))
            if count % 500 == 0:
                log.info("decoded %d of %d sounds", count, len(sounds))
    (folder / "bounds.json").write_text(json.dumps({"samples": sample_bounds, "mels": mel_bounds}))


def sound_features(path: Path, mel: MelSettings) -> tuple[np.ndarray, np.ndarray]:
    """Decode one file to its samples, int16 (n,) of one level, and their log-mel, float16 (frames, n_mels)."""
    wave = np.clip(normalise_level(read_mono(path, mel.sample_rate), mel.sample_rate), -1, 1)
    frames = np.ascontiguousarray(log_mel(wave, mel).T.astype(np.float16))
    return (wave * 32767).astype(np.int16), frames
