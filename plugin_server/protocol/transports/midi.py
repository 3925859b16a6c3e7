"""MIDI in: notes fire slots of the loaded bank, program changes load banks. Needs the extra `midi`."""

from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from plugin_server.errors import MidiUnavailable, shown

VIRTUAL = "virtual"
"""Not the name of an input, but a port of our own that other programs send to."""
PORT = "Clipsonic Live"
SOUND_OFF, NOTES_OFF = 120, 123
"""Controllers by which a host asks for silence."""


class Message(Protocol):
    """What is used of mido's messages; all but the type only where the type has it."""

    type: str
    note: int
    velocity: int
    program: int
    control: int


class Pads(Protocol):
    """What notes and programs are for."""

    def note(self, note: int, velocity: int) -> None: ...

    def program(self, number: int) -> None: ...

    def silence(self) -> None: ...


class MidiIn:
    """One MIDI input, on all channels; raises MidiUnavailable when it cannot be opened.

    `later` lets work be done by the thread that the pads belong to: MIDI has one of its own.
    """

    def __init__(self, name: str, pads: Pads, later: Callable[[Callable[[], None]], None]) -> None:
        self._pads, self._later = pads, later
        mido = _mido()
        try:
            # The driver speaks up only when a port is asked for; mido raises whatever it raises.
            names: list[str] = [] if name == VIRTUAL else mido.get_input_names()
            chosen = PORT if name == VIRTUAL else find_input(name, names)
            self._port = mido.open_input(chosen, virtual=name == VIRTUAL, client_name=PORT, callback=self._hear)
        except (OSError, SystemError, ValueError, RuntimeError, NotImplementedError) as error:
            raise MidiUnavailable(f"midi: {shown(name)} cannot be opened: {error}") from error
        self.name = chosen
        """Of the input."""

    def close(self) -> None:
        """Hear nothing more."""
        self._port.close()

    def _hear(self, message: Message) -> None:
        """In the driver's thread."""
        if work := work_of(message, self._pads):
            self._later(work)


def work_of(message: Message, pads: Pads) -> Callable[[], None] | None:
    """What a message asks for; None for most of them. A note of velocity 0 is one that ends."""
    if message.type == "note_on" and message.velocity:
        return lambda: pads.note(message.note, message.velocity)
    if message.type == "program_change":
        return lambda: pads.program(message.program)
    if message.type == "control_change" and message.control in (SOUND_OFF, NOTES_OFF):
        return pads.silence
    return None


def find_input(name: str, names: list[str]) -> str:
    """The input of this name, or the only one whose name holds it. Raises MidiUnavailable."""
    alike = [other for other in names if name.casefold() in other.casefold()]
    if name in names:
        return name
    if len(alike) == 1:
        return alike[0]
    known = ", ".join((VIRTUAL, *names))
    raise MidiUnavailable(f"midi: got {shown(name)}, expected one of {known}")


def list_inputs() -> list[str]:
    """Names of the inputs that there are. Raises MidiUnavailable."""
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
        told = 'midi: python-rtmidi is not installed; pip install "clipsonic-live[midi]" brings it'
        raise MidiUnavailable(told) from error
    module: ModuleType = mido
    return module
