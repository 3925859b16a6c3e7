"""A small corpus of sounds in a catalogue, as training and evaluation read it."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

LABELS = {"hum": "hum", "clicks": "hammering", "hiss": "rain"}
"""Kind of sound to its label; labels have paraphrases in the project's own list."""
EVALUATED_LABELS = sorted(LABELS.values())
COLUMNS = (
    "file",
    "seconds",
    "sample_rate_of_source",
    "label",
    "caption",
    "category",
    "source",
    "source_path",
    "recording_id",
    "licence",
    "attribution",
    "split",
)


def synthesise(kind: str, seed: int, rate: int) -> np.ndarray:
    """Return a second of one kind of sound, float32 (rate,), a little different for each seed."""
    rng, time = np.random.default_rng(seed), np.arange(rate) / rate
    if kind == "hum":
        wave = 0.2 * np.sin(2 * np.pi * rng.uniform(90, 140) * time) + 0.001 * rng.standard_normal(rate)
    elif kind == "clicks":
        wave = 0.3 * rng.standard_normal(rate) * np.exp(-60 * (time % rng.uniform(0.15, 0.3)))
    else:
        wave = rng.standard_normal(rate) * rng.uniform(0.05, 0.2)
    return np.clip(wave, -1, 1).astype(np.float32)


def write_corpus(folder: Path, n: int, rate: int) -> Path:
    """Write `n` recordings of the three kinds in turn, with a catalogue, and return the folder."""
    rows = []
    for i in range(n):
        kind = tuple(LABELS)[i % 3]
        soundfile.write(folder / f"{i}.wav", synthesise(kind, i, rate), rate)
        label = LABELS[kind]
        row = [f"{i}.wav", "1.0", "48000", label, f"some {label}", kind, "us", "", f"r{i}", "CC0-1.0", "me", "train"]
        rows.append(row)
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


def embed_labels(texts: Sequence[str]) -> np.ndarray:
    """Return a vector for each text, (n, 7): an axis for each label that it names, and a little of its own."""
    own = [np.random.default_rng(sum(text.encode())).standard_normal(4) * 0.01 for text in texts]
    rows = [[*(label in text for label in EVALUATED_LABELS), *row] for text, row in zip(texts, own, strict=True)]
    return np.array(rows, np.float32)
