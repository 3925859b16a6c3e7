"""Banks as values: slots, each a request with a name, a colour and a note, and what becomes of them by edits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from plugin_server.audio.names import name_key
from plugin_server.errors import BadArgument, short_repr
from plugin_server.studio.banks.launch import NOW, usual_mode
from plugin_server.studio.requests import ATTRIBUTES, Generate
from plugin_server.studio.words import normal_words

MAX_SLOTS = 128
MAX_BANK_BYTES = 2**21
"""Bytes of a bank's file: 128 slots with the longest prompts have half of it."""
FIRST_NOTE = 36
"""MIDI note of slot 0: the lowest pad of most pad controllers."""
DEFAULT_COLOUR = "#5f6f7f"
JOB_ATTRIBUTES = tuple(row for row in ATTRIBUTES if not row.in_bank)
"""Attributes that no slot has."""
LENGTH_KEYS = ("seconds", "bars")


@dataclass(frozen=True, slots=True)
class Slot:
    """A pad of a bank: what it asks for, and how it looks and plays."""

    name: str
    request: Generate
    """One take with a fixed seed."""
    colour: str = DEFAULT_COLOUR
    """#rrggbb"""
    tags: tuple[str, ...] = ()
    note: int | None = None
    """MIDI note, 0 to 127; None where 36 + slot is beyond MIDI's notes."""
    choke: str = ""
    """Slots of one choke group silence each other."""
    mode: str = ""
    """One of `launch.MODES`; '' for the usual one."""
    at: str = NOW
    """One of `launch.TIMES`: when it starts."""
    is_empty: bool = False
    """A pad without a sound; its request stands for none."""

    @property
    def launch_mode(self) -> str:
        """The launch mode, one of `launch.MODES`: the usual one where the slot names none."""
        return self.mode or usual_mode(is_loop=self.request.loop)


@dataclass(frozen=True, slots=True)
class Bank:
    """Up to 128 slots, counted from 0."""

    name: str
    description: str
    slots: tuple[Slot, ...]

    def slot(self, number: int) -> Slot:
        """Return the slot of a number. Raises BadArgument when there is none."""
        if not 0 <= number < len(self.slots):
            raise BadArgument(f"slot: got {number}, expected 0 to {len(self.slots) - 1} in {self.name}")
        return self.slots[number]

    def number_of(self, slot: str | int) -> int:
        """Return the number of a slot that is known by its number or its name. Raises BadArgument."""
        if isinstance(slot, int):
            self.slot(slot)
            return slot
        key = name_key(normal_words(slot))
        for number, other in enumerate(self.slots):
            if name_key(other.name) == key and not other.is_empty:
                return number
        raise BadArgument(
            f"slot: got {short_repr(slot)}, expected 0 to {len(self.slots) - 1}, or a slot's name in {self.name}"
        )

    def with_request(self, number: int, request: Generate) -> "Bank":
        """Return the bank with another request in a slot, which may be the first free one.

        Length and seed stay where the request has none. Raises BadArgument.
        """
        last = min(len(self.slots), MAX_SLOTS - 1)
        if not 0 <= number <= last:
            raise BadArgument(f"slot: got {number}, expected 0 to {last} in {self.name}")
        if any(getattr(request, row.field) != row.default for row in JOB_ATTRIBUTES):
            names = " or ".join(f"@{row.name}" for row in JOB_ATTRIBUTES)
            raise BadArgument(f"attribute: got {names}, expected neither: a slot is one clip")
        old = self.slots[number] if number < len(self.slots) else empty_slot(number)
        is_same = (request.prompt, request.images) == (old.request.prompt, old.request.images)
        name = request.name or (old.name if is_same else request.title)
        seed = old.request.seed if request.seed is None else request.seed
        length = {}
        if request.length_s is None:
            length = {key: getattr(old.request, key) for key in LENGTH_KEYS}
            length["bpm"] = old.request.bpm if request.bpm is None else request.bpm
            # Bars that stay are a loop as they were.
            length["loop"] = request.loop or (old.request.bars is not None and old.request.loop)
        new = replace(old, name=name, is_empty=False, request=replace(request, name=name, seed=seed, **length))
        return replace(self, slots=(*self.slots[:number], new, *self.slots[number + 1 :]))

    def with_launch(self, number: int, launch: Mapping[str, str]) -> "Bank":
        """Return the bank with another mode or time, by the names of `Slot`'s fields, in a slot. Raises BadArgument."""
        if self.slot(number).is_empty:
            raise BadArgument(f"slot: got {number}, which is empty; expected a prompt, too")
        slot = replace(self.slot(number), **launch)  # type: ignore[arg-type]  # mode and at are texts
        return replace(self, slots=(*self.slots[:number], slot, *self.slots[number + 1 :]))

    def without(self, number: int) -> "Bank":
        """Return the bank with an empty slot in place of one, so that the others stay where they are.

        Raises BadArgument.
        """
        self.slot(number)
        return replace(self, slots=(*self.slots[:number], empty_slot(number), *self.slots[number + 1 :]))


def default_note(number: int) -> int | None:
    """Return the MIDI note of a slot that names none; None beyond MIDI's notes."""
    return FIRST_NOTE + number if FIRST_NOTE + number <= 127 else None


def empty_slot(number: int) -> Slot:
    """Return a pad without a sound."""
    return Slot("", Generate("empty", seed=number), note=default_note(number), is_empty=True)
