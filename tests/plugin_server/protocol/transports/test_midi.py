"""Messages of MIDI become notes, programs and silence; inputs are found by name."""

import threading
from types import SimpleNamespace

import pytest

from plugin_server.errors import MidiUnavailable
from plugin_server.protocol.transports import midi
from plugin_server.protocol.transports.midi import MidiIn, action_of, find_input

mido = pytest.importorskip("mido")


class Pads:
    """Records what was played."""

    def __init__(self):
        self.played = []

    def note(self, note, velocity):
        self.played.append(("note", note, velocity))

    def release(self, note):
        self.played.append(("release", note))

    def program(self, number):
        self.played.append(("program", number))

    def silence(self):
        self.played.append(("silence",))

    def overflow(self, n_dropped):
        self.played.append(("overflow", n_dropped))


@pytest.mark.parametrize(
    ("message", "played"),
    [
        (mido.Message("note_on", note=40, velocity=99, channel=9), [("note", 40, 99)]),
        (mido.Message("note_on", note=40, velocity=0), [("release", 40)]),
        (mido.Message("note_off", note=40, velocity=64), [("release", 40)]),
        (mido.Message("program_change", program=3), [("program", 3)]),
        (mido.Message("control_change", control=123, value=0), [("silence",)]),
        (mido.Message("control_change", control=120, value=0), [("silence",)]),
        (mido.Message("control_change", control=7, value=100), []),
        (mido.Message("clock"), []),
        (mido.Message("sysex", data=[1, 2]), []),
        (SimpleNamespace(type="unknown"), []),
    ],
)
def test_what_messages_ask_for(message, played):
    pads = Pads()
    if action := action_of(message, pads):
        action()
    assert pads.played == played


def test_an_input_is_found_by_a_part_of_its_name():
    names = ["LPD8 MIDI 1", "Launchpad", "Launchpad Pro"]
    assert find_input("lpd8", names) == "LPD8 MIDI 1"
    assert find_input("Launchpad", names) == "Launchpad"
    assert find_input("moon", names) is None
    with pytest.raises(
        MidiUnavailable, match="'launch', which 2 inputs have in their names, expected one of virtual, LPD8"
    ):
        find_input("launch", names)


class Mido:
    """The part of mido that opens ports, whose inputs come and go."""

    def __init__(self, *names):
        self.names, self.opened, self.closed, self.error = list(names), [], [], None

    def get_input_names(self):
        if self.error:
            raise self.error
        return list(self.names)

    def open_input(self, name, *, callback, virtual=False, client_name=None):
        if self.error:
            raise self.error
        # As the real one does.
        virtual = virtual or client_name is not None
        self.opened.append((name, virtual))
        self.callback = callback
        return SimpleNamespace(close=lambda: self.closed.append(name))


@pytest.fixture
def mido_now(monkeypatch):
    """A mido without inputs; looks are taken by hand."""
    fake = Mido()
    monkeypatch.setattr(midi, "_mido", lambda: fake)
    monkeypatch.setattr(MidiIn, "_watch", lambda self: None)
    return fake


@pytest.fixture
def open_midi():
    """Opens inputs, and closes them at the end."""
    opened = []

    def open_midi(name, pads, on_loop=lambda action: action()):
        opened.append(MidiIn(name, pads, on_loop))
        opened[-1].told = []
        opened[-1].on_change = opened[-1].told.append
        return opened[-1]

    yield open_midi
    for each in opened:
        each.close()


def test_an_input_that_is_not_there_is_opened_when_it_comes_and_again_when_it_comes_back(mido_now, open_midi):
    pads = Pads()
    port = open_midi("LPD8", pads)
    assert (port.name, port.state) == ("", "MIDI: 'LPD8' is not there; it is opened when it is there")
    port.look()
    assert port.told == []
    mido_now.names = ["Other", "LPD8:LPD8 MIDI 1 20:0"]
    port.look()
    assert port.told == ["MIDI comes in through 'LPD8:LPD8 MIDI 1 20:0'"] and port.name == "LPD8:LPD8 MIDI 1 20:0"
    mido_now.callback(mido.Message("note_on", note=40, velocity=99))
    mido_now.callback(mido.Message("note_on", note=41, velocity=99))
    mido_now.callback(mido.Message("note_off", note=41))
    port.look()
    mido_now.names = ["Other"]
    port.look()
    # The pad that was held cannot be let go any more.
    assert pads.played == [("note", 40, 99), ("note", 41, 99), ("release", 41), ("release", 40)]
    assert mido_now.closed == ["LPD8:LPD8 MIDI 1 20:0"] and "is gone; it is opened when it is there" in port.told[-1]
    # It may come back under another number.
    mido_now.names = ["LPD8:LPD8 MIDI 1 24:0"]
    port.look()
    assert mido_now.opened[-1] == ("LPD8:LPD8 MIDI 1 24:0", False) and len(port.told) == 3


@pytest.mark.parametrize("error", [OSError("no driver"), SystemError("no sequencer"), RuntimeError("busy")])
@pytest.mark.parametrize("name", ["LPD8", "virtual"])
def test_a_driver_that_fails_keeps_nothing_from_starting(mido_now, open_midi, name, error):
    mido_now.error = error
    port = open_midi(name, Pads())
    assert port.state == f"MIDI: '{name}' cannot be opened: {error}; it is opened when it is there"
    for seconds in (4, 8, 16, 32, 60, 60):
        assert port._look_s == seconds
        port.look()
    mido_now.error, mido_now.names = None, ["LPD8"]
    port.look()
    assert port.name in ("LPD8", midi.PORT) and port._look_s == 2
    mido_now.error = error
    # Where the driver does not say what is there, what is open stays open.
    port.look()
    assert port.name in ("LPD8", midi.PORT) and len(port.told) == 1


def test_a_port_of_our_own_is_asked_for_in_any_case(mido_now, open_midi):
    assert open_midi("Virtual", Pads()).name == midi.PORT
    assert mido_now.opened == [(midi.PORT, True)]


def test_what_waiting_cannot_mend_is_an_error(mido_now, open_midi):
    mido_now.names = ["Launchpad", "Launchpad Pro"]
    with pytest.raises(MidiUnavailable, match="'launch', which 2 inputs have in their names"):
        open_midi("launch", Pads())
    mido_now.error = NotImplementedError("no virtual ports")
    with pytest.raises(MidiUnavailable, match="'virtual' cannot be opened: this system has no ports of our own"):
        open_midi("virtual", Pads())


def test_a_name_that_becomes_ambiguous_is_told_and_waits(mido_now, open_midi):
    port = open_midi("launch", Pads())
    mido_now.names = ["Launchpad", "Launchpad Pro"]
    for _ in range(3):
        port.look()
    assert len(port.told) == 1 and "which 2 inputs have in their names" in port.told[0]
    mido_now.names = ["Launchpad"]
    port.look()
    assert port.name == "Launchpad"


def test_it_looks_by_itself_until_it_is_closed(mido_now, open_midi, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(midi, "_mido", lambda: mido_now)
    monkeypatch.setattr(midi, "LOOK_S", 0.01)
    came = threading.Event()
    port = open_midi("LPD8", Pads())
    port.on_change = lambda _: came.set()
    mido_now.names = ["LPD8"]
    assert came.wait(5)
    port.close()
    assert not port._thread.is_alive() and mido_now.closed == ["LPD8"]


def test_only_so_many_messages_wait_and_releases_have_room(mido_now, open_midi, monkeypatch):
    pads, waiting = Pads(), []
    mido_now.names = ["LPD8"]
    open_midi("LPD8", pads, waiting.append)
    for number in range(1000):
        mido_now.callback(mido.Message("note_on", note=number % 128, velocity=1))
        mido_now.callback(mido.Message("note_off", note=number % 128))
    mido_now.callback(mido.Message("control_change", control=123, value=0))
    assert len(waiting) == midi.MAX_RELEASES
    for action in waiting:
        action()
    assert pads.played[0] == ("overflow", 2001 - midi.MAX_RELEASES) and len(pads.played) == 1 + midi.MAX_RELEASES
    waiting.clear()
    mido_now.callback(mido.Message("note_on", note=1, velocity=1))
    waiting[0]()
    assert pads.played[-1] == ("note", 1, 1)
