import numpy as np
import pytest

from plugin_server.audio.clip import Clip, to_integers
from plugin_server.audio.formats.files import read_clip, write_clip


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros(4, np.float32), 48000),
        (np.zeros((4, 1), np.float64), 48000),
        (np.zeros((4, 1), np.float32), 0),
        (np.zeros((4, 0), np.float32), 48000),
        (np.zeros((4, 4), np.float32)[:, ::2], 48000),
        (np.zeros((4, 1), np.float32), 44100.0),
    ],
)
def test_what_is_no_clip_is_refused(samples, rate):
    with pytest.raises(ValueError, match="expected"):
        Clip(samples, rate)


def test_length_is_given_in_frames_and_seconds():
    clip = Clip(np.zeros((24000, 2), np.float32), 48000)
    assert (clip.n_frames, clip.n_channels, clip.seconds) == (24000, 2, 0.5)


def test_integers_are_rounded_and_clipped():
    found = to_integers(np.array([0, 1, -1, 2, -2, 0.4 / 2**23], np.float32), 24)
    assert found.tolist() == [0, 8388607, -8388608, 8388607, -8388608, 0]


def test_the_fingerprint_survives_the_file_and_tells_clips_apart(tmp_path):
    noise = np.random.default_rng(0).uniform(-1, 1, (5000, 2)).astype(np.float32)
    clip = Clip(noise, 44100)
    write_clip(tmp_path / "x.wav", clip)
    assert read_clip(tmp_path / "x.wav").fingerprint() == clip.fingerprint()
    changed = noise.copy()
    changed[7, 1] += 1e-6
    assert Clip(changed, 44100).fingerprint() != clip.fingerprint()
    assert Clip(noise, 48000).fingerprint() != clip.fingerprint()
