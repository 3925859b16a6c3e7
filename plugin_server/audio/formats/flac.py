"""FLAC files: samples by libsndfile, Vorbis comments by this module (RFC 9639, section 8.6)."""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.libsndfile import encode_samples, read_format, read_samples
from plugin_server.audio.formats.metadata import ClipMetadata, short_key
from plugin_server.audio.formats.recipes import encode_recipe, parse_recipe
from plugin_server.audio.formats.sample_format import MAX_CHUNKS
from plugin_server.errors import BadFile
from plugin_server.untrusted_files import open_file

__all__ = ["encode", "read_clip", "read_comments", "read_format", "read_recipe"]

RECIPE = "CLIPSONIC_RECIPE"
"""Name of the comment that holds the recipe."""
VORBIS_COMMENT = 4
"""Type of the metadata block."""
LAST = 0x80
"""Flag of the last metadata block, in its type byte."""
MAX_BLOCK = 2**24 - 1
"""Bytes of a metadata block."""
MAX_COMMENTS = 10_000
"""Comments of a file that are read."""

read_clip = read_samples


def encode(clip: Clip, metadata: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
    """Return a FLAC file of 16 or 24 bits. Raises ValueError as the other formats do."""
    blocks, frames = _split(encode_samples(clip, "FLAC", bits))
    fields = comments(metadata, clip.n_frames)
    if recipe is not None:
        fields[RECIPE] = encode_recipe(recipe).decode()
    others = [(kind, content) for kind, content in blocks if kind != VORBIS_COMMENT]
    # The stream's own block comes first.
    others.insert(1, (VORBIS_COMMENT, _vorbis_comment(metadata.software or "libsndfile", fields)))
    return b"fLaC" + b"".join(_block(*block, is_last=block is others[-1]) for block in others) + frames


def comments(metadata: ClipMetadata, n_frames: int) -> dict[str, str]:
    """Return the metadata by the names that players and samplers look for; what is empty is left out."""
    fields = {
        "TITLE": metadata.title,
        "ARTIST": metadata.artist,
        "COMMENT": metadata.comment,
        "ENCODER": metadata.software,
        "DATE": metadata.date,
        "BPM": f"{metadata.bpm:g}" if metadata.bpm else "",
        "INITIALKEY": short_key(metadata.key) if metadata.key else "",
        "LOOPSTART": "0" if metadata.loop else "",
        "LOOPLENGTH": str(n_frames) if metadata.loop else "",
    }
    return {name: text for name, text in fields.items() if text}


def read_comments(path: Path) -> dict[str, str]:
    """Read the Vorbis comments by their upper-case names, without the samples. Raises BadFile."""
    try:
        with open_file(path) as file:
            for kind, length in _walk(path, file):
                if kind == VORBIS_COMMENT:
                    return _parse_comment(path, file.read(length))
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error
    return {}


def read_recipe(path: Path) -> dict[str, object]:
    """Read the recipe of a clip without its samples. Raises BadFile when the file holds none."""
    text = read_comments(path).get(RECIPE)
    return parse_recipe(path, None if text is None else text.encode())


def _split(encoded: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the metadata blocks, (type, content), of a file that was just encoded, and the frames behind them."""
    blocks, offset, head = [], 4, 0
    while not head & LAST:
        head, size = encoded[offset], int.from_bytes(encoded[offset + 1 : offset + 4], "big")
        blocks.append((head & ~LAST, encoded[offset + 4 : offset + 4 + size]))
        offset += 4 + size
    return blocks, encoded[offset:]


def _block(kind: int, content: bytes, *, is_last: bool) -> bytes:
    if len(content) > MAX_BLOCK:
        raise ValueError(f"comments: got {len(content)} bytes, expected at most {MAX_BLOCK}")
    return bytes([kind | (LAST if is_last else 0)]) + len(content).to_bytes(3, "big") + content


def _vorbis_comment(vendor: str, fields: Mapping[str, str]) -> bytes:
    """Return the content of the comment block. Lengths are little-endian here, as in Ogg."""
    texts = [vendor.encode(), *(f"{name}={text}".encode("utf-8", "replace") for name, text in fields.items())]
    first, *others = (struct.pack("<I", len(text)) + text for text in texts)
    return first + struct.pack("<I", len(others)) + b"".join(others)


def _walk(path: Path, file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield type and length of each metadata block, at whose content the file stands then. Raises BadFile."""
    size, start = os.fstat(file.fileno()).st_size, 4
    if file.read(start) != b"fLaC":
        raise BadFile(f"{path}: not a FLAC file")
    for _ in range(MAX_CHUNKS):
        file.seek(start)
        head = file.read(4)
        start += 4
        length = int.from_bytes(head[1:], "big")
        if len(head) < 4 or length > size - start:
            raise BadFile(f"{path}: cut off within its metadata")
        yield head[0] & ~LAST, length
        if head[0] & LAST:
            return
        start += length
    raise BadFile(f"{path}: has more than {MAX_CHUNKS} blocks of metadata")


def _parse_comment(path: Path, content: bytes) -> dict[str, str]:
    try:
        offset = 4 + struct.unpack_from("<I", content)[0]
        (count,) = struct.unpack_from("<I", content, offset)
        offset += 4
        if count > MAX_COMMENTS:
            raise BadFile(f"{path}: has {count} comments, expected at most {MAX_COMMENTS}")
        fields = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<I", content, offset)
            name, _, text = content[offset + 4 : offset + 4 + length].decode("utf-8", "replace").partition("=")
            fields[name.upper()] = text
            offset += 4 + length
    except struct.error as error:
        raise BadFile(f"{path}: its comments cannot be read: {error}") from error
    return fields
