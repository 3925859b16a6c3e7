"""WAV files with their chunks: written whole or not at all, and read back with what they say of themselves."""

import json
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_server.audio.clip import Clip, to_integers
from plugin_server.errors import BadFile, FolderNotWritable

RECIPE_CHUNK = b"clps"
"""Ours: UTF-8 JSON of what made the clip. Other programs pass over chunks they do not know."""
INFO_CHUNKS = {
    "title": b"INAM",
    "artist": b"IART",
    "comment": b"ICMT",
    "software": b"ISFT",
    "date": b"ICRD",
    "copyright": b"ICOP",
    "genre": b"IGNR",
}
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def write_clip(
    path: Path,
    clip: Clip,
    tags: Mapping[str, str] | None = None,
    recipe: Mapping[str, object] | None = None,
    bits: int = 24,
) -> None:
    """Write a PCM WAV of 16 or 24 bits under a name that is free.

    `tags` uses the keys of INFO_CHUNKS. Raises FileExistsError when the name is taken, FolderNotWritable when the
    folder is full or may not be written; then nothing is left behind.
    """
    chunks = [_chunk(b"fmt ", _format(clip, bits))]
    if tags:
        chunks.append(_chunk(b"LIST", b"INFO" + b"".join(_info(key, text) for key, text in tags.items() if text)))
    if recipe is not None:
        chunks.append(_chunk(RECIPE_CHUNK, json.dumps(recipe, ensure_ascii=False).encode()))
    chunks.append(_chunk(b"data", _pcm(clip, bits)))
    body = b"WAVE" + b"".join(chunks)
    _write_whole(path, b"RIFF" + struct.pack("<I", len(body)) + body)


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, then give it its name: a program that watches the folder sees whole files."""
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _rename_new(beside, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise FolderNotWritable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


def _rename_new(old: Path, new: Path) -> None:
    """Rename without ever replacing a file. A hard link fails where the name is taken, in one step; file systems
    without links (exFAT) get a look and a rename, which leaves a moment for another writer."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:
        if new.exists():
            raise FileExistsError(new) from None
        old.rename(new)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _info(key: str, text: str) -> bytes:
    return _chunk(INFO_CHUNKS[key], text.replace("\0", "").encode() + b"\0")


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
    """Samples of a PCM WAV of 16, 24 or 32 bits, or of 32-bit floats. Raises BadFile naming the path."""
    form, data = None, None
    for name, content in _chunks(path):
        if name == b"fmt ":
            form = _parse_format(path, content)
        elif name == b"data":
            data = content
    if form is None or data is None:
        raise BadFile(f"{path}: a WAV file without {'format' if form is None else 'samples'}")
    samples = _from_pcm(path, form, data)
    frames = len(samples) // form.n_channels
    return Clip(samples[: frames * form.n_channels].reshape(frames, form.n_channels), form.sample_rate)


def _parse_format(path: Path, content: bytes) -> _Format:
    if len(content) < 16:
        raise BadFile(f"{path}: its format chunk has {len(content)} bytes, expected 16 or more")
    kind, n_channels, sample_rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if kind == EXTENSIBLE and len(content) >= 26:
        kind = struct.unpack("<H", content[24:26])[0]
    if not 1 <= n_channels <= 64 or sample_rate == 0:
        raise BadFile(f"{path}: {n_channels} channels at {sample_rate} Hz cannot be read")
    return _Format(kind, n_channels, sample_rate, bits)


def _from_pcm(path: Path, form: _Format, data: bytes) -> np.ndarray:
    if form.kind == FLOAT and form.bits == 32:
        return np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float32)
    width = form.bits // 8
    if form.kind != PCM or form.bits not in (16, 24, 32):
        raise BadFile(
            f"{path}: encoding {form.kind} with {form.bits} bits cannot be read; expected PCM or 32-bit float"
        )
    raw = np.frombuffer(data[: len(data) // width * width], np.uint8).reshape(-1, width)
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 4 - width :] = raw
    integers = padded.view("<i4")[:, 0] >> (32 - form.bits)
    return (integers / 2 ** (form.bits - 1)).astype(np.float32)


def read_recipe(path: Path) -> dict[str, object]:
    """What made the clip. Raises BadFile when the file holds no recipe of ours."""
    for name, content in _chunks(path):
        if name == RECIPE_CHUNK:
            try:
                recipe = json.loads(content.decode("utf-8"))
            except ValueError as error:
                raise BadFile(f"{path}: its recipe cannot be read: {error}") from error
            if isinstance(recipe, dict):
                return recipe
    raise BadFile(f"{path}: holds no recipe; it was not made by Clipsonic Live, or another program saved it anew")


def read_tags(path: Path) -> dict[str, str]:
    """Title, artist and the like, by the keys of INFO_CHUNKS. Raises BadFile."""
    names = {chunk: key for key, chunk in INFO_CHUNKS.items()}
    tags = {}
    for name, content in _chunks(path):
        if name == b"LIST" and content[:4] == b"INFO":
            for inner, text in _walk(content[4:]):
                if inner in names:
                    tags[names[inner]] = text.rstrip(b"\0").decode("utf-8", "replace")
    return tags


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from error
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise BadFile(f"{path}: not a WAV file")
    yield from _walk(content[12:])


def _walk(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Chunks one after another; one that is cut off at the end of the file gives what there is of it."""
    place = 0
    while place + 8 <= len(content):
        name, size = content[place : place + 4], struct.unpack("<I", content[place + 4 : place + 8])[0]
        yield name, content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
