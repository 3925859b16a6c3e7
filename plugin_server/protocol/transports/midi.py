"""MIDI in: notes fire slots of the loaded bank, program changes load banks. Needs the extra `midi`."""

from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from plugin_server.errors import MidiUnavailable, short_repr

VIRTUAL = "virtual"
"""In the stead of an input's name: a port of the daemon's own that other programs send to."""
PORT = "Clipsonic Live"
SOUND_OFF, NOTES_OFF = 120, 123
"""Controllers by which a host asks for silence."""


class MidiMessage(Protocol):
    """The part of mido's messages that is used; only the type is always there."""

    type: str
    note: int
    velocity: int
    program: int
    control: int


class MidiTarget(Protocol):
    """The receiver of notes and programs; its methods belong to the event loop."""

    def note(self, note: int, velocity: int) -> None:
        """Fire the slots of a note, 0 to 127, at a velocity of 1 to 127."""

    def release(self, note: int) -> None:
        """End the slots of a note that sound while it is held."""

    def program(self, number: int) -> None:
        """Load the bank at this index of the list, from 0."""

    def silence(self) -> None:
        """Fade out everything that sounds."""


class MidiIn:
    """One MIDI input, on all channels."""

    def __init__(self, name: str, pads: MidiTarget, on_loop: Callable[[Callable[[], None]], None]) -> None:
        """Open the MIDI input.

        Args:
            name: Name of the input, a part of it that no other has, or 'virtual'.
            pads: Gets notes and programs.
            on_loop: Has the pads' thread, the event loop, call a function: MIDI has a thread of its own.

        Raises:
            MidiUnavailable: The input cannot be opened.
        """
        self._pads, self._on_loop = pads, on_loop
        mido = _mido()
        try:
            # The driver speaks up only when a port is asked for; mido raises whatever it raises.
            names: list[str] = [] if name == VIRTUAL else mido.get_input_names()
            chosen = PORT if name == VIRTUAL else find_input(name, names)
            self._port = mido.open_input(chosen, virtual=name == VIRTUAL, client_name=PORT, callback=self._on_message)
        except (OSError, SystemError, ValueError, RuntimeError, NotImplementedError) as error:
            raise MidiUnavailable(f"midi: {short_repr(name)} cannot be opened: {error}") from error
        self.name = chosen
        """Name of the input, in full."""

    def close(self) -> None:
        """Close the input: no message comes any more."""
        self._port.close()

    def _on_message(self, message: MidiMessage) -> None:
        """Hand a message on; called in the driver's thread."""
        if action := action_of(message, self._pads):
            self._on_loop(action)


def action_of(message: MidiMessage, pads: MidiTarget) -> Callable[[], None] | None:
    """Return the action that a message asks for; None for most of them. A note of velocity 0 is one that ends."""
    if message.type == "note_on" and message.velocity:
        return lambda: pads.note(message.note, message.velocity)
    if message.type in ("note_on", "note_off"):
        return lambda: pads.release(message.note)
    if message.type == "program_change":
        return lambda: pads.program(message.program)
    if message.type == "control_change" and message.control in (SOUND_OFF, NOTES_OFF):
        return pads.silence
    return None


def find_input(name: str, names: list[str]) -> str:
    """Return the input of this name, or the only one whose name holds it. Raises MidiUnavailable."""
    matches = [other for other in names if name.casefold() in other.casefold()]
    if name in names:
        return name
    if len(matches) == 1:
        return matches[0]
    known = ", ".join((VIRTUAL, *names))
    raise MidiUnavailable(f"midi: got {short_repr(name)}, expected one of {known}")


def list_inputs() -> list[str]:
    """Return the names of the inputs of this machine. Raises MidiUnavailable."""
    try:
        names: list[str] = _mido().get_input_names()
    except (OSError, SystemError, RuntimeError) as error:
        raise MidiUnavailable(f"midi: inputs cannot be listed: {error}") from error
    return names


def _mido() -> ModuleType:
    # Imported late: an extra, which only those who play by MIDI have installed.
    try:
        import mido
        import rtmidi  # noqa: F401
    except ImportError as error:
        sentence = 'midi: python-rtmidi is not installed; pip install "clipsonic-live[midi]" brings it'
        raise MidiUnavailable(sentence) from error
    module: ModuleType = mido
    return module
