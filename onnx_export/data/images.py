"""Labelled pictures on disk: the catalogue, what their licences allow, and which are kept for judging."""

import csv
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)

USES = {"all": ("ok", "attribution", "copyleft"), "permissive": ("ok", "attribution")}
"""What a picture's licence permits, in the catalogue's words: only these may stand behind weights that are shared."""
HELD_OUT = 0.15
"""Share of the photos that no network is taught."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of a catalogue."""

    path: Path
    label: str
    """Short concept: 'beagle'."""
    caption: str
    kind: str
    """'photo', 'drawing' or 'emoji'."""
    group: str
    """Coarse sounding concept: 'dog'; empty for what makes no sound of its own."""
    source: str
    licence: str
    attribution: str
    use: str
    """'ok', 'attribution', 'copyleft', 'check' or 'research'."""

    @property
    def split(self) -> str:
        """'train' or, for a share of the photos decided by the file's name alone, 'test'."""
        place = int.from_bytes(hashlib.blake2s(self.path.name.encode()).digest()[:4], "big") / 2**32
        return "test" if self.kind == "photo" and place < HELD_OUT else "train"


def read_pictures(folder: Path) -> list[Picture]:
    """Every row of `folder/catalog.csv`, also those whose licence keeps them out of shared weights."""
    with open(folder / "catalog.csv", newline="", encoding="utf-8") as file:
        return [_picture(folder, row) for row in csv.DictReader(file)]


def _picture(folder: Path, row: dict[str, str]) -> Picture:
    names = ("label", "caption", "kind", "group", "source", "licence", "attribution", "use")
    return Picture(folder / row["file"], **{name: row[name] for name in names})


def training_pictures(pictures: Sequence[Picture], licences: str = "all") -> list[Picture]:
    """Those of the training split that may stand behind shared weights.

    `licences` is 'all' (all that may be shared) or 'permissive' (no copyleft).
    """
    if licences not in USES:
        raise ValueError(f"licences must be 'all' or 'permissive', not {licences!r}")
    allowed = [p for p in pictures if p.use in USES[licences] and p.split == "train"]
    log.info("%d of %d pictures may be used", len(allowed), len(pictures))
    return allowed


def held_out(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """Photos of sounding things that no network was taught, in two sets.

    'like those taught' come from the sources that taught; 'other sources' are those whose licence forbids teaching:
    they are looked at only, and are the harder test.
    """
    sounding = [p for p in pictures if p.kind == "photo" and p.group]
    return {
        "like those taught": [p for p in sounding if p.use in USES["all"] and p.split == "test"],
        "other sources": [p for p in sounding if p.use not in USES["all"]],
    }


def read_rgb(path: Path) -> np.ndarray:
    """Pixels, uint8 (height, width, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
