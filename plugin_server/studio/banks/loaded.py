"""The bank that is loaded, and the clips that its slots have so far."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from plugin_server.errors import BadArgument, ClipsonicError, UnknownBank
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.changes import BankChanges
from plugin_server.studio.banks.files import BankRegistry, check_name
from plugin_server.studio.banks.history import BankStep
from plugin_server.studio.banks.names import match_name
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate
from plugin_server.studio.words import normal_words

FindExisting = Callable[[Generate], ClipMade | None]
"""Returns the clip that a request would make, when it was made before."""


@dataclass(frozen=True, slots=True)
class BankSummary:
    """One bank as lists of banks show it."""

    name: str
    description: str
    """Why it cannot be used, when there are no slots."""
    n_slots: int
    is_edited: bool
    is_loaded: bool


@dataclass(slots=True)
class _BankClips:
    bank: Bank
    clips: dict[int, ClipMade] = field(default_factory=dict)
    """By slot number."""


class LoadedBank:
    """The one bank that is loaded at a time, and edits of banks until they are saved.

    `bank` and `clip` read what is known and may be asked from any thread; the other methods read files and must come
    from one thread.
    """

    def __init__(
        self,
        registry: BankRegistry,
        find_existing: FindExisting,
        default_name: str,
        changes: BankChanges | None = None,
    ) -> None:
        """Without `changes`, edits are lost with this object."""
        self._registry, self._find_existing, self._default_name = registry, find_existing, default_name
        self._changes = changes or BankChanges(registry)
        self._loaded: _BankClips | None = None

    @property
    def bank(self) -> Bank | None:
        """The bank that is loaded; None before the first is needed."""
        return self._loaded.bank if self._loaded else None

    def clip(self, number: int) -> ClipMade | None:
        """Return the clip of a slot of the loaded bank, as far as it is known."""
        return self._loaded.clips.get(number) if self._loaded else None

    def summaries(self) -> list[BankSummary]:
        """Return a line for each bank, by name; those that cannot be used among them."""
        return [self._summary(name) for name in self._names()]

    def require_bank(self) -> Bank:
        """Return the loaded bank; the first time that of the settings is loaded. Raises what `load` raises."""
        return self._require().bank

    def load(self, name: str) -> Bank:
        """Load another bank, with its edits if it has any. Raises UnknownBank or BadFile; then the old one stays."""
        return self._load(name).bank

    def reload(self, name: str) -> Bank:
        """Load a bank; the one that is loaded already is read anew, without its edits. Raises what `load` raises."""
        known = match_name(normal_words(name), self._names())
        if known and self.bank and self.bank.name == known and known in self._registry.paths():
            # First the file, so that edits are not lost to one that cannot be read.
            self._registry.find(known)
            self._changes.discard(known)
        return self.load(name)

    def step(self, step: int) -> Bank:
        """Load the bank that comes `step` further in the list, which begins again at its end."""
        names = self._names()
        if not names:
            raise UnknownBank("bank: there are no banks")
        name = self.require_bank().name
        index = names.index(name) if name in names else -1
        return self.load(names[(index + step) % len(names)])

    def load_number(self, number: int) -> Bank:
        """Load the bank of this number in the list, from 0. Raises BadArgument when there is none."""
        names = self._names()
        if not 0 <= number < len(names):
            raise BadArgument(f"bank: got number {number}, expected 0 to {len(names) - 1}")
        return self.load(names[number])

    def number_of(self, slot: str | int) -> int:
        """Return the number of a slot that is known by its number or its name. Raises BadArgument."""
        return self.require_bank().number_of(slot)

    def slot(self, number: int) -> Slot:
        """Return a slot of the loaded bank. Raises BadArgument."""
        return self.require_bank().slot(number)

    def set(self, number: int, request: Generate) -> Slot:
        """Give a slot another request, or add one at the end: an edit, which is kept apart until `save` is called."""
        loaded = self._require()
        return self._edit("set", loaded, loaded.bank.with_request(number, request), number)

    def clear(self, number: int) -> Slot:
        """Take away what a slot has; the others stay where they are. An edit as `set` makes. Raises BadArgument."""
        loaded = self._require()
        return self._edit("clear", loaded, loaded.bank.without(number), number)

    def set_launch(self, number: int, launch: Mapping[str, str]) -> Slot:
        """Give a slot another mode or time, by the names of `Slot`'s fields; kept as by `set`. Raises BadArgument."""
        loaded = self._require()
        bank = loaded.bank.with_launch(number, launch)
        self._changes.edit("set", bank)
        self._loaded = _BankClips(bank, loaded.clips)
        return bank.slots[number]

    def save(self, name: str = "") -> tuple[Bank, Path]:
        """Write the loaded bank into the person's own folder; return it and its path.

        Under another name if one is given, which is the loaded one then. Raises BadArgument or FolderNotWritable.
        """
        loaded = self._require()
        old, name = loaded.bank, normal_words(name)
        bank = replace(old, name=check_name(name)) if name else old
        path = self._changes.save(bank, old.name)
        self._loaded = _BankClips(bank, loaded.clips)
        return bank, path

    def delete(self, name: str) -> str:
        """Delete an own bank, and return its name. Raises what `BankChanges.delete` raises."""
        return self._follow(self._changes.delete(name)).bank

    def rename(self, name: str, new: str) -> str:
        """Rename an own bank, and return its old name. Raises what `BankChanges.rename` raises."""
        return self._follow(self._changes.rename(name, new)).bank

    def restore(self, name: str) -> str:
        """Uncover a shipped bank, and return its name. Raises what `BankChanges.restore` raises."""
        return self._follow(self._changes.restore(name)).bank

    def undo(self) -> BankStep:
        """Undo the newest step of any bank. Raises what `BankChanges.undo` raises."""
        return self._follow(self._changes.undo())

    def redo(self) -> BankStep:
        """Redo the step that was undone last. Raises what `BankChanges.redo` raises."""
        return self._follow(self._changes.redo())

    def refresh_clips(self) -> list[int]:
        """Search the clips of slots that have none; return the numbers of those that have one now."""
        loaded = self._require()
        numbers = []
        for number, slot in enumerate(loaded.bank.slots):
            if number not in loaded.clips and not slot.is_empty and (clip := self._find(slot)):
                loaded.clips[number] = clip
                numbers.append(number)
        return numbers

    def invalidate(self, number: int) -> None:
        """Drop what is known of a slot's clip, which is not where it was."""
        if self._loaded:
            self._loaded.clips.pop(number, None)

    def _require(self) -> _BankClips:
        return self._loaded or self._load(self._default_name)

    def _load(self, name: str) -> _BankClips:
        known = match_name(normal_words(name), self._names()) or name
        loaded = self._loaded = _BankClips(self._changes.edited(known) or self._registry.find(known))
        self.refresh_clips()
        return loaded

    def _edit(self, kind: str, loaded: _BankClips, bank: Bank, number: int) -> Slot:
        """Replace the loaded bank by one with another slot."""
        self._changes.edit(kind, bank)
        clips = dict(loaded.clips)
        clips.pop(number, None)
        self._loaded = _BankClips(bank, clips)
        self.refresh_clips()
        return bank.slots[number]

    def _follow(self, step: BankStep) -> BankStep:
        """Load anew what a step has changed; a bank that is there no longer gives way to another."""
        if self.bank and self.bank.name in step.banks:
            names = self._names()
            left = [name for name in (self.bank.name, *step.banks, self._default_name, *names) if name in names]
            # Without any bank, the old one stays under the pads.
            for name in left:
                with suppress(ClipsonicError):
                    self._load(name)
                    break
        return step

    def _find(self, slot: Slot) -> ClipMade | None:
        try:
            return self._find_existing(slot.request)
        except ClipsonicError:
            # A model that is not installed is an error when the slot is rendered; the others can be used.
            return None

    def _names(self) -> list[str]:
        return self._changes.names()

    def _summary(self, name: str) -> BankSummary:
        is_edited = name in self._changes.edited_names()
        is_loaded = self.bank is not None and self.bank.name == name
        try:
            bank = self._changes.edited(name) or self._registry.find(name)
        except ClipsonicError as error:
            return BankSummary(name, str(error), 0, is_edited, is_loaded)
        return BankSummary(name, bank.description, len(bank.slots), is_edited, is_loaded)
