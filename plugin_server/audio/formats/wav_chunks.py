"""The chunks of WAV files from which hosts read loops, tempo and origin.

Layouts: `acid` as libsndfile's wav.c writes it, `smpl`, `cue ` and `LIST` of Microsoft's and IBM's RIFF specification
(1991) and its 1994 additions, `bext` of EBU Tech 3285 version 1.
"""

import math
import struct
from collections.abc import Iterator

from plugin_server.audio.formats.metadata import BEATS_PER_BAR, MIDDLE_C, ClipMetadata

ONE_SHOT, ROOT_SET, STRETCH = 0x01, 0x02, 0x04
"""Flags of the `acid` chunk."""
BEXT_VERSION = 1
SAME_BEAT = 0.001
"""Beats by which a whole number of them may be missed, since files have whole samples."""
Chunk = tuple[bytes, bytes]
"""Name and content."""


def host_chunks(metadata: ClipMetadata, n_frames: int, sample_rate: int, n_channels: int, bits: int) -> Iterator[Chunk]:
    """Yield the chunks for which a clip has metadata, in the order in which they are written before its samples."""
    yield b"bext", bext(metadata, sample_rate, n_channels, bits)
    if metadata.loop or metadata.bpm or metadata.key:
        yield b"acid", acid(metadata, n_frames / sample_rate)
    if metadata.loop:
        yield b"smpl", smpl(metadata, n_frames, sample_rate)
    if metadata.beats and metadata.loop:
        starts = bar_starts(metadata, n_frames)
        yield b"cue ", cue(starts)
        yield b"LIST", labels(len(starts))


def acid(metadata: ClipMetadata, seconds: float) -> bytes:
    """Return the content of `acid`: flags, root note, beats, metre and tempo."""
    beats = _whole_beats(metadata, seconds)
    flags = 0 if metadata.loop else ONE_SHOT
    # Hosts fit a loop that may be stretched to its beats, so that a part of one would change its tempo.
    flags |= (STRETCH if metadata.loop and (beats or not metadata.bpm) else 0) | (ROOT_SET if metadata.key else 0)
    # Readers differ in which part of the metre comes first; here both are 4.
    root = MIDDLE_C if metadata.root_note is None else metadata.root_note
    return struct.pack("<IHHfIHHf", flags, root, 0x8000, 0.0, beats, BEATS_PER_BAR, BEATS_PER_BAR, metadata.bpm or 0.0)


def _whole_beats(metadata: ClipMetadata, seconds: float) -> int:
    """Return the beats of a clip, 0 where nothing is known of them or the last is incomplete."""
    if metadata.bars is not None or not metadata.bpm:
        return metadata.beats or 0
    beats = seconds * metadata.bpm / 60
    return round(beats) if abs(beats - round(beats)) < SAME_BEAT else 0


def smpl(metadata: ClipMetadata, n_frames: int, sample_rate: int) -> bytes:
    """Return the content of `smpl`: an endless forward loop over the whole clip, whose end is the last frame played."""
    root = MIDDLE_C if metadata.root_note is None else metadata.root_note
    head = struct.pack("<9I", 0, 0, round(1e9 / sample_rate), root, 0, 0, 0, 1, 0)
    return head + struct.pack("<6I", 1, 0, 0, n_frames - 1, 0, 0)


def bar_starts(metadata: ClipMetadata, n_frames: int) -> list[int]:
    """Return the frames at which bars begin; none where nothing is known of bars."""
    bars = metadata.bars or 0
    return [round(bar * n_frames / bars) for bar in range(math.ceil(bars))]


def cue(starts: list[int]) -> bytes:
    """Return the content of `cue `: a marker at each of these frames, numbered from 1."""
    points = [struct.pack("<II4sIII", i, start, b"data", 0, 0, start) for i, start in enumerate(starts, 1)]
    return struct.pack("<I", len(points)) + b"".join(points)


def labels(n_markers: int) -> bytes:
    """Return the names of the markers: 'bar 1' and so on."""
    return b"adtl" + b"".join(
        chunk(b"labl", struct.pack("<I", i) + f"bar {i}".encode() + b"\0") for i in range(1, n_markers + 1)
    )


def bext(metadata: ClipMetadata, sample_rate: int, n_channels: int, bits: int) -> bytes:
    """Return the content of `bext`: the clip's title, maker, date and history, in ASCII."""
    coding = f"A=PCM,F={sample_rate},W={bits},M={'mono' if n_channels == 1 else 'stereo'},T={metadata.software}"
    history = "".join(f"{line}\r\n" for line in (coding, metadata.history) if line)
    head = _ascii(metadata.title, 256) + _ascii(metadata.software, 32) + _ascii(metadata.reference, 32)
    head += _ascii(metadata.date, 10) + _ascii(metadata.time, 8)
    return head + struct.pack("<QH", 0, BEXT_VERSION) + bytes(64 + 190) + _ascii(history, len(history) + 1)


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk with its header, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _ascii(text: str, size: int) -> bytes:
    return text.encode("ascii", "replace")[:size].ljust(size, b"\0")
