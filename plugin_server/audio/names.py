"""File names that people can read, from any prompt."""

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
"""Names that Windows keeps for devices."""
LATIN_FOLDS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
"""Replacements of Latin letters that Unicode does not decompose."""


def safe_stem(text: str, max_length: int = 60) -> str:
    """Return lower-case words joined by '-', at most `max_length` characters; 'clip' when nothing is left.

    Accents are folded ('Möwe' gives 'mowe'); letters of other scripts stay. A name that Windows reserves gets
    '-clip'.
    """
    stem = "-".join(_words(text))
    if len(stem) > max_length:
        stem = stem[: max_length + 1].rpartition("-")[0] or stem[:max_length]
    # A file system counts bytes: 255 at most, of which the rest of a name needs some.
    while len(stem.encode()) > 180:
        stem = stem[:-1]
    stem = stem.strip("-")
    return f"{stem}-clip" if stem in RESERVED else stem or "clip"


def name_key(name: str) -> str:
    """Return what names that a person takes for the same have in common: case and spelling of accents do not count."""
    decomposed = unicodedata.normalize("NFD", " ".join(name.split()))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", decomposed.casefold()))


def same_name(name: str, names: Iterable[str]) -> str | None:
    """Return which of some names is the same to a person as this one, rather one that is spelt so; None for no one."""
    known = list(names)
    if name in known:
        return name
    key = name_key(name)
    return next((each for each in known if name_key(each) == key), None)


def unique_path(folder: Path, stem: str, suffix: str = ".wav") -> Path:
    """Return the first of 'stem.wav', 'stem_2.wav', ... that does not exist."""
    path, count = folder / f"{stem}{suffix}", 1
    # Not Path.exists: a link whose target is gone takes the name all the same.
    while os.path.lexists(path):
        count += 1
        path = folder / f"{stem}_{count}{suffix}"
    return path


def _words(text: str) -> list[str]:
    """Return the runs of letters, digits and their marks, NFC, lower case."""
    folded = re.sub("['’]", "", text.lower().translate(LATIN_FOLDS))
    # Only Latin loses its marks: in other scripts they are letters' vowels and voicing ('が' is not 'か').
    folded = re.sub(r"([a-z])[\u0300-\u036f]+", r"\1", unicodedata.normalize("NFKD", folded))
    spaced = (c if unicodedata.category(c)[0] in "LNM" else " " for c in unicodedata.normalize("NFKC", folded))
    words = "".join(spaced).lower().split()
    # An emoji's variation selector is a mark too, and would be a word that nobody sees.
    return [word for word in words if any(c.isalnum() for c in word)]
