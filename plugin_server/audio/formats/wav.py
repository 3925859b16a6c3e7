"""WAV files: PCM samples, chunks for hosts, and the recipe."""

import os
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.clip import Clip, to_integers
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.audio.formats.recipes import encode_recipe, parse_recipe
from plugin_server.audio.formats.wav_chunks import chunk, host_chunks
from plugin_server.errors import BadFile

RECIPE_CHUNK = b"clps"
"""Our own chunk: UTF-8 JSON of what made the clip. Other programs pass over chunks they do not know."""
INFO_CHUNKS = {"title": b"INAM", "artist": b"IART", "comment": b"ICMT", "software": b"ISFT", "date": b"ICRD"}
"""Names of the metadata's texts in LIST/INFO."""
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Codes of `fmt ` for what the samples are."""


def encode(clip: Clip, metadata: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
    """Return a PCM WAV file of 16 or 24 bits, rounded without dither.

    Raises ValueError for other bits, or a recipe that is not JSON.
    """
    samples = _encode_samples(clip, bits)
    chunks = [(b"fmt ", _encode_format(clip, bits))]
    if metadata.software:
        chunks += host_chunks(metadata, clip.n_frames, clip.sample_rate, clip.n_channels, bits)
    texts = {name: getattr(metadata, key) for key, name in INFO_CHUNKS.items()}
    info = b"".join(_info_chunk(name, text) for name, text in texts.items() if text)
    if info:
        chunks.append((b"LIST", b"INFO" + info))
    if recipe is not None:
        chunks.append((RECIPE_CHUNK, encode_recipe(recipe)))
    chunks.append((b"data", samples))
    body = b"WAVE" + b"".join(chunk(*one) for one in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _info_chunk(name: bytes, text: str) -> bytes:
    return chunk(name, text.replace("\0", "").encode("utf-8", "replace") + b"\0")


def _encode_format(clip: Clip, bits: int) -> bytes:
    frame = clip.n_channels * bits // 8
    return struct.pack("<HHIIHH", PCM, clip.n_channels, clip.sample_rate, clip.sample_rate * frame, frame, bits)


def _encode_samples(clip: Clip, bits: int) -> bytes:
    integers = np.ascontiguousarray(to_integers(clip.samples, bits)).astype("<i4")
    return integers.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


@dataclass(frozen=True, slots=True)
class _WavFormat:
    coding: int
    n_channels: int
    sample_rate: int
    bits: int


def read_clip(path: Path) -> Clip:
    """Read the clip in a PCM WAV of 16, 24 or 32 bits, or of 32-bit floats.

    Full scale is at -1 and 1; floats may lie outside. Raises BadFile naming the path.
    """
    chunks = dict(_read_chunks(path, {b"fmt ", b"data"}, last=b"data"))
    if len(chunks) < 2:
        raise BadFile(f"{path}: a WAV file without {'samples' if b'fmt ' in chunks else 'format'}")
    fmt = _parse_format(path, chunks[b"fmt "])
    samples = _decode_samples(path, fmt, chunks[b"data"])
    n_frames = len(samples) // fmt.n_channels
    return Clip(samples[: n_frames * fmt.n_channels].reshape(n_frames, fmt.n_channels), fmt.sample_rate)


def _parse_format(path: Path, content: bytes) -> _WavFormat:
    if len(content) < 16:
        raise BadFile(f"{path}: its format chunk has {len(content)} bytes, expected 16 or more")
    coding, n_channels, sample_rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if coding == EXTENSIBLE and len(content) >= 26:
        coding = struct.unpack("<H", content[24:26])[0]
    if not 1 <= n_channels <= 64 or sample_rate == 0:
        raise BadFile(f"{path}: {n_channels} channels at {sample_rate} Hz cannot be read")
    return _WavFormat(coding, n_channels, sample_rate, bits)


def _decode_samples(path: Path, fmt: _WavFormat, data: bytes) -> NDArray[np.float32]:
    """Return float32 (frames * channels,), interleaved; an incomplete last sample is left out. Raises BadFile."""
    width = fmt.bits // 8
    complete = data[: len(data) // max(1, width) * width]
    if (fmt.coding, fmt.bits) == (FLOAT, 32):
        return np.frombuffer(complete, "<f4").astype(np.float32)
    if fmt.coding != PCM or fmt.bits not in (16, 24, 32):
        expected = "PCM of 16, 24 or 32 bits, or 32-bit float"
        raise BadFile(f"{path}: encoding {fmt.coding} with {fmt.bits} bits cannot be read; expected {expected}")
    raw = np.frombuffer(complete, np.uint8).reshape(-1, width)
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 4 - width :] = raw
    return (padded.view("<i4")[:, 0] * 2.0**-31).astype(np.float32)


def read_rate(path: Path) -> int:
    """Read the sample rate in Hertz without the samples. Raises BadFile."""
    for _, content in _read_chunks(path, {b"fmt "}, last=b"fmt "):
        return _parse_format(path, content).sample_rate
    raise BadFile(f"{path}: a WAV file without format")


def read_recipe(path: Path) -> dict[str, object]:
    """Read the recipe of a clip without its samples. Raises BadFile when the file holds none."""
    for _, content in _read_chunks(path, {RECIPE_CHUNK}, last=RECIPE_CHUNK):
        return parse_recipe(path, content)
    return parse_recipe(path, None)


def _read_chunks(path: Path, names: Collection[bytes], last: bytes) -> list[tuple[bytes, bytes]]:
    """Read the chunks of these names in the file's order, up to the one named `last`; others are passed over unread.

    Raises BadFile when the file cannot be opened, is not a WAV file or ends inside a chunk.
    """
    try:
        with open(path, "rb") as file:
            return list(_walk(path, file, names, last))
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        # Python refuses a path with a NUL in it before the system sees it.
        raise BadFile(f"{str(path)!r} cannot be read: {error}") from error


def _walk(path: Path, file: BinaryIO, names: Collection[bytes], last: bytes) -> Iterator[tuple[bytes, bytes]]:
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise BadFile(f"{path}: not a WAV file")
    declared = 8 + int.from_bytes(head[4:8], "little")
    # Programs that write to a pipe leave 0 or 2 ** 32 - 1 here; behind a true end lies what other programs added.
    end = declared if 12 <= declared <= size else size
    while end - file.tell() >= 8:
        name, length = struct.unpack("<4sI", file.read(8))
        if length > size - file.tell():
            raise BadFile(f"{path}: cut off: its chunk {name!r} has {size - file.tell()} of {length} bytes")
        if name not in names:
            file.seek(length + length % 2, os.SEEK_CUR)
            continue
        yield name, file.read(length)
        if name == last:
            return
        file.seek(length % 2, os.SEEK_CUR)
