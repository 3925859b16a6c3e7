"""The output that is watched, lost and opened again, with devices and a clock of the test's own."""

from types import SimpleNamespace

import numpy as np
import pytest

from plugin_server.audio.playback import live_output
from plugin_server.audio.playback.live_output import RESUME_S, RETRY_S, DeviceChange, LiveOutput
from plugin_server.audio.playback.voice import Voice
from plugin_server.errors import BadFile, DeviceUnavailable
from tests.support.outputs import HandOutput


class Stage:
    """An output whose devices come and go."""

    def __init__(self, monkeypatch):
        self.clock = SimpleNamespace(now=100.0)
        monkeypatch.setattr(live_output, "time", SimpleNamespace(monotonic=lambda: self.clock.now))
        monkeypatch.setattr(live_output, "RUN_S", 0.005)
        self.devices, self.opened, self.resumed, self.changes = [HandOutput("one")], [], [], []
        self.live = LiveOutput(self.open, self.resume)
        self.live.on_change = self.changes.append

    def open(self, name):
        self.opened.append(name)
        for device in self.devices:
            if name in ("", device.name):
                return device
        raise DeviceUnavailable(f"device: no {name or 'default'} ({len(self.opened)})")

    def resume(self, output, interrupted):
        self.resumed.append(interrupted.cue)
        if interrupted.cue == "broken":
            raise BadFile("broken")
        self.start(interrupted.cue, loop=interrupted.is_loop, output=output)

    def start(self, cue, *, loop=True, output=None):
        output = output or self.live.require()
        voice = Voice(np.full((2, 4800), 0.1, np.float32), tags=(cue,), loop=(0, 4800) if loop else None)
        output.mixer.play(voice)
        self.live.add(voice, cue)

    def lose(self, *others):
        """Take the devices away, and put others in their place."""
        for device in self.devices:
            device.is_alive = False
        self.devices[:] = others

    def look(self, seconds=0.5):
        self.clock.now += seconds
        self.live.watch()


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


def test_nothing_is_opened_before_it_is_needed(stage):
    stage.look()
    assert stage.opened == [] and stage.live.output is None
    assert stage.live.require() is stage.devices[0]
    stage.look()
    assert stage.opened == [""] and stage.changes == []


def test_a_device_that_cannot_be_opened_is_not_tried_again_for_a_second(stage):
    stage.devices.clear()
    for _ in range(5):
        with pytest.raises(DeviceUnavailable, match=r"no default \(1\)"):
            stage.live.require()
        stage.clock.now += RETRY_S / 10
    # Another one is.
    with pytest.raises(DeviceUnavailable, match="no two"):
        stage.live.set_device("two")
    stage.clock.now += RETRY_S
    stage.devices.append(HandOutput("one"))
    assert stage.live.require().name == "one"


def test_a_loss_is_seen_while_idle_and_loops_go_on_with_another_device(stage):
    for cue, loop in (("loop", True), ("broken", True), ("shot", False)):
        stage.start(cue, loop=loop)
    first = stage.devices[0]
    first.render(480)
    stage.start("hit after the stall", loop=False)
    second = HandOutput("two", 44100)
    stage.lose(second)
    stage.look()
    assert first.closed and stage.live.output is second
    # What had begun and is no loop has been heard in part; what had not is heard now.
    assert stage.resumed == ["loop", "broken", "hit after the stall"]
    assert stage.changes == [DeviceChange("two", 44100)]
    second.render(480)
    stage.look()
    assert second.mixer.n_voices == 2 and len(stage.changes) == 1


def test_a_loop_waits_some_seconds_for_its_device(stage):
    stage.start("loop")
    stage.start("shot", loop=False)
    stage.devices[0].render(4801)
    stage.start("hit", loop=False)
    stage.lose()
    stage.look()
    assert [(change.name, bool(change.problem)) for change in stage.changes] == [("one", True)]
    assert "no default" in stage.changes[0].problem
    stage.look(RESUME_S / 2)
    assert stage.live.is_sounding("loop") and not stage.live.is_sounding("hit")
    stage.devices.append(HandOutput("back"))
    stage.look(RETRY_S)
    assert stage.resumed == ["loop"] and stage.changes[1:] == [DeviceChange("back", 48000)]
    stage.devices[0].render(480)
    stage.look()
    stage.look(100)
    assert len(stage.changes) == 2


def test_a_loop_that_waited_too_long_ends_and_that_is_told(stage):
    stage.start("loop")
    stage.devices[0].render(480)
    stage.lose()
    for _ in range(30):
        stage.look()
    assert not stage.live.is_sounding("loop") and len(stage.changes) == 2
    assert "one asks for no samples, and 1 that sounded end" in stage.changes[1].problem
    n_tried = len(stage.opened)
    stage.look(100)
    assert len(stage.opened) == n_tried


def test_a_device_that_opens_and_never_asks_is_given_up(stage):
    stage.start("loop")
    stage.devices[0].render(480)
    for number in range(30):
        # A first buffer is asked for.
        stage.lose(HandOutput(f"deaf {number}"))
        stage.look()
        if stage.live.output:
            stage.live.output.render(200)
    assert "1 that sounded end" in stage.changes[-1].problem
    assert len([change for change in stage.changes if change.problem]) == 1


def test_without_anything_that_sounds_a_deaf_device_is_opened_once_more_and_no_oftener(stage):
    stage.live.require().render(480)
    for number in range(10):
        stage.lose(HandOutput(f"deaf {number}"))
        stage.look()
        if stage.live.output:
            stage.live.output.render(200)
    assert len(stage.opened) == 2
    assert "asks for no samples; what is played next opens it again" in stage.changes[-1].problem


def test_a_stop_reaches_what_waits_for_a_device(stage):
    for cue in ("a", "b"):
        stage.start(cue)
    stage.devices[0].render(480)
    stage.live.stop("a")
    stage.lose()
    stage.look()
    assert not stage.live.is_sounding("a") and stage.live.is_sounding("b")
    stage.live.stop("b")
    assert not stage.live.is_sounding("b")
    stage.devices.append(HandOutput("one"))
    stage.look(RETRY_S)
    assert stage.resumed == []


def test_another_device_that_cannot_be_opened_leaves_the_old_one(stage):
    stage.start("loop")
    stage.devices[0].render(480)
    with pytest.raises(DeviceUnavailable, match="no two"):
        stage.live.set_device("two")
    assert stage.live.device == ""
    stage.look()
    assert stage.resumed == ["loop"] and stage.live.output is stage.devices[0]


def test_another_device_begins_in_silence(stage):
    stage.start("loop")
    stage.devices[0].render(480)
    stage.devices.append(HandOutput("two"))
    assert stage.live.set_device("two") == "two"
    stage.look()
    assert stage.resumed == stage.changes == []
    assert stage.live.output.mixer.n_voices == 0


def test_closing_ends_all(stage):
    stage.start("loop")
    stage.live.close()
    assert stage.devices[0].closed and stage.live.output is None
    stage.look(RETRY_S)
    assert len(stage.opened) == 1
    stage.live.close()
