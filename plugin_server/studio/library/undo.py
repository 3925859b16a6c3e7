"""Steps back and forth: each thing done to the library is a step that can be undone, and done again."""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from plugin_server.errors import NothingToUndo, TrashFailed, UnknownClip
from plugin_server.studio.library.records import ClipRecord, entry_of, move
from plugin_server.studio.library.undo_files import Trash, UndoFiles

log = logging.getLogger(__name__)

REMEMBERED = 1000
"""Steps that can be undone."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a step did to one clip."""

    clip: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was undone or done again."""

    kind: str
    """'generate', 'delete', 'star' or 'tag'."""
    entries: tuple[ClipRecord, ...]
    """The clips it touched, as they are now."""


Way = Callable[[sqlite3.Connection, ClipRecord, Change, ExitStack], None]
"""Changes one clip; the stack learns how its file goes back to where it was."""


class History:
    """The steps of one index. Every method works within the caller's transaction."""

    def __init__(self, folder: Path, kept: UndoFiles, trash: Trash) -> None:
        self._folder, self._kept, self._trash = folder, kept, trash
        # By kind: how it is undone, how it is done again.
        self._ways = {
            "generate": (self._take_out, self._bring_back),
            "delete": (self._bring_back, self._throw_away),
            "star": (_setter("star", "before"), _setter("star", "after")),
            "tag": (_setter("tags", "before"), _setter("tags", "after")),
        }

    def record(self, connection: sqlite3.Connection, kind: str, changes: Iterable[Change], request: str = "") -> None:
        """Remember a step; what was undone before can be done again no longer, and its files go to the trash.

        Takes of one `request` make one step.
        """
        self._drop_undone(connection)
        last = connection.execute("SELECT number, request FROM steps ORDER BY number DESC LIMIT 1").fetchone()
        if request and last and last["request"] == request:
            step = last["number"]
        else:
            step = connection.execute("INSERT INTO steps (kind, request) VALUES (?, ?)", (kind, request)).lastrowid
        rows = [(step, change.clip, change.before, change.after) for change in changes]
        connection.executemany("INSERT INTO changes (step, clip, before, after) VALUES (?, ?, ?, ?)", rows)
        self._forget_old(connection, step - REMEMBERED)

    def undo(self, connection: sqlite3.Connection) -> Step:
        """Undo the newest step. Raises NothingToUndo or FolderNotWritable; then nothing has changed."""
        row = connection.execute("SELECT * FROM steps WHERE NOT undone ORDER BY number DESC LIMIT 1").fetchone()
        if row is None:
            raise NothingToUndo("undo: nothing is left that could be undone")
        return self._go(connection, row, back=True)

    def redo(self, connection: sqlite3.Connection) -> Step:
        """Do again what was undone last. Raises NothingToUndo, FolderNotWritable or TrashFailed."""
        row = connection.execute("SELECT * FROM steps WHERE undone ORDER BY number LIMIT 1").fetchone()
        if row is None:
            raise NothingToUndo("redo: nothing was undone since the last change")
        return self._go(connection, row, back=False)

    def delete(self, connection: sqlite3.Connection, entry: ClipRecord) -> None:
        """Put a clip's file into the trash, as a step. Raises UnknownClip when it is not there, FolderNotWritable or
        TrashFailed; then nothing has changed."""
        with ExitStack() as files:
            self._throw_away(connection, entry, Change(entry.number), files)
            if self._entry(connection, entry.number).state != "deleted":
                raise UnknownClip(f"clip: {entry.path} is no longer there")
            self.record(connection, "delete", [Change(entry.number)])
            files.pop_all()

    def _go(self, connection: sqlite3.Connection, step: sqlite3.Row, back: bool) -> Step:
        undo, redo = self._ways[step["kind"]]
        changes = connection.execute(
            "SELECT * FROM changes WHERE step = ? ORDER BY rowid", (step["number"],)
        ).fetchall()
        numbers = [change["clip"] for change in changes]
        # Files that were moved are moved back when one that comes after them cannot be.
        with ExitStack() as files:
            for row in changes:
                change = Change(row["clip"], row["before"], row["after"])
                (undo if back else redo)(connection, self._entry(connection, change.clip), change, files)
            files.pop_all()
        connection.execute("UPDATE steps SET undone = ? WHERE number = ?", (back, step["number"]))
        return Step(step["kind"], tuple(self._entry(connection, number) for number in numbers))

    def _entry(self, connection: sqlite3.Connection, number: int) -> ClipRecord:
        return entry_of(connection.execute("SELECT * FROM clips WHERE number = ?", (number,)).fetchone(), self._folder)

    def _take_out(self, connection: sqlite3.Connection, entry: ClipRecord, change: Change, files: ExitStack) -> None:
        if entry.state != "here":
            return
        try:
            token = self._kept.move_in(entry.path)
        except FileNotFoundError:
            _set_state(connection, entry, "gone")
            return
        files.callback(self._kept.move_out, token, entry.path)
        _set_state(connection, entry, "undone", token)

    def _bring_back(self, connection: sqlite3.Connection, entry: ClipRecord, change: Change, files: ExitStack) -> None:
        if entry.state not in ("undone", "deleted"):
            # A person brought it back, or took it away, by hand.
            return
        try:
            place = self._kept.move_out(entry.kept, entry.path)
        except FileNotFoundError:
            _set_state(connection, entry, "gone")
            return
        files.callback(self._kept.move_in, place, entry.kept)
        move(connection, entry.number, self._folder, place.relative_to(self._folder).as_posix())

    def _throw_away(self, connection: sqlite3.Connection, entry: ClipRecord, change: Change, files: ExitStack) -> None:
        if entry.state != "here":
            return
        # There is no way to take a file out of the trash that holds on every system, so one is kept for an undo.
        try:
            token = self._kept.copy_in(entry.path)
        except FileNotFoundError:
            _set_state(connection, entry, "gone")
            return
        files.callback(self._kept.drop, token)
        self._trash(entry.path)
        files.callback(self._kept.move_out, token, entry.path)
        _set_state(connection, entry, "deleted", token)

    def _drop_undone(self, connection: sqlite3.Connection) -> None:
        of_undone = "SELECT clip FROM changes JOIN steps ON steps.number = step WHERE undone"
        query = f"SELECT * FROM clips WHERE state = 'undone' AND number IN ({of_undone})"
        for row in connection.execute(query).fetchall():
            entry = entry_of(row, self._folder)
            try:
                self._kept.throw_away(entry.kept, self._trash)
            except TrashFailed as error:
                # It stays among the kept files, where the next sweep finds it.
                log.warning("a take that was undone: %s", error)
            _set_state(connection, entry, "deleted")
        connection.execute("DELETE FROM steps WHERE undone")

    def _forget_old(self, connection: sqlite3.Connection, last: int) -> None:
        of_old = "SELECT clip FROM changes WHERE step <= ?"
        query = f"SELECT number, kept FROM clips WHERE kept != '' AND state = 'deleted' AND number IN ({of_old})"
        for number, token in connection.execute(query, (last,)).fetchall():
            # The trash still has it.
            self._kept.drop(token)
            connection.execute("UPDATE clips SET kept = '' WHERE number = ?", (number,))
        connection.execute("DELETE FROM steps WHERE number <= ?", (last,))


def _setter(column: str, side: str) -> Way:
    """A way that gives a column what it had on one side of the change."""
    statement = f"UPDATE clips SET {column} = ? WHERE number = ?"

    def way(connection: sqlite3.Connection, entry: ClipRecord, change: Change, files: ExitStack) -> None:
        connection.execute(statement, (getattr(change, side), entry.number))

    return way


def _set_state(connection: sqlite3.Connection, entry: ClipRecord, state: str, kept: str = "") -> None:
    connection.execute("UPDATE clips SET state = ?, kept = ? WHERE number = ?", (state, kept, entry.number))
