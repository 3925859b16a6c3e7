"""MIDI in: notes fire slots of the loaded bank, program changes load banks. Needs the extra `midi`."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Event, Lock, Thread
from types import ModuleType
from typing import Protocol

from plugin_server.audio.names import name_key
from plugin_server.errors import MidiUnavailable, short_repr

log = logging.getLogger(__name__)

VIRTUAL = "virtual"
"""In the stead of an input's name: a port of the daemon's own that other programs send to."""
PORT = "Clipsonic Live"
LOOK_S = 2.0
"""Seconds from one look for an input to the next."""
LONGEST_LOOK_S = 60.0
"""The same at last where the driver itself fails, which may print something each time."""
CLOSE_S = 0.3
"""Seconds that a look has to end when the input is closed."""
MAX_EVENTS = 256
"""Notes and programs that may wait for the event loop."""
MAX_RELEASES = 2 * MAX_EVENTS
"""The same with notes that end and silence: what sounds has to end also when too much came."""
TELL_S = 1.0
"""Seconds from one word about messages that were left out to the next."""
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

    def overflow(self, n_dropped: int) -> None:
        """Tell that so many messages were left out, since too many came at once."""


class _Port(Protocol):
    """The part of mido's ports that is used."""

    def close(self) -> None:
        """Close it: no message comes any more."""


class MidiIn:
    """One MIDI input, on all channels: opened when it is there, and again whenever it comes back."""

    def __init__(self, name: str, pads: MidiTarget, on_loop: Callable[[Callable[[], None]], None]) -> None:
        """Open the MIDI input, or look for it from now on.

        Args:
            name: Name of the input, a part of it that no other has, or 'virtual'.
            pads: Gets notes and programs.
            on_loop: Has the pads' thread, the event loop, call a function: MIDI has a thread of its own.

        Raises:
            MidiUnavailable: The package that reads MIDI is missing, several inputs have this name, or the system has
                no virtual ports.
        """
        self._wanted, self._pads = VIRTUAL if name_key(name) == VIRTUAL else name, pads
        self._queue = _EventQueue(pads, on_loop)
        self._mido = _mido()
        self._port: _Port | None = None
        self._held: set[int] = set()
        """Notes that are held; of the driver's thread, but for when its port is closed."""
        self.name = ""
        """Name of the input that is open, in full; '' while it is not there."""
        self._problem = ""
        self._look_s = LOOK_S
        self.on_change: Callable[[str], None] = log.warning
        """Called with a sentence when the input has come or gone; in a thread of its own."""
        self._is_closed = Event()
        self._open(is_first=True)
        self._thread = Thread(target=self._watch, name="midi", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """The sentence that says whether the input is open."""
        if self.name:
            return f"MIDI comes in through {self.name!r}"
        return f"MIDI: {self._problem}; it is opened when it is there"

    def close(self) -> None:
        """Close the input: no message comes any more."""
        self._is_closed.set()
        self._thread.join(CLOSE_S)
        self._close_port()

    def look(self) -> None:
        """Open the input where it has come, and close it where it has gone; in one thread at a time."""
        before = self._port is not None, self._problem
        if self._port is None:
            self._open()
        elif self._wanted != VIRTUAL and self.name not in self._names(default=(self.name,)):
            self._problem = f"{self.name!r} is gone"
            self._close_port()
            for note in sorted(self._held):
                # Whoever holds a pad of an input that is gone cannot let it go.
                self._queue.put(partial(self._pads.release, note), MAX_RELEASES)
            self._held.clear()
        is_open = self._port is not None
        if is_open != before[0] or (not is_open and self._problem != before[1]):
            self.on_change(self.state)

    def _watch(self) -> None:
        while not self._is_closed.wait(self._look_s):
            try:
                self.look()
            except Exception:
                log.exception("midi")

    def _open(self, *, is_first: bool = False) -> None:
        """Open the port where it is there. Raises MidiUnavailable the first time, when waiting cannot help."""
        try:
            # The driver speaks up only when a port is asked for; mido raises whatever it raises.
            look_s, self._look_s = self._look_s, LOOK_S
            chosen = PORT if self._wanted == VIRTUAL else find_input(self._wanted, self._mido.get_input_names())
            if chosen is None:
                self._problem = f"{short_repr(self._wanted)} is not there"
                return
            # With a name for its client, mido opens a virtual port whatever else it is told.
            own = {"virtual": True, "client_name": PORT} if self._wanted == VIRTUAL else {}
            self._port = self._mido.open_input(chosen, callback=self._on_message, **own)
            self.name = chosen
        except MidiUnavailable as error:
            if is_first:
                raise
            self._problem = str(error).removeprefix("midi: ")
        except NotImplementedError as error:
            raise MidiUnavailable(
                f"midi: {short_repr(self._wanted)} cannot be opened: this system has no ports of our own; name an input"
            ) from error
        except (OSError, SystemError, ValueError, RuntimeError) as error:
            self._problem = f"{short_repr(self._wanted)} cannot be opened: {str(error).rstrip('.')}"
            self._look_s = min(2 * look_s, LONGEST_LOOK_S)

    def _close_port(self) -> None:
        port, self._port, self.name = self._port, None, ""
        if port:
            # What is gone may not close.
            with suppress(OSError, SystemError, RuntimeError):
                port.close()

    def _names(self, default: Sequence[str]) -> Sequence[str]:
        """Return the inputs that are there, `default` where the driver does not say."""
        try:
            names: list[str] = self._mido.get_input_names()
        except (OSError, SystemError, RuntimeError):
            return default
        return names

    def _on_message(self, message: MidiMessage) -> None:
        """Hand a message on; called in the driver's thread."""
        if message.type == "note_on" and message.velocity:
            self._held.add(message.note)
        elif message.type in ("note_on", "note_off"):
            self._held.discard(message.note)
        if action := action_of(message, self._pads):
            is_start = message.type in ("note_on", "program_change") and not _is_release(message)
            self._queue.put(action, MAX_EVENTS if is_start else MAX_RELEASES)


class _EventQueue:
    """Actions on their way from the driver's thread to the loop: so many, and no more."""

    def __init__(self, pads: MidiTarget, on_loop: Callable[[Callable[[], None]], None]) -> None:
        self._pads, self._on_loop = pads, on_loop
        self._lock = Lock()
        self._n_waiting = self._n_dropped = 0
        self._told_at = -math.inf

    def put(self, action: Callable[[], None], limit: int) -> None:
        """Have the loop call an action, where fewer than `limit` wait."""
        with self._lock:
            if self._n_waiting >= limit:
                self._n_dropped += 1
                return
            self._n_waiting += 1
        self._on_loop(partial(self._run, action))

    def _run(self, action: Callable[[], None]) -> None:
        with self._lock:
            self._n_waiting -= 1
            n_dropped, now = self._n_dropped, time.monotonic()
            is_told = bool(n_dropped) and now - self._told_at >= TELL_S
            if is_told:
                self._n_dropped, self._told_at = 0, now
        if is_told:
            self._pads.overflow(n_dropped)
        action()


def action_of(message: MidiMessage, pads: MidiTarget) -> Callable[[], None] | None:
    """Return the action that a message asks for; None for most of them. A note of velocity 0 is one that ends."""
    if message.type in ("note_on", "note_off"):
        if _is_release(message):
            return partial(pads.release, message.note)
        return partial(pads.note, message.note, message.velocity)
    if message.type == "program_change":
        return partial(pads.program, message.program)
    if message.type == "control_change" and message.control in (SOUND_OFF, NOTES_OFF):
        return pads.silence
    return None


def _is_release(message: MidiMessage) -> bool:
    return message.type == "note_off" or (message.type == "note_on" and not message.velocity)


def find_input(name: str, names: Sequence[str]) -> str | None:
    """Return the input of this name, or the only one whose name holds it; None when there is none.

    Raises MidiUnavailable when several names hold it.
    """
    matches = [other for other in names if name_key(name) in name_key(other)]
    if name in names:
        return name
    if len(matches) > 1:
        known = ", ".join((VIRTUAL, *names))
        raise MidiUnavailable(
            f"midi: got {short_repr(name)}, which {len(matches)} inputs have in their names, expected one of {known}"
        )
    return matches[0] if matches else None


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
