import struct

import pytest

from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.audio.formats.wav_chunks import ONE_SHOT, ROOT_SET, STRETCH, acid


@pytest.mark.parametrize(
    ("metadata", "seconds", "flags", "beats"),
    [
        (ClipMetadata(loop=True, bpm=120, bars=2), 4, STRETCH, 8),
        (ClipMetadata(loop=True, bpm=93.7, bars=2), 480 / 93.7, STRETCH, 8),
        (ClipMetadata(loop=True, bpm=120, bars=3.5), 7, STRETCH, 14),
        (ClipMetadata(loop=True, bpm=120, bars=0.25), 0.5, STRETCH, 1),
        (ClipMetadata(loop=True, bpm=120, bars=1.1), 2.2, 0, 0),
        (ClipMetadata(loop=True, bpm=90, bars=0.333), 0.888, 0, 0),
        (ClipMetadata(loop=True, bpm=90, bars=0.3), 0.8, 0, 0),
        (ClipMetadata(loop=True, bpm=120, bars=0.0625), 0.125, 0, 0),
        (ClipMetadata(loop=True, bpm=120), 3.3, 0, 0),
        (ClipMetadata(loop=True, bpm=120), 144000 / 48000, STRETCH, 6),
        (ClipMetadata(loop=True, bpm=97.3), round(8 * 60 / 97.3 * 44100) / 44100, STRETCH, 8),
        (ClipMetadata(loop=True, bpm=20), 0.5, 0, 0),
        (ClipMetadata(loop=True), 2, STRETCH, 0),
        (ClipMetadata(loop=True, bpm=120, key="A minor"), 3.3, ROOT_SET, 0),
        (ClipMetadata(bpm=100), 3.3, ONE_SHOT, 0),
        (ClipMetadata(bpm=100), 3, ONE_SHOT, 5),
        (ClipMetadata(key="A minor"), 3, ONE_SHOT | ROOT_SET, 0),
    ],
)
def test_beats_are_told_where_they_are_whole(metadata, seconds, flags, beats):
    found = struct.unpack("<IHHfIHHf", acid(metadata, seconds))
    assert (found[0], found[4], found[7]) == (flags, beats, pytest.approx(metadata.bpm or 0))
