"""What is in the files of clips besides their samples, as lines of text."""

import re
from collections.abc import Iterator
from pathlib import Path

SOUND = (b"data", b"SSND")
FLAC_WORDS = 4
"""Block of comments."""


def contents(path: Path) -> list[str]:
    """Lines of a text file; parts of a sound file, the samples left out."""
    data = path.read_bytes()
    if path.suffix in (".wav", ".aiff"):
        parts = _chunks(data, "little" if data[:4] == b"RIFF" else "big")
        return [f"{name.decode()}: {_shown(part)}" for name, part in parts if name not in SOUND]
    if path.suffix == ".flac":
        return [line for kind, part in _blocks(data) if kind == FLAC_WORDS for line in _comments(part)]
    return data.decode().splitlines()


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], order)
        yield data[place : place + 4], data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place, last = 4, False
    while not last:
        last, kind = bool(data[place] & 0x80), data[place] & 0x7F
        size = int.from_bytes(data[place + 1 : place + 4], "big")
        yield kind, data[place + 4 : place + 4 + size]
        place += 4 + size


def _comments(block: bytes) -> Iterator[str]:
    """The vendor's name, then each comment; their lengths are not told, since recipes hold paths."""
    place, n_left = 0, 1
    while n_left:
        size = int.from_bytes(block[place : place + 4], "little")
        yield block[place + 4 : place + 4 + size].decode()
        if not place:
            n_left += int.from_bytes(block[4 + size : 8 + size], "little")
            place += 4
        place += 4 + size
        n_left -= 1


def _shown(part: bytes) -> str:
    """Text as it is, other bytes as numbers, long runs of zeros left out."""
    text = part.decode("utf-8", "replace")
    if sum(letter.isprintable() and letter != "\ufffd" for letter in text) < 0.8 * len(text.replace("\0", "")):
        return part.hex(" ")
    return re.sub(r"\0+", " | ", "".join(c if c.isprintable() or c == "\0" else f"\\x{ord(c):02x}" for c in text))
