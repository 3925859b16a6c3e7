"""AIFF files: samples by libsndfile, chunks by this module (Apple's Audio Interchange File Format 1.3, 1989)."""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.libsndfile import encode_samples, read_format, read_samples
from plugin_server.audio.formats.metadata import MIDDLE_C, ClipMetadata
from plugin_server.audio.formats.recipes import encode_recipe, parse_recipe, read_recipe_here
from plugin_server.audio.formats.sample_format import MAX_CHUNKS
from plugin_server.errors import BadFile
from plugin_server.untrusted_files import open_file

__all__ = ["encode", "read_clip", "read_format", "read_recipe"]

SIGNATURE = b"clps"
"""Marks the application's own chunk, which holds the recipe."""
LOOP_START, LOOP_END = 1, 2
"""Numbers of the markers."""
FORWARD = 1
"""Play mode of a loop."""

read_clip = read_samples


def encode(clip: Clip, metadata: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
    """Return an AIFF file of 16 or 24 bits. Raises ValueError as the other formats do."""
    encoded = encode_samples(clip, "AIFF", bits)
    texts = {b"NAME": metadata.title, b"AUTH": metadata.artist, b"ANNO": metadata.comment}
    chunks = [(name, text.encode("utf-8", "replace")) for name, text in texts.items() if text]
    if metadata.loop:
        chunks += [(b"MARK", _markers(clip.n_frames)), (b"INST", _instrument(metadata))]
    if recipe is not None:
        chunks.append((b"APPL", SIGNATURE + encode_recipe(recipe)))
    body = encoded[8:] + b"\0" * (len(encoded) % 2) + b"".join(_chunk(*one) for one in chunks)
    return b"FORM" + struct.pack(">I", len(body)) + body


def read_recipe(path: Path) -> dict[str, object]:
    """Read the recipe of a clip without its samples. Raises BadFile when the file holds none."""
    try:
        with open_file(path) as file:
            for name, length in _walk(path, file):
                if name == b"APPL" and length >= len(SIGNATURE) and file.read(len(SIGNATURE)) == SIGNATURE:
                    return read_recipe_here(path, file, length - len(SIGNATURE))
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_recipe(path, None)


def _markers(n_frames: int) -> bytes:
    """Return the content of MARK. Positions lie between frames: the loop's end is behind its last one."""
    markers = {LOOP_START: (0, b"loop start"), LOOP_END: (n_frames, b"loop end")}
    marks = [struct.pack(">hI", number, position) + _pascal(name) for number, (position, name) in markers.items()]
    return struct.pack(">H", len(marks)) + b"".join(marks)


def _instrument(metadata: ClipMetadata) -> bytes:
    """Return the content of INST: all keys and velocities, no gain, a forward loop as long as a key is held."""
    root = MIDDLE_C if metadata.root_note is None else metadata.root_note
    sustain, release = (FORWARD, LOOP_START, LOOP_END), (0, 0, 0)
    return struct.pack(">6bh3h3h", root, 0, 0, 127, 1, 127, 0, *sustain, *release)


def _pascal(text: bytes) -> bytes:
    string = bytes([len(text)]) + text
    return string + b"\0" * (len(string) % 2)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack(">I", len(content)) + content + b"\0" * (len(content) % 2)


def _walk(path: Path, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield name and length of each chunk, at whose content the file stands then. Raises BadFile."""
    size, start = os.fstat(file.fileno()).st_size, 12
    head = file.read(start)
    if len(head) < start or head[:4] != b"FORM" or head[8:] not in (b"AIFF", b"AIFC"):
        raise BadFile(f"{path}: not an AIFF file")
    for _ in range(MAX_CHUNKS):
        if size - start < 8:
            return
        file.seek(start)
        name, length = struct.unpack(">4sI", file.read(8))
        start += 8
        if length > size - start:
            raise BadFile(f"{path}: cut off: its chunk {name!r} has {size - start} of {length} bytes")
        yield name, length
        start += length + length % 2
    raise BadFile(f"{path}: has more than {MAX_CHUNKS} chunks")
