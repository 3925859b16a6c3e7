"""WAV files: PCM samples, chunks for hosts, and the recipe."""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.clip import Clip, finite, to_integers
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.audio.formats.recipes import encode_recipe, parse_recipe, read_recipe_here
from plugin_server.audio.formats.sample_format import MAX_CHUNKS, SampleFormat
from plugin_server.audio.formats.wav_chunks import chunk, host_chunks
from plugin_server.errors import BadFile
from plugin_server.untrusted_files import open_file

RECIPE_CHUNK = b"clps"
"""Our own chunk: UTF-8 JSON of what made the clip. Other programs pass over chunks they do not know."""
INFO_CHUNKS = {"title": b"INAM", "artist": b"IART", "comment": b"ICMT", "software": b"ISFT", "date": b"ICRD"}
"""Names of the metadata's texts in LIST/INFO."""
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Codes of `fmt ` for what the samples are."""
FORMAT_BYTES = 40
"""Bytes of the longest `fmt ` that is looked at."""


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
    with _reading(path) as file:
        fmt, length = _find_samples(path, file)
        _sample_format(fmt, length, path).check_size(path)
        samples = _decode_samples(path, fmt, file.read(length))
    n_frames = len(samples) // fmt.n_channels
    return Clip(samples[: n_frames * fmt.n_channels].reshape(n_frames, fmt.n_channels), fmt.sample_rate)


def read_format(path: Path) -> SampleFormat:
    """Read what the header says of the samples, without them. Raises BadFile."""
    with _reading(path) as file:
        return _sample_format(*_find_samples(path, file), path)


def _sample_format(fmt: _WavFormat, length: int, path: Path) -> SampleFormat:
    """Return the format of samples of `length` bytes. Raises BadFile where no clip can have it."""
    frame = fmt.n_channels * (fmt.bits // 8)
    n_frames = length // frame if frame else 0
    return SampleFormat(n_frames, fmt.n_channels, fmt.sample_rate, fmt.bits if fmt.coding == PCM else 0).checked(path)


def _find_samples(path: Path, file: BinaryIO) -> tuple[_WavFormat, int]:
    """Return the format and the number of the samples' bytes, at which the file stands then. Raises BadFile."""
    fmt = None
    for name, length in _walk(path, file):
        if name == b"fmt ":
            fmt = _parse_format(path, file.read(min(length, FORMAT_BYTES)))
        elif name == b"data":
            if fmt is None:
                break
            return fmt, length
    raise BadFile(f"{path}: a WAV file without {'samples' if fmt else 'format'}")


def _parse_format(path: Path, content: bytes) -> _WavFormat:
    if len(content) < 16:
        raise BadFile(f"{path}: its format chunk has {len(content)} bytes, expected 16 or more")
    coding, n_channels, sample_rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if coding == EXTENSIBLE and len(content) >= 26:
        coding = struct.unpack("<H", content[24:26])[0]
    return _WavFormat(coding, n_channels, sample_rate, bits)


def _decode_samples(path: Path, fmt: _WavFormat, data: bytes) -> NDArray[np.float32]:
    """Return float32 (frames * channels,), interleaved; an incomplete last sample is left out. Raises BadFile."""
    width = fmt.bits // 8
    complete = data[: len(data) // max(1, width) * width]
    if (fmt.coding, fmt.bits) == (FLOAT, 32):
        return finite(np.frombuffer(complete, "<f4").astype(np.float32))
    if fmt.coding != PCM or fmt.bits not in (16, 24, 32):
        expected = "PCM of 16, 24 or 32 bits, or 32-bit float"
        raise BadFile(f"{path}: encoding {fmt.coding} with {fmt.bits} bits cannot be read; expected {expected}")
    raw = np.frombuffer(complete, np.uint8).reshape(-1, width)
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 4 - width :] = raw
    samples = padded.view("<i4")[:, 0].astype(np.float32)
    # By a power of two, which rounds nothing.
    samples *= np.float32(2.0**-31)
    return samples


def read_recipe(path: Path) -> dict[str, object]:
    """Read the recipe of a clip without its samples. Raises BadFile when the file holds none."""
    with _reading(path) as file:
        for name, length in _walk(path, file):
            if name == RECIPE_CHUNK:
                return read_recipe_here(path, file, length)
    return parse_recipe(path, None)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    with open_file(path) as file:
        try:
            yield file
        except OSError as error:
            raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error


def _walk(path: Path, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield name and length of each chunk, at whose content the file stands then. Raises BadFile."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise BadFile(f"{path}: not a WAV file")
    declared = 8 + int.from_bytes(head[4:8], "little")
    # Programs that write to a pipe leave 0 or 2 ** 32 - 1 here; behind a true end lies what other programs added.
    end, start = declared if 12 <= declared <= size else size, 12
    for _ in range(MAX_CHUNKS):
        if end - start < 8:
            return
        file.seek(start)
        name, length = struct.unpack("<4sI", file.read(8))
        start += 8
        if length > size - start:
            raise BadFile(f"{path}: cut off: its chunk {name!r} has {size - start} of {length} bytes")
        yield name, length
        start += length + length % 2
    raise BadFile(f"{path}: has more than {MAX_CHUNKS} chunks")
