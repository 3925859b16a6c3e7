"""Labelled sounds on disk as arrays: the catalogue, its licences, splits by recording, and cached features."""

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr

from plugin_server.audio.spectral import MelSettings, log_mel

log = logging.getLogger(__name__)

FORBIDDEN = ("NC", "see package copyright")
"""Parts of a licence's name that keep a clip out of weights that are shared."""
PERMISSIVE = ("CC0", "public-domain", "CC-BY-3", "CC-BY-4", "CC-BY-version", "MIT", "zlib")
"""Parts of a licence's name that ask for nothing but attribution."""


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
    """Sounds of `folder/catalog.csv` that may stand behind shared weights.

    `licences` is 'all' (all that may be shared) or 'permissive' (no share-alike, no copyleft).
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


def split_of(recording_id: str) -> str:
    """'train' (85 %), 'valid' (5 %) or 'test' (10 %), decided by the recording alone, the same everywhere."""
    place = int.from_bytes(hashlib.blake2s(recording_id.encode()).digest()[:4], "big") / 2**32
    return "train" if place < 0.85 else "valid" if place < 0.9 else "test"


def read_mono(path: Path, sample_rate: int) -> np.ndarray:
    """Float32 samples (n,) at `sample_rate`, channels averaged."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate).astype(np.float32)


def normalise_level(samples: np.ndarray, rms: float = 0.08, peak: float = 0.95) -> np.ndarray:
    """One gain that brings the louder half of the sound to `rms`, unless its peak would pass `peak`.

    The louder half: a bark followed by silence should not be louder than a bark alone.
    """
    blocks = samples[: len(samples) // 441 * 441].reshape(-1, 441)
    power = np.sort((blocks**2).mean(axis=1))
    loud = np.sqrt(power[len(power) // 2 :].mean()) if len(power) else 0.0
    gain = min(rms / max(loud, 1e-5), peak / max(float(np.abs(samples).max(initial=0)), 1e-5))
    return (samples * gain).astype(np.float32)


class Clips(Protocol):
    """Sounds to teach with, in splits."""

    @property
    def sounds(self) -> Sequence[Sound]:
        """One row a clip."""
        ...

    def mel(self, index: int) -> np.ndarray:
        """Log-mel, float16 (frames, n_mels), of one sound."""
        ...

    def indices(self, split: str) -> list[int]:
        """Sounds of one split: 'train', 'valid' or 'test'."""
        ...


@dataclass(frozen=True, slots=True)
class SoundDataset:
    """All sounds of a corpus in two memory-mapped arrays, one after another."""

    sounds: Sequence[Sound]
    samples: np.ndarray
    """int16 (total samples,) at the mel's sample rate, level-normalised."""
    sample_bounds: np.ndarray
    """int64 (n_sounds + 1,): sound i is samples[bounds[i]:bounds[i + 1]]."""
    mels: np.ndarray
    """float16 (total frames, n_mels), log-mel."""
    mel_bounds: np.ndarray

    def wave(self, index: int) -> np.ndarray:
        """Float32 samples (n,) of one sound."""
        low, high = self.sample_bounds[index : index + 2]
        return self.samples[low:high].astype(np.float32) / 32767

    def mel(self, index: int) -> np.ndarray:
        """Log-mel, float16 (frames, n_mels), of one sound."""
        low, high = self.mel_bounds[index : index + 2]
        return self.mels[low:high]

    def indices(self, split: str) -> list[int]:
        """Sounds of one split."""
        return [i for i, sound in enumerate(self.sounds) if split_of(sound.recording_id) == split]


def open_sound_dataset(sounds: Sequence[Sound], folder: Path, mel: MelSettings) -> SoundDataset:
    """Features of `sounds`, made once and kept in `folder` under a name of what they depend on."""
    key = hashlib.blake2s(repr(([str(s.path) for s in sounds], mel)).encode()).hexdigest()[:12]
    place = folder / key
    if not (place / "bounds.json").exists():
        _build_cache(sounds, place, mel)
    bounds = json.loads((place / "bounds.json").read_text())
    sample_bounds, mel_bounds = np.array(bounds["samples"]), np.array(bounds["mels"])
    samples = np.memmap(place / "samples.i16", np.int16, "r", shape=(int(sample_bounds[-1]),))
    mels = np.memmap(place / "mels.f16", np.float16, "r", shape=(int(mel_bounds[-1]), mel.n_mels))
    return SoundDataset(sounds, samples, sample_bounds, mels, mel_bounds)


def _build_cache(sounds: Sequence[Sound], place: Path, mel: MelSettings) -> None:
    place.mkdir(parents=True, exist_ok=True)
    sample_bounds, mel_bounds = [0], [0]
    with open(place / "samples.i16", "wb") as samples_file, open(place / "mels.f16", "wb") as mels_file:
        for wave in _waves(sounds, mel.sample_rate):
            frames = log_mel(wave, mel).T.astype(np.float16)
            samples_file.write((wave * 32767).astype(np.int16).tobytes())
            mels_file.write(np.ascontiguousarray(frames).tobytes())
            sample_bounds.append(sample_bounds[-1] + len(wave))
            mel_bounds.append(mel_bounds[-1] + len(frames))
    (place / "bounds.json").write_text(json.dumps({"samples": sample_bounds, "mels": mel_bounds}))


def _waves(sounds: Sequence[Sound], sample_rate: int) -> Iterator[np.ndarray]:
    for count, sound in enumerate(sounds):
        yield np.clip(normalise_level(read_mono(sound.path, sample_rate)), -1, 1)
        if count % 500 == 499:
            log.info("decoded %d of %d sounds", count + 1, len(sounds))
