"""WAV files: their bytes, and what they say of themselves."""

import json
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
from plugin_server.audio.formats.wav_chunks import chunk, host_chunks
from plugin_server.errors import BadFile

RECIPE_CHUNK = b"clps"
"""Ours: UTF-8 JSON of what made the clip. Other programs pass over chunks they do not know."""
INFO_CHUNKS = {"title": b"INAM", "artist": b"IART", "comment": b"ICMT", "software": b"ISFT", "date": b"ICRD"}
"""Names of About's texts in LIST/INFO."""
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def encode(clip: Clip, about: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
    """A PCM WAV of 16 or 24 bits, rounded without dither. Raises ValueError for other bits, or a recipe that is not
    JSON."""
    chunks = [(b"fmt ", _format(clip, bits))]
    if about.software:
        chunks += host_chunks(about, clip.n_frames, clip.sample_rate, clip.n_channels, bits)
    info = b"".join(_info(name, getattr(about, key)) for key, name in INFO_CHUNKS.items() if getattr(about, key))
    if info:
        chunks.append((b"LIST", b"INFO" + info))
    if recipe is not None:
        chunks.append((RECIPE_CHUNK, recipe_text(recipe)))
    chunks.append((b"data", _pcm(clip, bits)))
    body = b"WAVE" + b"".join(chunk(*one) for one in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def recipe_text(recipe: Mapping[str, object]) -> bytes:
    """A recipe as it lies in files. Raises ValueError for what is not JSON."""
    return json.dumps(dict(recipe), ensure_ascii=False, allow_nan=False).encode()


def _info(name: bytes, text: str) -> bytes:
    return chunk(name, text.replace("\0", "").encode("utf-8", "replace") + b"\0")


def _format(clip: Clip, bits: int) -> bytes:
    if bits not in (16, 24):
        raise ValueError(f"bits: got {bits}, expected 16 or 24")
    frame = clip.n_channels * bits // 8
    return struct.pack("<HHIIHH", PCM, clip.n_channels, clip.sample_rate, clip.sample_rate * frame, frame, bits)


def _pcm(clip: Clip, bits: int) -> bytes:
    integers = np.ascontiguousarray(to_integers(clip.samples, bits)).astype("<i4")
    return integers.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


@dataclass(frozen=True, slots=True)
class _Format:
    kind: int
    n_channels: int
    sample_rate: int
    bits: int


def read_clip(path: Path) -> Clip:
    """Samples of a PCM WAV of 16, 24 or 32 bits, or of 32-bit floats.

    Full scale is at -1 and 1; floats may lie outside. Raises BadFile naming the path.
    """
    chunks = dict(_read_chunks(path, {b"fmt ", b"data"}, last=b"data"))
    if len(chunks) < 2:
        raise BadFile(f"{path}: a WAV file without {'samples' if b'fmt ' in chunks else 'format'}")
    form = _parse_format(path, chunks[b"fmt "])
    samples = _from_pcm(path, form, chunks[b"data"])
    n_frames = len(samples) // form.n_channels
    return Clip(samples[: n_frames * form.n_channels].reshape(n_frames, form.n_channels), form.sample_rate)


def _parse_format(path: Path, content: bytes) -> _Format:
    if len(content) < 16:
        raise BadFile(f"{path}: its format chunk has {len(content)} bytes, expected 16 or more")
    kind, n_channels, sample_rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if kind == EXTENSIBLE and len(content) >= 26:
        kind = struct.unpack("<H", content[24:26])[0]
    if not 1 <= n_channels <= 64 or sample_rate == 0:
        raise BadFile(f"{path}: {n_channels} channels at {sample_rate} Hz cannot be read")
    return _Format(kind, n_channels, sample_rate, bits)


def _from_pcm(path: Path, form: _Format, data: bytes) -> NDArray[np.float32]:
    """Float32 (frames * channels,), interleaved."""
    width = form.bits // 8
    whole = data[: len(data) // max(1, width) * width]
    if (form.kind, form.bits) == (FLOAT, 32):
        return np.frombuffer(whole, "<f4").astype(np.float32)
    if form.kind != PCM or form.bits not in (16, 24, 32):
        expected = "PCM of 16, 24 or 32 bits, or 32-bit float"
        raise BadFile(f"{path}: encoding {form.kind} with {form.bits} bits cannot be read; expected {expected}")
    raw = np.frombuffer(whole, np.uint8).reshape(-1, width)
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 4 - width :] = raw
    return (padded.view("<i4")[:, 0] * 2.0**-31).astype(np.float32)


def read_rate(path: Path) -> int:
    """Frames a second; samples are not read. Raises BadFile."""
    for _, content in _read_chunks(path, {b"fmt "}, last=b"fmt "):
        return _parse_format(path, content).sample_rate
    raise BadFile(f"{path}: a WAV file without format")


def read_recipe(path: Path) -> dict[str, object]:
    """What made the clip; samples are not read. Raises BadFile when the file holds no recipe of ours."""
    for _, content in _read_chunks(path, {RECIPE_CHUNK}, last=RECIPE_CHUNK):
        return parse_recipe(path, content)
    return parse_recipe(path, None)


def parse_recipe(path: Path, content: bytes | None) -> dict[str, object]:
    """The recipe that lay in a file, None for none. Raises BadFile."""
    if content is not None:
        try:
            recipe = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadFile(f"{path}: its recipe cannot be read: {error}") from error
        if isinstance(recipe, dict):
            return recipe
    raise BadFile(f"{path}: holds no recipe; it was not made by Clipsonic Live, or another program saved it anew")


def read_tags(path: Path) -> dict[str, str]:
    """Title, artist and the like, by the keys of INFO_CHUNKS, without reading samples. Raises BadFile."""
    names = {chunk: key for key, chunk in INFO_CHUNKS.items()}
    tags = {}
    for _, content in _read_chunks(path, {b"LIST"}):
        if content[:4] == b"INFO":
            for name, text in _split_info(content[4:]):
                if name in names:
                    tags[names[name]] = text.rstrip(b"\0").decode("utf-8", "replace")
    return tags


def _split_info(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        yield name, content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _read_chunks(path: Path, wanted: Collection[bytes], last: bytes = b"") -> list[tuple[bytes, bytes]]:
    """Wanted chunks in the file's order, up to the one named `last`; the others are passed over unread.

    Raises BadFile when the file cannot be opened, is not a WAV file or ends inside a chunk.
    """
    try:
        with open(path, "rb") as file:
            return list(_walk(path, file, wanted, last))
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        # Python refuses a path with a NUL in it before the system sees it.
        raise BadFile(f"{str(path)!r} cannot be read: {error}") from error


def _walk(path: Path, file: BinaryIO, wanted: Collection[bytes], last: bytes) -> Iterator[tuple[bytes, bytes]]:
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise BadFile(f"{path}: not a WAV file")
    declared = 8 + int.from_bytes(head[4:8], "little")
    # Programs that write to a pipe leave 0 or 2 ** 32 - 1 here; behind a true end lie others' additions.
    end = declared if 12 <= declared <= size else size
    while end - file.tell() >= 8:
        name, length = struct.unpack("<4sI", file.read(8))
        if length > size - file.tell():
            raise BadFile(f"{path}: cut off: its chunk {name!r} has {size - file.tell()} of {length} bytes")
        if name not in wanted:
            file.seek(length + length % 2, os.SEEK_CUR)
            continue
        yield name, file.read(length)
        if name == last:
            return
        file.seek(length % 2, os.SEEK_CUR)
