"""Messages of MIDI become notes, programs and silence; inputs are found by name."""

from types import SimpleNamespace

import pytest

from plugin_server.errors import MidiUnavailable
from plugin_server.protocol.transports.midi import action_of, find_input

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
    for name in ("launch", "moon"):
        with pytest.raises(MidiUnavailable, match="expected one of virtual, LPD8 MIDI 1, Launchpad, Launchpad Pro"):
            find_input(name, names)
