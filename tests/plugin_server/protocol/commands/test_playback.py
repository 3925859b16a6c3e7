"""Live output over real sockets, with an output that is rendered by hand."""

import os
import threading
import time
from contextlib import ExitStack, suppress

import numpy as np
import pytest
import soundfile

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.playback import live_output
from plugin_server.audio.playback import player as player_module
from plugin_server.errors import ClipsonicError
from plugin_server.settings import Settings
from tests.conftest import running_daemon
from tests.support.odd_files import ODD_KINDS, make_odd, posix
from tests.support.outputs import HandOutput, player_on
from tests.support.recipes import write_as_made


@pytest.fixture(scope="module")
def live(toys, tmp_path_factory):
    """A daemon, and the devices that its player finds: none when the list is empty."""
    devices = [HandOutput()]

    folder = tmp_path_factory.mktemp("live")
    write_as_made(folder, "two words.wav", Clip(np.full((4800, 1), 0.5, np.float32), 48000))
    settings = Settings(osc_port=0, folder=folder, model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys, player_on(devices)) as running:
        yield running, devices


@pytest.fixture
def output(live):
    devices = live[1]
    devices[0].mixer.stop()
    devices[0].render(2048)
    return devices[0]


def test_a_file_is_played_with_its_attributes(live, output):
    with live[0].client() as client:
        done = client.ask("/play", "two words.wav", "@gain", 0.5, "@pan", -1, "@rate", 2, reply="/done")
        assert done == ("/play", "two words.wav", str(live[0].folder / "two words.wav"))
        out = output.render(4096)
    assert out[100] == pytest.approx([0.25 * 2**0.5, 0.0], abs=1e-6)
    assert np.flatnonzero(out[:, 0])[-1] == 2399


def test_what_was_made_is_played_by_its_id_and_as_the_last(live, output):
    with live[0].client() as client:
        (made,) = [m for m in client.generate("sea waves", 0.5) if m.address == "/clip"]
        assert client.ask("/play", made.arguments[1], reply="/done")[2] == made.arguments[2]
        assert output.render(4096).any()
        assert client.ask("/play", reply="/done")[1:] == ("last", made.arguments[2])


def test_stop_ends_a_loop(live, output):
    with live[0].client() as client:
        client.ask("/play", "two words.wav", "@loop", 1, reply="/done")
        assert output.render(20000)[-1, 0] == 0.5
        assert client.ask("/stop", "two words.wav", reply="/done") == ("/stop", "two words.wav")
        assert not output.render(4096)[1000:].any()
        client.ask("/play", "two words.wav", "@loop", 1, reply="/done")
        output.render(256)
        assert client.ask("/stop", "all", reply="/done") == ("/stop", "all")
        assert not output.render(4096)[1000:].any()


def test_volume_is_heard(live, output):
    with live[0].client() as client:
        assert client.ask("/volume", 0.5, reply="/done") == ("/volume", 0.5)
        client.ask("/play", "two words.wav", reply="/done")
        assert output.render(2048)[-1, 0] == pytest.approx(0.25)
        assert client.ask("/volume", reply="/done") == ("/volume", 0.5)
        client.ask("/volume", 1, reply="/done")


def test_settings_without_a_value_tell_it(live, output):
    with live[0].client() as client:
        client.ask("/play", "two words.wav", reply="/done")
        assert client.ask("/device/set", reply="/done") == ("/device/set", "by hand")
        assert client.ask("/meter", reply="/done") == ("/meter", 0)
        client.ask("/meter", 1, reply="/done")
        assert client.ask("/meter", reply="/done") == ("/meter", 1)
        client.ask("/meter", 0, reply="/done")
        assert client.ask("/notify", reply="/done") == ("/notify", 0)
        told = client.ask("/notify", 1, reply="/done")
        assert client.ask("/notify", reply="/done") == told
        client.ask("/notify", 0, reply="/done")
        assert client.ask("/link", reply="/done")[:2] == ("/link", 0)


def test_link_is_joined_and_left(live):
    pytest.importorskip("aalink")
    with live[0].client() as client:
        joined = client.ask("/link", 1, reply="/done")
        assert joined[:2] == ("/link", 1) and joined[3] > 0
        assert client.ask("/link", reply="/done")[1] == 1
        left = client.ask("/link", 0, reply="/done")
        assert left[:3] == ("/link", 0, 0)
        client.ask("/tempo", 120, reply="/done")


def test_levels_come_while_they_are_asked_for(live, output):
    with live[0].client() as client, live[0].client() as other:
        client.ask("/play", "two words.wav", "@loop", 1, reply="/done")
        assert client.ask("/meter", 1, reply="/done") == ("/meter", 1)
        other.ask("/meter", 1, client.port, reply="/done")
        for _ in range(100):
            output.render(480)
            levels = client.ask("/version", reply="/levels")
            if levels[0] > 0:
                break
        assert levels[:4] == pytest.approx((0.5, 0.5, 0.5, 0.5), abs=0.01) and levels[4:] == (1, 0)
        client.ask("/meter", 0, reply="/done")
        client.send("/sync", 7)
        heard = [client.receive().address]
        while heard[-1] != "/synced":
            heard.append(client.receive().address)
        assert heard.count("/levels") <= 1


def test_a_loop_between_points_an_attack_and_a_release(live, output):
    with live[0].client() as client:
        client.ask("/play", "two words.wav", "@loop", 0.02, 0.06, "@attack", 0.01, "@release", 0.1, reply="/done")
        out = output.render(20000)[:, 0]
        assert 0 < out[100] < 0.5 and out[-1] == 0.5
        client.ask("/stop", "two words.wav", reply="/done")
        out = output.render(9600)[:, 0]
        assert out[2400] == pytest.approx(0.25, abs=0.01) and out[-1] == 0


def test_tempo_sets_the_beat(live, output):
    with live[0].client() as client:
        assert client.ask("/tempo", 600, reply="/done") == ("/tempo", 600.0)
        assert client.ask("/tempo", reply="/done") == ("/tempo", 600.0)
        client.ask("/play", "two words.wav", "@at", "beat", reply="/done")
        before = output.mixer.frame
        first = np.flatnonzero(output.render(12000)[:, 0])[0]
    assert 0 < first <= 4800 + 256 and first + before > 0


@pytest.mark.parametrize(
    ("address", "arguments", "sentence"),
    [
        ("/play", ["moon"], "clip: got 'moon', expected"),
        ("/play", ["../../etc/passwd"], "clip: got"),
        ("/play", ["two words.wav", "@gain", 9], "gain: got 9, expected 0 to 4"),
        ("/play", ["two words.wav", "@at", "noon"], "at: got 'noon', expected one of now, beat, bar"),
        ("/play", ["two words.wav", "@loop", 0.5, 0.2], "loop: got 0.5 to 0.2 s, expected two points in order"),
        ("/play", ["two words.wav", "@loop", 0, 9], "loop: got 0 to 9 s, expected two points in order within 0.1 s"),
        ("/play", ["two words.wav", "@attack", -1], "attack: got -1, expected 0 to 30"),
        ("/link", [2], "link: got 2, expected 0 or 1"),
        ("/meter", [2], "meter: got 2, expected 0 or 1"),
        ("/meter", [1, 0], "port: got 0"),
        ("/play", ["two words.wav", "@speed", 1], "attribute: got @speed"),
        ("/volume", [1.5], "volume: got 1.5, expected 0 to 1"),
        ("/volume", [0.5, 1], "volume: got 2 values, expected 0 to 1"),
        ("/volume", [float("nan")], "volume: got nan"),
        ("/tempo", [0], "tempo: got 0, expected 20 to 999"),
    ],
)
def test_what_cannot_be_is_told(live, address, arguments, sentence):
    with live[0].client() as client, pytest.raises(ClipsonicError, match=sentence.replace("..", r"\.\.")):
        client.ask(address, *arguments, reply="/done")


def test_a_link_out_of_the_folder_is_not_followed(live, tmp_path):
    write_clip(tmp_path / "secret.wav", Clip(np.zeros((10, 1), np.float32), 48000))
    (live[0].folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    with live[0].client() as client, pytest.raises(ClipsonicError, match="clip: got 'link"):
        client.ask("/play", "link.wav", reply="/done")
    (live[0].folder / "link.wav").unlink()


def test_without_a_device_clips_are_made_and_a_new_one_is_played_on(live):
    running, devices = live
    devices.pop().is_alive = False
    with running.client() as client:
        with pytest.raises(ClipsonicError, match="device: the default output cannot be opened"):
            client.ask("/play", "two words.wav", reply="/done")
        assert "/clip" in [m.address for m in client.generate("rain", 0.5)]
        time.sleep(live_output.RETRY_S)
        devices.append(HandOutput())
        client.ask("/play", "two words.wav", reply="/done")
    assert devices[0].render(4096).any()


def until(client, address):
    """The next message of an address."""
    while (message := client.receive(10)).address != address:
        pass
    return message.arguments


def test_a_device_that_is_lost_while_nothing_is_asked_for_is_told_and_its_loop_goes_on(live, output):
    running, devices = live
    with running.client() as client, running.client() as follower:
        follower.ask("/notify", 1, reply="/done")
        client.ask("/play", "two words.wav", "@loop", 1, reply="/done")
        output.render(480)
        devices.pop().is_alive = False
        for each in (client, follower):
            told = until(each, "/fail")
            assert told[:2] == ("/play", "device_unavailable") and "cannot be opened" in told[2]
            assert until(each, "/device") == ("by hand", 2, 48000, 0)
        devices.append(HandOutput("another"))
        for each in (client, follower):
            assert until(each, "/device") == ("another", 2, 48000, 1)
        assert devices[0].render(20000)[-1, 0] == 0.5
        follower.ask("/notify", 0, reply="/done")
        client.ask("/stop", reply="/done")


def test_a_thousand_plays_without_a_device_keep_nobody_waiting(live, output):
    running, devices = live
    lost = devices.pop()
    lost.is_alive = False
    with running.client() as client, running.client() as other:
        for _ in range(1000):
            client.send("/play", "two words.wav")
        began, volume = time.monotonic(), None
        while volume is None:
            with suppress(ClipsonicError, TimeoutError):
                volume = other.ask("/volume", 1, reply="/done", timeout_s=0.5)
        assert time.monotonic() - began < 5
        assert until(client, "/fail")[1] == "device_unavailable"
    time.sleep(live_output.RETRY_S)
    lost.is_alive = True
    devices.append(lost)


def test_commands_about_devices_are_few(live, output, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(player_module, "list_outputs", lambda *, rescan: gate.wait(5) and [])
    with live[0].client() as client:
        for _ in range(9):
            client.send("/device/list")
        assert until(client, "/fail")[1:3] == ("queue_full", "8 commands about devices wait already; try again later")
        gate.set()
        assert [until(client, "/done") for _ in range(8)] == [("/device/list", 0)] * 8
        assert client.ask("/device/list", reply="/done") == ("/device/list", 0)


def test_what_waits_when_the_daemon_ends_is_dropped_and_told(toys, tmp_path):
    gate, began, output = threading.Event(), threading.Event(), HandOutput()
    player = player_on([output])
    write_as_made(tmp_path / "clips", "a.wav", Clip(np.full((480, 1), 0.5, np.float32), 48000))
    settings = Settings(osc_port=0, folder=tmp_path / "clips", model="toy", device="cpu", threads=1)
    with ExitStack() as stack:
        with running_daemon(settings, toys, player) as running:
            client = stack.enter_context(running.client())
            player.submit(lambda: began.set() or gate.wait(5))
            began.wait(5)
            for _ in range(100):
                client.send("/play", "a.wav")
            client.ask("/status", reply="/status.reply")
        # What the player is at hangs until the daemon has ended without it.
        gate.set()
        told = [until(client, "/fail") for _ in range(100)]
    assert {(address, sentence) for address, _, sentence, _ in told} == {("/play", "the daemon is being stopped")}
    assert output.mixer.n_voices == 0


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff"])
def test_a_sound_of_ones_own_is_played_and_stopped_and_no_more(live, output, ending):
    running, path = live[0], live[0].folder / "mine" / f"own {ending}.{ending}"
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.full((4800, 2), 0.25, np.float32), 44100)
    with running.client() as client:
        for name in (f"mine/own {ending}.{ending}", f"mine/own {ending}", str(path)):
            assert client.ask("/play", name, "@loop", 1, reply="/done") == ("/play", name, str(path))
            assert output.render(256).any()
            assert client.ask("/stop", name, reply="/done") == ("/stop", name)
            output.render(4096)
            assert not output.render(256).any()
        for command in ("/clip/info", "/clip/star", "/clip/delete", "/clip/again"):
            code, sentence = client.ask(command, str(path), reply="/fail")[1:3]
            assert (code, path.name in sentence) == ("unknown_clip", True)
            assert "holds no recipe that could be read: it can be played, no more" in sentence


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_what_is_no_file_is_not_played(live, output, kind):
    path = live[0].folder / f"odd-{kind}.wav"
    make_odd(path, kind)
    with live[0].client() as client:
        assert client.ask("/play", path.name, reply="/fail")[1] == "unknown_clip"
        for name in ("../settings.toml", "/etc/passwd", "..", ".", "a\\b.wav"):
            assert client.ask("/play", name, reply="/fail")[1] == "unknown_clip"


def test_a_file_that_is_broken_or_too_long_is_not_played(live, output):
    (live[0].folder / "broken.wav").write_bytes(b"RIFF")
    head = b"WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data" + (20_000_000).to_bytes(4, "little")
    (live[0].folder / "long.wav").write_bytes(b"RIFF" + (20_000_036).to_bytes(4, "little") + head)
    os.truncate(live[0].folder / "long.wav", 20_000_044)
    with live[0].client() as client:
        assert client.ask("/play", "broken.wav", reply="/fail")[1] == "bad_file"
        code, sentence = client.ask("/play", "long.wav", reply="/fail")[1:3]
    assert (code, "got 1250 s, expected at most 600 to be played" in sentence) == ("bad_file", True)
