"""The bank that is loaded, and which of its slots have their clip."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from plugin_server.errors import BadArgument, ClipsonicError, UnknownBank, shown
from plugin_server.studio.banks.files import Bank, BankRegistry, Slot, check_name
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate

FindExisting = Callable[[Generate], ClipMade | None]
"""The clip that a request would make, when there is one."""


@dataclass(frozen=True, slots=True)
class BankRow:
    """What a list of banks says of one."""

    name: str
    description: str
    """Why it cannot be used, when there are no slots."""
    n_slots: int
    is_edited: bool
    is_loaded: bool


@dataclass(slots=True)
class _Loaded:
    bank: Bank
    clips: dict[int, ClipMade] = field(default_factory=dict)


class LoadedBank:
    """One bank at a time, and edits of banks until they are saved.

    `bank` and `clip` look at what is known and may be asked from any thread; the other methods read files and must come
    from one thread.
    """

    def __init__(self, shelf: BankRegistry, find_made: FindExisting, first: str) -> None:
        self._shelf, self._find_made, self._first = shelf, find_made, first
        self._loaded: _Loaded | None = None
        self._edited: dict[str, Bank] = {}

    @property
    def bank(self) -> Bank | None:
        """The loaded one; None before the first is needed."""
        return self._loaded.bank if self._loaded else None

    def clip(self, number: int) -> ClipMade | None:
        """The clip of a slot of the loaded bank, as far as it is known."""
        return self._loaded.clips.get(number) if self._loaded else None

    def rows(self) -> list[BankRow]:
        """All banks, by name; those that cannot be used among them."""
        return [self._row(name) for name in self._names()]

    def need(self) -> Bank:
        """The loaded bank; the first time that of the settings is loaded. Raises what `load` raises."""
        return self._need().bank

    def load(self, name: str) -> Bank:
        """Take another bank, with its edits if it has any. Raises UnknownBank or BadFile; then the old one stays."""
        return self._load(name).bank

    def step(self, step: int) -> Bank:
        """The bank `step` places further in the list, which begins again at its end."""
        names = self._names()
        if not names:
            raise UnknownBank("bank: there are no banks")
        name = self.need().name
        place = names.index(name) if name in names else -1
        return self.load(names[(place + step) % len(names)])

    def load_number(self, number: int) -> Bank:
        """The bank at a place of the list, from 0. Raises BadArgument when there is none."""
        names = self._names()
        if not 0 <= number < len(names):
            raise BadArgument(f"bank: got number {number}, expected 0 to {len(names) - 1}")
        return self.load(names[number])

    def number_of(self, slot: str | int) -> int:
        """The number of a slot that is known by its number or its name. Raises BadArgument."""
        bank = self.need()
        if isinstance(slot, int):
            bank.slot(slot)
            return slot
        for number, other in enumerate(bank.slots):
            if other.name.casefold() == slot.casefold():
                return number
        raise BadArgument(
            f"slot: got {shown(slot)}, expected 0 to {len(bank.slots) - 1}, or a slot's name in {bank.name}"
        )

    def slot(self, number: int) -> Slot:
        """A slot of the loaded bank. Raises BadArgument."""
        return self.need().slot(number)

    def set(self, number: int, request: Generate) -> Slot:
        """Give a slot another request, or add one at the end; kept until the daemon ends, or for good by `save`."""
        loaded = self._need()
        bank = loaded.bank.with_request(number, request)
        self._edited[bank.name] = bank
        clips = dict(loaded.clips)
        clips.pop(number, None)
        self._loaded = _Loaded(bank, clips)
        self.look()
        return bank.slots[number]

    def save(self, name: str = "") -> tuple[Bank, Path]:
        """Write the loaded bank into the person's own folder, under another name if one is given, which is the loaded
        one then. Raises BadArgument or FolderNotWritable."""
        loaded = self._need()
        old = loaded.bank
        bank = replace(old, name=check_name(name)) if name else old
        path = self._shelf.save(bank)
        for saved in (old.name, bank.name):
            self._edited.pop(saved, None)
        self._loaded = _Loaded(bank, loaded.clips)
        return bank, path

    def look(self) -> list[int]:
        """Look for the clips of slots that have none; which have one now."""
        loaded = self._need()
        found = []
        for number, slot in enumerate(loaded.bank.slots):
            if number not in loaded.clips and (clip := self._find(slot)):
                loaded.clips[number] = clip
                found.append(number)
        return found

    def forget(self, number: int) -> None:
        """A slot's clip is not where it was."""
        if self._loaded:
            self._loaded.clips.pop(number, None)

    def _need(self) -> _Loaded:
        return self._loaded or self._load(self._first)

    def _load(self, name: str) -> _Loaded:
        loaded = self._loaded = _Loaded(self._edited.get(name) or self._shelf.find(name))
        self.look()
        return loaded

    def _find(self, slot: Slot) -> ClipMade | None:
        try:
            return self._find_made(slot.request)
        except ClipsonicError:
            # A slot for a model that is not installed is told when it is rendered; the others can be used.
            return None

    def _names(self) -> list[str]:
        return sorted(self._shelf.paths().keys() | self._edited.keys())

    def _row(self, name: str) -> BankRow:
        edited = name in self._edited
        loaded = self.bank is not None and self.bank.name == name
        try:
            bank = self._edited.get(name) or self._shelf.find(name)
        except ClipsonicError as error:
            return BankRow(name, str(error), 0, edited, loaded)
        return BankRow(name, bank.description, len(bank.slots), edited, loaded)
