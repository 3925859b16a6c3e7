"""FLAC files: samples by libsndfile, and Vorbis comments of our own (RFC 9639, section 8.6)."""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.libsndfile import encode_samples, read_rate, read_samples
from plugin_server.audio.formats.metadata import ClipMetadata, short_key
from plugin_server.audio.formats.wav import parse_recipe, recipe_text
from plugin_server.errors import BadFile

__all__ = ["encode", "read_clip", "read_comments", "read_rate", "read_recipe"]

RECIPE = "CLIPSONIC_RECIPE"
VORBIS_COMMENT = 4
LAST = 0x80
MAX_BLOCK = 2**24 - 1

read_clip = read_samples


def encode(clip: Clip, about: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
    """A FLAC file of 16 or 24 bits. Raises ValueError as the other formats do."""
    coded = encode_samples(clip, "FLAC", bits)
    blocks, frames = _split(coded)
    fields = comments(about, clip.n_frames)
    if recipe is not None:
        fields[RECIPE] = recipe_text(recipe).decode()
    kept = [(kind, content) for kind, content in blocks if kind != VORBIS_COMMENT]
    # The stream's own block comes first.
    kept.insert(1, (VORBIS_COMMENT, _vorbis_comment(about.software or "libsndfile", fields)))
    return b"fLaC" + b"".join(_block(*one, last=one is kept[-1]) for one in kept) + frames


def comments(about: ClipMetadata, n_frames: int) -> dict[str, str]:
    """What there is to say, by the names that players and samplers look for."""
    fields = {
        "TITLE": about.title,
        "ARTIST": about.artist,
        "COMMENT": about.comment,
        "ENCODER": about.software,
        "DATE": about.date,
        "BPM": f"{about.bpm:g}" if about.bpm else "",
        "INITIALKEY": short_key(about.key) if about.key else "",
        "LOOPSTART": "0" if about.loop else "",
        "LOOPLENGTH": str(n_frames) if about.loop else "",
    }
    return {name: text for name, text in fields.items() if text}


def read_comments(path: Path) -> dict[str, str]:
    """Vorbis comments by their upper-case names; samples are not read. Raises BadFile."""
    try:
        with open(path, "rb") as file:
            for kind, content in _walk(path, file):
                if kind == VORBIS_COMMENT:
                    return _parse_comment(path, content)
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error
    return {}


def read_recipe(path: Path) -> dict[str, object]:
    """What made the clip. Raises BadFile when the file holds no recipe of ours."""
    text = read_comments(path).get(RECIPE)
    return parse_recipe(path, None if text is None else text.encode())


def _split(coded: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Metadata blocks of a file that was just encoded, and the frames behind them."""
    blocks, place, head = [], 4, 0
    while not head & LAST:
        head, size = coded[place], int.from_bytes(coded[place + 1 : place + 4], "big")
        blocks.append((head & ~LAST, coded[place + 4 : place + 4 + size]))
        place += 4 + size
    return blocks, coded[place:]


def _block(kind: int, content: bytes, last: bool) -> bytes:
    if len(content) > MAX_BLOCK:
        raise ValueError(f"comments: got {len(content)} bytes, expected at most {MAX_BLOCK}")
    return bytes([kind | (LAST if last else 0)]) + len(content).to_bytes(3, "big") + content


def _vorbis_comment(vendor: str, fields: Mapping[str, str]) -> bytes:
    """Lengths are little-endian here, as in Ogg."""
    texts = [vendor.encode(), *(f"{name}={text}".encode("utf-8", "replace") for name, text in fields.items())]
    first, *others = (struct.pack("<I", len(text)) + text for text in texts)
    return first + struct.pack("<I", len(others)) + b"".join(others)


def _walk(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    size = os.fstat(file.fileno()).st_size
    if file.read(4) != b"fLaC":
        raise BadFile(f"{path}: not a FLAC file")
    head = 0
    while not head & LAST:
        start = file.read(4)
        length = int.from_bytes(start[1:], "big")
        if len(start) < 4 or length > size - file.tell():
            raise BadFile(f"{path}: cut off within its metadata")
        head = start[0]
        yield head & ~LAST, file.read(length)


def _parse_comment(path: Path, content: bytes) -> dict[str, str]:
    try:
        place = 4 + struct.unpack_from("<I", content)[0]
        (count,) = struct.unpack_from("<I", content, place)
        place += 4
        fields = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<I", content, place)
            name, _, text = content[place + 4 : place + 4 + length].decode("utf-8", "replace").partition("=")
            fields[name.upper()] = text
            place += 4 + length
    except struct.error as error:
        raise BadFile(f"{path}: its comments cannot be read: {error}") from error
    return fields
