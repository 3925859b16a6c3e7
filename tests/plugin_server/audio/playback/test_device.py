"""A real PortAudio stream into PulseAudio's null sink, recorded from its monitor."""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import read_clip, write_clip
from plugin_server.benchmarks.silent_device import recorded, silent_device
from plugin_server.errors import DeviceUnavailable

PLAY = """
import sys, time
from pathlib import Path
from plugin_server.audio.playback.player import Cue, Player
player = Player()
player.set_device("")
mixer = player._live.output.mixer
steady = 0
for _ in range(100):
    # A sound server takes more than it plays when a stream begins, and may then ask for nothing for a while.
    frame = mixer.frame
    time.sleep(0.2)
    rate = (mixer.frame - frame) / (0.2 * mixer.sample_rate)
    steady = steady + 1 if 0.7 < rate < 1.4 else 0
    if steady == 5:
        break
player.play(Cue(Path(sys.argv[1])))
time.sleep(2.5)
player.close()
"""
STALL = """
import time
from plugin_server.audio.playback import device
from plugin_server.audio.playback.device import PortAudioOutput

output = PortAudioOutput("")
print(output.is_alive)
time.sleep(0.5)
print(output.is_alive)
# As a driver does whose hardware was pulled out: the stream is active, and never calls back.
clock = device.time.monotonic
frame = output.mixer.frame
output.mixer.render = lambda out: None
time.sleep(0.2)
output.is_alive
device.time.monotonic = lambda: clock() + 2 * device.STALL_S
print(output.is_alive)
output.close()
device.time.monotonic = clock
output = PortAudioOutput("")
print(output.is_alive)
output.close()
"""
FAIL = """
from plugin_server.audio.playback.device import PortAudioOutput
from plugin_server.errors import DeviceUnavailable
try:
    PortAudioOutput("moon")
except DeviceUnavailable as error:
    print(error)
"""


@contextmanager
def pulse(folder):
    """The environment of a PulseAudio of our own, with a null sink."""
    with ExitStack() as stack:
        try:
            env = stack.enter_context(silent_device(folder))
        except DeviceUnavailable as error:
            pytest.skip(str(error))
        yield env


def test_what_is_played_is_what_the_device_gets(tmp_path):
    write_clip(tmp_path / "clip.wav", Clip(noise(44100), 44100))
    played = read_clip(tmp_path / "clip.wav").samples
    with pulse(tmp_path) as env:
        # A busy machine may leave gaps in a stream; a player that leaves gaps leaves them every time.
        for _attempt in range(4):
            frames = frames_in(played, record_while_playing(env, tmp_path))
            assert len(frames), "nothing was heard"
            assert frames.min() >= 0, "something was heard that was not played"
            assert (np.diff(frames) > 0).all(), "the clip was heard twice or in another order"
            if len(frames) >= 0.98 * len(played):
                break
        else:
            raise AssertionError(f"at most 98 % was heard, four times; the last time {len(frames)} of {len(played)}")


def test_frames_in_a_clip_show_gaps_and_foreign_samples():
    played = noise(1000)
    gap = np.concatenate([np.zeros((7, 2), np.float32), played[:400], np.zeros((64, 2), np.float32), played[450:]])
    assert frames_in(played, gap).tolist() == [*range(400), *range(450, 1000)]
    assert frames_in(played, 0.5 * played).max() == -1
    assert (np.diff(frames_in(played, np.concatenate([played[500:], played[:500]]))) < 0).any()


def noise(n_frames: int) -> np.ndarray:
    """Float32 (frames, 2) of which no frame is like another, or silent."""
    return np.random.default_rng(3).uniform(0.01, 0.5, (n_frames, 2)).astype(np.float32)


def frames_in(played: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Which frame of `played` each frame of `heard` is, bit for bit, silent ones left out; -1 where it is none."""
    known = {frame.tobytes(): number for number, frame in enumerate(played)}
    assert len(known) == len(played), "the frames are not all different"
    return np.array([known.get(frame.tobytes(), -1) for frame in heard[heard.any(axis=1)]], np.int64)


def record_while_playing(env: dict[str, str], folder: Path) -> np.ndarray:
    """What the sink's monitor carries while the clip is played, float32 (frames, 2)."""
    recording = folder / "recording"
    with recorded(env, recording):
        subprocess.run([sys.executable, "-c", PLAY, str(folder / "clip.wav")], env=env, check=True, timeout=60)
    heard = np.fromfile(recording, np.float32)
    return heard[: len(heard) // 2 * 2].reshape(-1, 2)


def test_a_device_that_is_not_there_is_an_error():
    pytest.importorskip("sounddevice", reason="PortAudio is not installed", exc_type=OSError)
    ended = subprocess.run([sys.executable, "-c", FAIL], capture_output=True, text=True, check=True, timeout=60)
    assert "device: got 'moon', expected one of" in ended.stdout


def test_without_the_configuration_of_alsa_the_process_lives(tmp_path):
    pytest.importorskip("sounddevice", reason="PortAudio is not installed", exc_type=OSError)
    (tmp_path / "empty.conf").write_text("")
    env = os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "empty.conf")}
    code = FAIL.replace('"moon"', '""')
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("device: ")


def test_a_device_that_asks_for_nothing_is_gone(tmp_path):
    with pulse(tmp_path) as env:
        said = subprocess.run([sys.executable, "-c", STALL], env=env, capture_output=True, text=True, timeout=60)
    assert said.stdout.split() == ["True", "True", "False", "True"], said.stderr
