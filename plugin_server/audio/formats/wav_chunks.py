"""Chunks of WAV files that tell hosts of loops, tempo and origin.

Layouts: `acid` as libsndfile's wav.c writes it, `smpl`, `cue ` and `LIST` of Microsoft's and IBM's RIFF specification
(1991) and its 1994 additions, `bext` of EBU Tech 3285 version 1.
"""

import math
import struct
from collections.abc import Iterator

from plugin_server.audio.formats.metadata import BEATS_PER_BAR, MIDDLE_C, ClipMetadata

ONE_SHOT, ROOT_SET, STRETCH = 0x01, 0x02, 0x04
"""Flags of `acid`."""
BEXT_VERSION = 1
Chunk = tuple[bytes, bytes]
"""Name and content."""


def host_chunks(about: ClipMetadata, n_frames: int, sample_rate: int, n_channels: int, bits: int) -> Iterator[Chunk]:
    """All that a clip has something to say for, in the order in which they are written before its samples."""
    yield b"bext", bext(about, sample_rate, n_channels, bits)
    if about.loop or about.bpm or about.key:
        yield b"acid", acid(about, n_frames / sample_rate)
    if about.loop:
        yield b"smpl", smpl(about, n_frames, sample_rate)
    if about.beats and about.loop:
        starts = bar_starts(about, n_frames)
        yield b"cue ", cue(starts)
        yield b"LIST", labels(len(starts))


def acid(about: ClipMetadata, seconds: float) -> bytes:
    """Flags, root note, beats, metre and tempo."""
    # Readers differ in which part of the metre comes first; here both are 4.
    flags = (STRETCH if about.loop else ONE_SHOT) | (ROOT_SET if about.key else 0)
    beats = about.beats or (round(seconds * about.bpm / 60) if about.bpm else 0)
    root = MIDDLE_C if about.root_note is None else about.root_note
    return struct.pack("<IHHfIHHf", flags, root, 0x8000, 0.0, beats, BEATS_PER_BAR, BEATS_PER_BAR, about.bpm or 0.0)


def smpl(about: ClipMetadata, n_frames: int, sample_rate: int) -> bytes:
    """One endless forward loop over the whole clip; its end is the last frame that is played."""
    root = MIDDLE_C if about.root_note is None else about.root_note
    head = struct.pack("<9I", 0, 0, round(1e9 / sample_rate), root, 0, 0, 0, 1, 0)
    return head + struct.pack("<6I", 1, 0, 0, n_frames - 1, 0, 0)


def bar_starts(about: ClipMetadata, n_frames: int) -> list[int]:
    """Frames at which bars begin; none where nothing is known of bars."""
    bars = about.bars or 0
    return [round(bar * n_frames / bars) for bar in range(math.ceil(bars))]


def cue(starts: list[int]) -> bytes:
    """A marker at each of these frames, numbered from 1."""
    points = [struct.pack("<II4sIII", i, start, b"data", 0, 0, start) for i, start in enumerate(starts, 1)]
    return struct.pack("<I", len(points)) + b"".join(points)


def labels(n_markers: int) -> bytes:
    """Names of the markers: 'bar 1' and so on."""
    return b"adtl" + b"".join(
        chunk(b"labl", struct.pack("<I", i) + f"bar {i}".encode() + b"\0") for i in range(1, n_markers + 1)
    )


def bext(about: ClipMetadata, sample_rate: int, n_channels: int, bits: int) -> bytes:
    """Who made the clip, when and how; its fields are ASCII."""
    coding = f"A=PCM,F={sample_rate},W={bits},M={'mono' if n_channels == 1 else 'stereo'},T={about.software}"
    history = "".join(f"{line}\r\n" for line in (coding, about.history) if line)
    head = _ascii(about.title, 256) + _ascii(about.software, 32) + _ascii(about.reference, 32)
    head += _ascii(about.date, 10) + _ascii(about.time, 8)
    return head + struct.pack("<QH", 0, BEXT_VERSION) + bytes(64 + 190) + _ascii(history, len(history) + 1)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its header, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _ascii(text: str, size: int) -> bytes:
    return text.encode("ascii", "replace")[:size].ljust(size, b"\0")
