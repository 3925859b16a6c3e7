"""Changes of banks: `/bank/clear`, `save`, `delete`, `rename`, `restore`, `undo` and `redo`, in the banks' thread."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import as_words, at_most, exactly
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import Argument, Row
from plugin_server.studio.banks.history import BankStep
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.banks.names import file_name

SLOTS_AND_DONE = ("/bank.slot", "/done")
ROWS = (
    Row(
        "/bank/clear",
        "empty a slot, by its number or name; the others stay where they are",
        (Argument("slot"),),
        replies=SLOTS_AND_DONE,
    ),
    Row(
        "/bank/save",
        "keep the bank as it is now, among your own; what you wrote by hand in a file of that name goes to the trash",
        (Argument("name", optional=True),),
    ),
    Row(
        "/bank/delete",
        "put a bank of your own into the system's trash; a shipped one of its name is there again",
        (Argument("name"),),
        replies=SLOTS_AND_DONE,
    ),
    Row(
        "/bank/rename",
        "give a bank of your own another name",
        (Argument("name"), Argument("new name")),
        replies=SLOTS_AND_DONE,
    ),
    Row(
        "/bank/restore",
        "bring a shipped bank back: your own of its name goes to the trash, and what was not saved is dropped",
        (Argument("name"),),
        replies=SLOTS_AND_DONE,
    ),
    Row(
        "/bank/undo",
        "one step of banks back: a slot that was set or cleared, a bank saved, deleted, renamed or restored",
        replies=SLOTS_AND_DONE,
    ),
    Row("/bank/redo", "the step of banks that was undone last, again", replies=SLOTS_AND_DONE),
)
"""Rows of the address table that this file answers."""

Announce = Callable[[Collection[Peer], Iterable[int]], None]
"""Sends slots of the loaded bank, by their numbers, to these peers and all who follow; in the banks' thread."""
ReadSlot = Callable[[LoadedBank, Atom], int]
"""Returns the number of a slot from its number or its name. Raises BadArgument."""
_Command = Callable[[Peer, Sequence[Atom]], list[Reply]]


class BankChangeCommands:
    """Handlers of the addresses that change banks; `thread` is the one that reads banks, `announce` works in it."""

    def __init__(self, bank: LoadedBank, thread: CommandThread, announce: Announce, read_slot: ReadSlot) -> None:
        self._bank, self._thread, self._announce, self._read_slot = bank, thread, announce, read_slot

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        commands: dict[str, _Command] = {
            "/bank/clear": self._clear,
            "/bank/save": self._save,
            "/bank/delete": self._delete,
            "/bank/rename": self._rename,
            "/bank/restore": self._restore,
            "/bank/undo": lambda peer, arguments: self._step("/bank/undo", self._bank.undo, peer, arguments),
            "/bank/redo": lambda peer, arguments: self._step("/bank/redo", self._bank.redo, peer, arguments),
        }
        return {address: partial(self._run, command) for address, command in commands.items()}

    def _run(self, command: _Command, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        return self._thread.run(lambda: command(peer, arguments))

    def _clear(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        (slot,) = exactly(1, "a slot", arguments)
        number = self._read_slot(self._bank, slot)
        self._bank.clear(number)
        self._announce([peer], [number])
        return [("/done", "/bank/clear", number)]

    def _save(self, _peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        at_most(1, "a name, or nothing for the bank's own", arguments)
        bank, path = self._bank.save(file_name(as_words("name", arguments)) if arguments else "")
        return [("/done", "/bank/save", bank.name, str(path))]

    def _delete(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        return self._changed(peer, lambda: ("/done", "/bank/delete", self._bank.delete(_read_name(arguments))))

    def _rename(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        name, new = exactly(2, "a bank's name and a new one", arguments)
        old, new_name = as_words("bank", [name]), file_name(as_words("name", [new]))
        return self._changed(peer, lambda: ("/done", "/bank/rename", self._bank.rename(old, new_name), new_name))

    def _restore(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        return self._changed(peer, lambda: ("/done", "/bank/restore", self._bank.restore(_read_name(arguments))))

    def _step(self, address: str, step: Callable[[], BankStep], peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)

        def done() -> Reply:
            undone = step()
            return ("/done", address, undone.kind, undone.bank)

        return self._changed(peer, done)

    def _changed(self, peer: Peer, change: Callable[[], Reply]) -> list[Reply]:
        """Change banks, and send the slots of the loaded one when it is another then."""
        before = self._bank.bank
        reply = change()
        after = self._bank.bank
        if after and after is not before:
            self._announce([peer], range(len(after.slots)))
        return [reply]


def _read_name(arguments: Sequence[Atom]) -> str:
    if not arguments:
        raise BadArgument("bank: got nothing, expected a name")
    return as_words("bank", arguments)
