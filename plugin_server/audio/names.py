"""Readable file names from any prompt."""

import re
import unicodedata
from pathlib import Path

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
"""Names that Windows keeps for devices."""


def safe_stem(text: str, max_length: int = 60) -> str:
    """Lower-case words joined by '-', at most `max_length` characters; 'clip' when nothing is left.

    Accents are folded ('Möwe' gives 'mowe'); letters of other scripts stay.
    """
    folded = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", folded).lower().replace("'", ""))
    stem = "-".join(words)
    if len(stem) > max_length:
        stem = stem[: max_length + 1].rpartition("-")[0] or stem[:max_length]
    # A file system counts bytes: 255 at most, of which the rest of a name needs some.
    while len(stem.encode()) > 180:
        stem = stem[:-1]
    stem = stem.strip("-")
    return f"{stem}-clip" if stem in RESERVED else stem or "clip"


def unique_path(folder: Path, stem: str, suffix: str = ".wav") -> Path:
    """The first of 'stem.wav', 'stem_2.wav', ... that does not exist."""
    path, count = folder / f"{stem}{suffix}", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}_{count}{suffix}"
    return path
