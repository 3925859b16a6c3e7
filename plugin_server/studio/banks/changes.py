"""Changes of a person's banks: save, delete, rename and restore them, and edits that are not saved yet.

Every change is a step that can be undone. A file that is taken away or replaced goes to the system's trash, unless it
was written by this program and nobody has touched it since.
"""

import logging
import re
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from plugin_server.errors import BadArgument, BadFile, FolderNotWritable
from plugin_server.studio.banks.bank import Bank
from plugin_server.studio.banks.files import BankRegistry, bank_text, check_name, parse_text
from plugin_server.studio.banks.history import BankHistory, BankStep
from plugin_server.studio.banks.names import match_name
from plugin_server.studio.banks.text_folder import TextFolder
from plugin_server.studio.library.undo_files import MoveToTrash

log = logging.getLogger(__name__)

OWN, UNSAVED = "own", "unsaved"
"""Places of banks: the files of the person, and edits that are not saved yet."""
MAX_BANKS = 1000
"""Own banks, and banks with edits, that there may be."""
_NAME_LINE = re.compile(r"^name[ \t]*=[^\n]*$", re.MULTILINE)


def bank_data_folders(data_folder: Path) -> tuple[Path, Path]:
    """Return the folders of edits that were not saved, and of the steps that can be undone."""
    return data_folder / "unsaved-banks", data_folder / "bank-steps"


class BankChanges:
    """The own banks and the unsaved edits of a person, and what was done to them."""

    def __init__(
        self, registry: BankRegistry, data_folder: Path | None = None, trash: MoveToTrash | None = None
    ) -> None:
        """Keep edits and steps in `data_folder`, in folders of their own; without one, in memory."""
        self._registry, self._trash = registry, trash
        folders: tuple[Path | None, Path | None] = bank_data_folders(data_folder) if data_folder else (None, None)
        unsaved, self._steps_folder = folders
        self._unsaved = TextFolder(unsaved)
        self._unwritten: dict[str, Bank] = {}
        """Edits that could not be written, which are lost with this object."""

    @cached_property
    def _own(self) -> TextFolder:
        return TextFolder(self._registry.own_folder, self._trash)

    @cached_property
    def _history(self) -> BankHistory:
        places = {OWN: self._own, UNSAVED: self._unsaved}
        return BankHistory(places, self._steps_folder)

    def edited_names(self) -> list[str]:
        """Return the names of banks with edits that are not saved."""
        return sorted({*self._unsaved.names(), *self._unwritten})

    def edited(self, name: str) -> Bank | None:
        """Return a bank with its edits; None when it has none, or they cannot be read."""
        if name in self._unwritten:
            return self._unwritten[name]
        with suppress(BadFile):
            text = self._unsaved.read(name)
            return None if text is None else parse_text(self._unsaved.path(name), text)
        return None

    def edit(self, kind: str, bank: Bank) -> None:
        """Keep an edited bank until it is saved. Raises BadArgument when there are too many."""
        _check_count(UNSAVED, self._unsaved, bank.name)
        text = bank_text(bank, self._unsaved.path("").parent.absolute())
        self._unwritten.pop(bank.name, None)
        try:
            self._history.apply(kind, bank.name, {(UNSAVED, bank.name): text})
        except FolderNotWritable as error:
            log.warning("edits of %s are lost when the daemon ends: %s", bank.name, error)
            self._unwritten[bank.name] = bank

    def discard(self, name: str) -> None:
        """Drop the edits of a bank, so that it is as its file says."""
        self._unwritten.pop(name, None)
        self._history.apply("load", name, {(UNSAVED, name): None})

    def save(self, bank: Bank, edited: str, kind: str = "save") -> Path:
        """Write a bank into the own folder and drop the edits of it and of `edited`; return its path.

        A file of that name that somebody has written by hand goes to the trash. `kind` is what the step is called.
        Raises BadArgument or FolderNotWritable.
        """
        _check_count(OWN, self._own, bank.name)
        path = self._own.path(bank.name)
        text = bank_text(bank, path.parent.absolute())
        if not self._is_ours(bank.name):
            self._own.set_aside(bank.name)
        dropped = {(UNSAVED, name): None for name in (edited, bank.name)}
        self._history.apply(kind, bank.name, {(OWN, bank.name): text, **dropped})
        for name in (edited, bank.name):
            self._unwritten.pop(name, None)
        return path

    def delete(self, name: str) -> BankStep:
        """Put an own bank into the trash, and drop its edits; a shipped one of its name is there again.

        Raises UnknownBank, or BadArgument for a bank that is only shipped.
        """
        name = self.find_name(name)
        if not self._is_changed(name):
            raise BadArgument(f"bank: got {name}, which came with the program; expected one of your own")
        self._unwritten.pop(name, None)
        return self._history.apply("delete", name, {(OWN, name): None, (UNSAVED, name): None})

    def rename(self, name: str, new: str) -> BankStep:
        """Give an own bank another name, with its edits; its file keeps its comments.

        Raises UnknownBank, BadFile, or BadArgument for a bank that is only shipped or a name that another one has.
        """
        name, new = self.find_name(name), check_name(new)
        if not self._is_changed(name):
            raise BadArgument(
                f"bank: got {name}, which came with the program; expected one of your own (/bank/save {new} makes one)"
            )
        if new in self._registry.paths() or new in self.edited_names():
            raise BadArgument(f"name: got {new}, which another bank has; expected a new one")
        after: dict[tuple[str, str], str | None] = {}
        for place, folder in ((OWN, self._own), (UNSAVED, self._unsaved)):
            text = folder.read(name)
            if text is not None:
                after |= {(place, name): None, (place, new): _renamed(folder, name, new, text)}
        return self._history.apply("rename", name, after)

    def restore(self, name: str) -> BankStep:
        """Uncover the shipped bank of a name: an own one goes to the trash, and edits are dropped.

        Raises UnknownBank, or BadArgument when no such bank was shipped.
        """
        name = self.find_name(name)
        if name not in self._registry.shipped_names():
            raise BadArgument(f"bank: got {name}, expected one that came with the program")
        self._unwritten.pop(name, None)
        return self._history.apply("restore", name, {(OWN, name): None, (UNSAVED, name): None})

    def undo(self) -> BankStep:
        """Undo the newest step. Raises NothingToUndo, FolderNotWritable or TrashFailed."""
        return self._history.undo()

    def redo(self) -> BankStep:
        """Redo what was undone last. Raises NothingToUndo, FolderNotWritable or TrashFailed."""
        return self._history.redo()

    def names(self) -> list[str]:
        """Return the names of all banks, those that are only edits among them."""
        return sorted(self._registry.paths().keys() | set(self.edited_names()))

    def find(self, name: str) -> Bank:
        """Return a bank, with its edits if it has any. Raises UnknownBank or BadFile."""
        known = self.find_name(name)
        return self.edited(known) or self._registry.find(known)

    def find_name(self, name: str) -> str:
        """Return a bank's own spelling of its name. Raises UnknownBank."""
        return match_name(name, self.names()) or self._registry.find(name).name

    def _is_changed(self, name: str) -> bool:
        return self._own.path(name).is_file() or name in self.edited_names()

    def _is_ours(self, name: str) -> bool:
        """Return whether a bank's file is as this program writes it, without a comment or anything else of a person."""
        try:
            text = self._own.read(name)
            path = self._own.path(name)
            return text is None or text == bank_text(parse_text(path, text), path.parent.absolute())
        except BadFile:
            return False


def _check_count(place: str, folder: TextFolder, name: str) -> None:
    names = folder.names()
    if len(names) >= MAX_BANKS and name not in names:
        raise BadArgument(f"bank: there are {len(names)} {place} banks already, expected at most {MAX_BANKS}")


def _renamed(folder: TextFolder, name: str, new: str, text: str) -> str:
    """Return the text of a bank under its new name, with all that a person has written into it. Raises BadFile."""
    bank = parse_text(folder.path(name), text)
    head, mark, rest = text.partition("\n[")
    changed = _NAME_LINE.sub(f'name = "{new}"', head, count=1) + mark + rest
    expected = replace(bank, name=new)
    with suppress(BadFile):
        if parse_text(folder.path(new), changed) == expected:
            return changed
    return bank_text(expected, folder.path(new).parent.absolute())
