"""AIFF files: samples by libsndfile, and chunks of our own (Apple's Audio Interchange File Format 1.3, 1989)."""

import os
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.libsndfile import encode_samples, read_rate, read_samples
from plugin_server.audio.formats.metadata import MIDDLE_C, ClipMetadata
from plugin_server.audio.formats.wav import parse_recipe, recipe_text
from plugin_server.errors import BadFile

__all__ = ["encode", "read_clip", "read_rate", "read_recipe"]

SIGNATURE = b"clps"
"""Of the application's own chunk, which holds the recipe."""
LOOP_START, LOOP_END = 1, 2
"""Numbers of the markers."""
FORWARD = 1

read_clip = read_samples


def encode(clip: Clip, about: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
    """An AIFF file of 16 or 24 bits. Raises ValueError as the other formats do."""
    coded = encode_samples(clip, "AIFF", bits)
    texts = {b"NAME": about.title, b"AUTH": about.artist, b"ANNO": about.comment}
    chunks = [(name, text.encode("utf-8", "replace")) for name, text in texts.items() if text]
    if about.loop:
        chunks += [(b"MARK", _markers(clip.n_frames)), (b"INST", _instrument(about))]
    if recipe is not None:
        chunks.append((b"APPL", SIGNATURE + recipe_text(recipe)))
    body = coded[8:] + b"\0" * (len(coded) % 2) + b"".join(_chunk(*one) for one in chunks)
    return b"FORM" + struct.pack(">I", len(body)) + body


def read_recipe(path: Path) -> dict[str, object]:
    """What made the clip; samples are not read. Raises BadFile when the file holds no recipe of ours."""
    try:
        with open(path, "rb") as file:
            for _, content in _walk(path, file, {b"APPL"}):
                if content[:4] == SIGNATURE:
                    return parse_recipe(path, content[4:])
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_recipe(path, None)


def _markers(n_frames: int) -> bytes:
    """Positions lie between frames: the loop's end is behind its last one."""
    places = {LOOP_START: (0, b"loop start"), LOOP_END: (n_frames, b"loop end")}
    marks = [struct.pack(">hI", number, place) + _pascal(name) for number, (place, name) in places.items()]
    return struct.pack(">H", len(marks)) + b"".join(marks)


def _instrument(about: ClipMetadata) -> bytes:
    """All keys and velocities, no gain, a forward loop while a key is held and none when it is let go."""
    root = MIDDLE_C if about.root_note is None else about.root_note
    sustain, release = (FORWARD, LOOP_START, LOOP_END), (0, 0, 0)
    return struct.pack(">6bh3h3h", root, 0, 0, 127, 1, 127, 0, *sustain, *release)


def _pascal(text: bytes) -> bytes:
    counted = bytes([len(text)]) + text
    return counted + b"\0" * (len(counted) % 2)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack(">I", len(content)) + content + b"\0" * (len(content) % 2)


def _walk(path: Path, file: BinaryIO, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"FORM" or head[8:] not in (b"AIFF", b"AIFC"):
        raise BadFile(f"{path}: not an AIFF file")
    while size - file.tell() >= 8:
        name, length = struct.unpack(">4sI", file.read(8))
        if length > size - file.tell():
            raise BadFile(f"{path}: cut off: its chunk {name!r} has {size - file.tell()} of {length} bytes")
        if name in wanted:
            yield name, file.read(length)
            file.seek(length % 2, os.SEEK_CUR)
        else:
            file.seek(length + length % 2, os.SEEK_CUR)
