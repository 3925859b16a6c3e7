"""The player with an output that is rendered by hand."""

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.playback import player as player_module
from plugin_server.audio.playback.player import Cue, Player, next_on_grid
from plugin_server.errors import BadFile, DeviceUnavailable
from tests.support.outputs import HandOutput


@pytest.fixture
def path(tmp_path):
    samples = np.random.default_rng(2).uniform(-0.5, 0.5, (4800, 1)).astype(np.float32)
    write_clip(tmp_path / "a.wav", Clip(samples, 48000))
    return tmp_path / "a.wav"


@pytest.fixture
def outputs():
    return []


@pytest.fixture
def player(outputs):
    def open_output(name):
        outputs.append(HandOutput(name))
        return outputs[-1]

    player = Player(open_output)
    yield player
    player.close()


def test_a_bar_begins_on_its_sample(player, outputs, path):
    player.set_tempo(125.0)
    player.play(Cue(path, rate=2.0))
    outputs[0].render(12800)
    player.play(Cue(path, at="beat"))
    player.play(Cue(path, at="bar"))
    sounding = np.flatnonzero(outputs[0].render(120000)[:, 0]) + 12800
    # A beat is 23040 frames at 125 a minute, a bar four of them.
    assert sounding[0] == 23040
    assert sounding[sounding > 60000][0] == 92160


def test_a_new_tempo_keeps_the_place_in_the_bar(player, outputs, path):
    player.set_tempo(120.0)
    player.play(Cue(path))
    outputs[0].render(36000)
    # One and a half beats have passed; at 60 a minute the next one is half a second away.
    player.set_tempo(60.0)
    player.play(Cue(path, at="beat"))
    assert np.flatnonzero(outputs[0].render(30000)[:, 0])[0] == 24000


@pytest.mark.parametrize(("frame", "expected"), [(0, 100), (99, 100), (100, 200), (101, 200), (-1, 0)], ids=str)
def test_the_grid(frame, expected):
    assert next_on_grid(frame, 0.0, 100.0) == expected


def test_a_clip_is_resampled_to_the_device(outputs, tmp_path):
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    write_clip(tmp_path / "b.wav", Clip.mono(wave, 44100))
    output = HandOutput()
    player = Player(lambda name: output)
    player.play(Cue(tmp_path / "b.wav"))
    out = output.render(48000)[:, 0]
    player.close()
    assert np.abs(np.fft.rfft(out)).argmax() == 1000
    assert np.flatnonzero(out)[-1] > 47900


def test_a_second_play_reads_nothing_unless_the_file_is_new(player, path, monkeypatch):
    read, real = [], player_module.read_clip
    monkeypatch.setattr(player_module, "read_clip", lambda path: read.append(path) or real(path))
    player.play(Cue(path))
    player.play(Cue(path))
    assert len(read) == 1
    write_clip(path, Clip(np.zeros((10, 1), np.float32), 48000), overwrite=True)
    player.play(Cue(path))
    assert len(read) == 2


def test_the_cache_is_bounded(player, tmp_path, monkeypatch):
    monkeypatch.setattr(player_module, "CACHE_BYTES", 3 * 8 * 1000)
    for i in range(6):
        write_clip(tmp_path / f"{i}.wav", Clip(np.full((1000, 1), 0.1, np.float32), 48000))
        player.play(Cue(tmp_path / f"{i}.wav"))
    assert [path.name for path, *_ in player._clips] == ["3.wav", "4.wav", "5.wav"]


def test_a_device_that_went_is_opened_again_with_its_volume(player, outputs, path):
    player.set_volume(0.5)
    player.play(Cue(path))
    outputs[0].is_alive = False
    player.play(Cue(path))
    assert len(outputs) == 2 and outputs[0].closed
    loud = Clip(outputs[1].render(4800), 48000).samples
    assert np.abs(loud).max() == pytest.approx(0.25, rel=0.01)


def test_no_device_says_so_and_one_that_comes_is_played_on(path):
    devices = []

    def open_output(name):
        if not devices:
            raise DeviceUnavailable("device: none")
        return devices[0]

    player = Player(open_output)
    with pytest.raises(DeviceUnavailable):
        player.play(Cue(path))
    player.stop()
    devices.append(HandOutput())
    player.play(Cue(path))
    assert devices[0].render(4800).any()
    player.close()


def test_a_file_that_is_none_is_refused(player, tmp_path):
    with pytest.raises(BadFile, match=r"moon\.wav"):
        player.play(Cue(tmp_path / "moon.wav"))
