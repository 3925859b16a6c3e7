"""The player with an output that is rendered by hand."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.playback import clip_cache, live_output
from plugin_server.audio.playback import player as player_module
from plugin_server.audio.playback.mixer import MAX_VOICES, Levels
from plugin_server.audio.playback.player import Cue, Player, loop_points, next_on_grid
from plugin_server.errors import BadArgument, BadFile, DeviceUnavailable, QueueFull
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


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded."""
    names, real = [], clip_cache.read_clip
    monkeypatch.setattr(clip_cache, "read_clip", lambda path: names.append(path.name) or real(path))
    return names


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(live_output, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


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


def test_a_new_tempo_keeps_the_position_in_the_bar(player, outputs, path):
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


def test_a_clip_is_resampled_to_the_device(tmp_path):
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    write_clip(tmp_path / "b.wav", Clip.mono(wave, 44100))
    output = HandOutput()
    player = Player(lambda _: output)
    player.play(Cue(tmp_path / "b.wav"))
    out = output.render(48000)[:, 0]
    player.close()
    assert np.abs(np.fft.rfft(out)).argmax() == 1000
    assert np.flatnonzero(out)[-1] > 47900


def test_a_device_that_went_is_opened_again_with_its_volume(player, outputs, path):
    player.set_volume(0.5)
    player.play(Cue(path))
    outputs[0].render(256)
    outputs[0].is_alive = False
    player.play(Cue(path))
    assert len(outputs) == 2 and outputs[0].closed
    loud = Clip(outputs[1].render(4800), 48000).samples
    assert np.abs(loud).max() == pytest.approx(0.25, rel=0.01)


def test_no_device_says_so_and_one_that_comes_is_played_on(path, clock):
    devices = []

    def open_output(_):
        if not devices:
            raise DeviceUnavailable("device: none")
        return devices[0]

    player = Player(open_output)
    with pytest.raises(DeviceUnavailable):
        player.play(Cue(path))
    player.stop()
    devices.append(HandOutput())
    clock.now += live_output.RETRY_S
    player.play(Cue(path))
    assert devices[0].render(4800).any()
    player.close()


def test_a_file_that_is_none_is_refused(player, tmp_path):
    with pytest.raises(BadFile, match=r"moon\.wav"):
        player.play(Cue(tmp_path / "moon.wav"))


def test_a_clip_is_stopped_by_its_path_or_with_all_others(player, outputs, path, tmp_path):
    other = tmp_path / "b.wav"
    write_clip(other, Clip(np.full((48000, 1), 0.25, np.float32), 48000))
    for cue in (Cue(path, loop=True), Cue(other)):
        player.play(cue)
    outputs[0].render(256)
    player.stop(path)
    # The fade takes 8 ms; then only the steady clip is heard.
    assert np.allclose(outputs[0].render(4800)[1000:], 0.25)
    player.stop()
    assert not outputs[0].render(4800)[1000:].any()


def test_a_clip_is_decoded_before_it_is_played_where_a_device_is_open(player, path, tmp_path, decoded):
    player.prepare(path)
    assert not decoded
    player.play(Cue(path))
    other = tmp_path / "b.wav"
    write_clip(other, Clip(np.zeros((10, 1), np.float32), 48000))
    player.prepare(other)
    player.play(Cue(other))
    assert decoded == ["a.wav", "b.wav"]
    # What is wrong with a clip is said when it is played.
    player.prepare(tmp_path / "none.wav")


def test_clips_are_prepared_behind_those_that_are_played(player, path, tmp_path, decoded):
    player.play(Cue(path))
    gate = threading.Event()
    waits = [player.submit(gate.wait, 5)]
    for name in "bcd":
        write_clip(tmp_path / f"{name}.wav", Clip(np.zeros((10, 1), np.float32), 48000))
        for _ in range(3):
            player.prepare_soon(tmp_path / f"{name}.wav")
    waits += [player.submit(player.play, Cue(tmp_path / "d.wav"))]
    gate.set()
    waits[-1].result(5)
    # One may have begun; the others come after what was asked for meanwhile.
    assert decoded[:3] == ["a.wav", "b.wav", "d.wav"]
    while player._to_prepare:
        player.submit(int).result(5)
    assert decoded == ["a.wav", "b.wav", "d.wav", "c.wav"]


def test_only_one_bank_s_clips_wait_to_be_prepared(player, path, monkeypatch):
    gate = threading.Event()
    player.submit(gate.wait, 5)
    for number in range(1000):
        player.prepare_soon(path.with_name(f"{number}.wav"))
    assert list(player._to_prepare)[-1].name == "999.wav"
    assert len(player._to_prepare) == player_module.MAX_PREPARED
    gate.set()


def test_metering_and_volume_go_on_with_another_device(player, outputs, path):
    assert player.take_levels() == (Levels(), 0, 0)
    player.set_metering(enabled=True)
    player.play(Cue(path, loop=True))
    outputs[0].render(4800)
    levels, n_voices, n_underruns = player.take_levels()
    assert 0.4 < levels.peak[0] <= 0.5
    assert (n_voices, n_underruns) == (1, 0)
    assert player.set_device("other") == "other"
    assert outputs[0].closed
    assert outputs[1].mixer.is_metering
    player.set_metering(enabled=False)
    assert not outputs[1].mixer.is_metering


def test_outputs_are_listed_with_the_one_in_use(player, path, monkeypatch):
    asked = []

    def list_outputs(*, rescan):
        asked.append(rescan)
        return [("Speakers", 2, 48000), ("by hand", 2, 44100)]

    monkeypatch.setattr(player_module, "list_outputs", list_outputs)
    assert [in_use for *_, in_use in player.devices()] == [False, False]
    player.play(Cue(path))
    assert player.devices() == [("Speakers", 2, 48000, False), ("by hand", 2, 44100, True)]
    # While a stream is open, PortAudio must not be started anew.
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("loop", "points"),
    [(False, None), (True, (0, 48000)), ((0.0, 1.0), (0, 48000)), ((0.25, 0.5), (12000, 24000))],
    ids=str,
)
def test_loop_points_are_frames(loop, points):
    assert loop_points(Cue(Path("x"), loop=loop), 48000, 48000) == points


@pytest.mark.parametrize("loop", [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.0, 1.1)], ids=str)
def test_loop_points_outside_of_the_clip_are_refused(loop):
    with pytest.raises(BadArgument, match=r"loop: got .* s, expected two points in order within 1 s"):
        loop_points(Cue(Path("x"), loop=loop), 48000, 48000)


def test_work_is_done_in_the_order_in_which_it_was_submitted(player, path):
    waits = [player.submit(player.set_tempo, bpm) for bpm in (90.0, 100.0)]
    waits.append(player.submit(player.play, Cue(path)))
    for wait in waits:
        wait.result(timeout=10)
    assert player.bpm == 100.0
    assert player.submit(player.link, join=None).result(timeout=10) == (False, 0, 100.0)


def test_a_full_queue_is_an_error_and_what_waits_at_the_end_is_dropped(player, path):
    gate, began = threading.Event(), threading.Event()
    player.submit(lambda: began.set() or gate.wait(5))
    assert began.wait(5)
    plays = [player.submit(player.play, Cue(path)) for _ in range(player_module.MAX_QUEUED)]
    with pytest.raises(QueueFull, match="512 commands wait for the player already"):
        player.submit(player.stop)
    threading.Timer(0.05, gate.set).start()
    player.close()
    assert all(play.cancelled() for play in plays)


def test_only_so_many_clips_wait_for_their_beat(player, outputs, path):
    for _ in range(MAX_VOICES):
        player.play(Cue(path, at="bar"))
        outputs[0].render(1)
    with pytest.raises(QueueFull, match="64 clips wait for their beat already"):
        player.play(Cue(path, at="bar"))
    player.stop()
    outputs[0].render(1)
    assert player.play(Cue(path, at="bar"))


def test_of_one_slot_the_last_waits_for_its_beat(player, outputs, path):
    player.play(Cue(path))
    outputs[0].render(4800)
    for gain in (1.0, 0.5, 0.25):
        player.play(Cue(path, at="beat", slot="bank/0", gain=gain))
        outputs[0].render(256)
    assert outputs[0].mixer.n_voices == 1
    assert 0.1 < np.abs(outputs[0].render(30000)).max() <= 0.126


def test_a_toggle_starts_and_stops(player, outputs, path):
    cue = Cue(path, loop=True, slot="bank/0", is_toggle=True)
    assert player.play(cue)
    assert outputs[0].render(10000)[-256:].any()
    assert not player.play(cue)
    assert not outputs[0].render(4800)[1000:].any()
    assert player.play(cue)
    assert outputs[0].render(10000)[-256:].any()


@pytest.mark.parametrize("tag", [None, "bank/0"])
def test_a_toggle_that_was_stopped_starts_though_the_device_has_not_asked_since(player, outputs, path, tag):
    cue = Cue(path, loop=True, slot="bank/0", is_toggle=True)
    assert player.play(cue)
    outputs[0].render(256)
    player.stop(tag)
    assert player.play(cue)
    player.play(Cue(path, at="bar", slot="bank/0"))
    outputs[0].render(4800)
    assert player.is_sounding("bank/0") and not player.play(cue)
    assert not player.is_sounding("bank/0") and player.play(cue)


@pytest.mark.parametrize("tag", ["id-of-a", "bank/0"])
def test_a_clip_is_stopped_by_its_id_or_its_slot(player, outputs, path, tag):
    player.play(Cue(path, loop=True, slot="bank/0", clip_id="id-of-a"))
    outputs[0].render(256)
    assert player.is_sounding(tag)
    player.stop("bank/1")
    assert outputs[0].render(4800)[-256:].any()
    player.stop(tag)
    outputs[0].render(4800)
    assert not player.is_sounding(tag) and outputs[0].mixer.n_voices == 0


def test_a_device_that_stalled_is_replaced_with_what_was_hit_last_and_all_loops(player, outputs, path):
    player.play(Cue(path, loop=True, clip_id="loop"))
    player.play(Cue(path, rate=0.25))
    heard = outputs[0].render(1000)
    outputs[0].is_alive = False
    player.play(Cue(path, gain=0.5))
    (resumed,) = [voice for voice, cue in player._live._voices if cue.loop]
    assert resumed.position == 1000
    out = outputs[1].render(256)
    # The loop goes on where it was, beside what was played; the shot that had begun is gone with its device.
    looped = outputs[1].mixer._voices[0].samples[:, 1000:1256].T
    assert np.allclose(out - looped, 0.5 * outputs[1].mixer._voices[0].samples[:, :256].T, atol=1e-6)
    assert len(heard) == 1000 and outputs[1].mixer.n_voices == 2


def test_the_rate_of_a_new_device_is_followed(outputs, path):
    rates = [48000, 24000]

    def open_output(name):
        outputs.append(HandOutput(name, rates[len(outputs)]))
        return outputs[-1]

    player = Player(open_output)
    player.play(Cue(path, loop=True))
    outputs[0].render(1000)
    outputs[0].is_alive = False
    player.play(Cue(path))
    loop, _shot = player._live._voices
    assert loop[0].position == 500 and loop[0].samples.shape == (2, 2400)
    player.close()
