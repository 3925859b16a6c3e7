import time

import pytest

from plugin_server.audio.formats.metadata import ClipMetadata, note_of, read_key, short_key
from plugin_server.errors import BadArgument


@pytest.mark.parametrize(
    ("text", "key", "short"),
    [
        ("C", "C major", "Cmaj"),
        ("f#m", "F# minor", "F#min"),
        ("F♯ min", "F# minor", "F#min"),
        ("  Eb  minor ", "Eb minor", "Ebmin"),
        ("BbM", "Bb major", "Bbmaj"),
        ("d maj", "D major", "Dmaj"),
        ("bm", "B minor", "Bmin"),
        ("bb", "Bb major", "Bbmaj"),
    ],
)
def test_a_key_is_written_one_way(text, key, short):
    assert read_key(text) == key
    assert read_key(key) == key
    assert short_key(key) == short


@pytest.mark.parametrize("text", ["", "H", "C##", "minor", "C minor 7", "Cm maj"])
def test_what_is_no_key_is_an_error(text):
    with pytest.raises(BadArgument, match="key: got"):
        read_key(text)


def test_the_root_is_the_note_nearest_to_middle_c():
    assert [note_of(f"{key} major") for key in ("C", "F", "F#", "Gb", "B", "Cb", "B#")] == [60, 65, 54, 54, 59, 59, 60]


def test_beats_are_whole_or_unknown():
    assert ClipMetadata(bars=2).beats == 8
    assert ClipMetadata(bars=0.25).beats == 1
    assert (
        ClipMetadata(bars=0.3).beats is None
        and ClipMetadata(bars=0.0625).beats is None
        and ClipMetadata().beats is None
    )


def test_no_key_is_slow_to_read():
    began = time.process_time()
    with pytest.raises(BadArgument):
        read_key("C" + " " * 100_000 + "x")
    assert time.process_time() - began < 1
