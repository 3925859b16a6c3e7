"""Labelled pictures on disk: the catalogue, what their licences allow, and which are held out."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_export.data.sounds import hash_fraction

log = logging.getLogger(__name__)

ALLOWED_USES = {"all": ("ok", "attribution", "copyleft"), "permissive": ("ok", "attribution")}
"""The uses that a picture's licence permits, in the catalogue's words: only these may stand behind shared weights."""
TEST_SHARE = 0.15
"""Share of the photos that no network is trained on."""


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
        """The split: 'train' or, for a share of the photos decided by the file's name alone, 'test'."""
        return "test" if self.kind == "photo" and hash_fraction(self.path.name) < TEST_SHARE else "train"


def read_pictures(folder: Path) -> list[Picture]:
    """Read every row of `folder/catalog.csv`, also those whose licence keeps them out of shared weights."""
    with open(folder / "catalog.csv", newline="", encoding="utf-8") as file:
        return [_picture(folder, row) for row in csv.DictReader(file)]


def _picture(folder: Path, row: dict[str, str]) -> Picture:
    names = ("label", "caption", "kind", "group", "source", "licence", "attribution", "use")
    return Picture(folder / row["file"], **{name: row[name] for name in names})


def _allowed(pictures: Sequence[Picture], licences: str, split: str) -> list[Picture]:
    if licences not in ALLOWED_USES:
        raise ValueError(f"licences must be 'all' or 'permissive', not {licences!r}")
    return [p for p in pictures if p.use in ALLOWED_USES[licences] and p.split == split]


def training_pictures(pictures: Sequence[Picture], licences: str = "all") -> list[Picture]:
    """Return the pictures of the training split that may stand behind shared weights.

    `licences` is 'all' (all that may be shared) or 'permissive' (no copyleft); raises ValueError for another.
    """
    allowed = _allowed(pictures, licences, "train")
    log.info("%d of %d pictures may be used", len(allowed), len(pictures))
    return allowed


def validation_pictures(pictures: Sequence[Picture], licences: str = "all") -> list[Picture]:
    """Return the pictures of the same licences that are held out of training."""
    return _allowed(pictures, licences, "test")


def held_out(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """Return photos of sounding things that no network was trained on, in two sets.

    'like those taught' come from the sources that are trained on; 'other sources' are those whose licence forbids
    training: they are looked at only, and are the harder test.
    """
    sounding = [p for p in pictures if p.kind == "photo" and p.group]
    return {
        "like those taught": [p for p in sounding if p.use in ALLOWED_USES["all"] and p.split == "test"],
        "other sources": [p for p in sounding if p.use not in ALLOWED_USES["all"]],
    }


def read_rgb(path: Path) -> np.ndarray:
    """Read a picture's pixels, uint8 (height, width, 3)."""
    # Late: sounds are trained on where no pictures can be read.
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
