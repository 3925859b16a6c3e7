"""Undo and redo: each thing done to the library is a step that can be undone, and done again."""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from plugin_server.errors import NothingToUndo, TrashFailed, UnknownClip
from plugin_server.studio.library.records import ClipRecord, ClipState, record_of, set_path
from plugin_server.studio.library.undo_files import MoveToTrash, UndoFiles

log = logging.getLogger(__name__)

MAX_STEPS = 1000
"""Steps that can be undone."""


@dataclass(frozen=True, slots=True)
class ClipChange:
    """The change that a step made to one clip; `before` and `after` are what a column held."""

    number: int
    """The clip's."""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class UndoStep:
    """A step that was undone or done again."""

    kind: str
    """'generate', 'delete', 'star' or 'tag'."""
    clips: tuple[ClipRecord, ...]
    """The clips it touched, as they are now."""


Operation = Callable[[sqlite3.Connection, ClipRecord, ClipChange, ExitStack], None]
"""Changes one clip; the stack gets what moves its file back to where it was."""


class UndoHistory:
    """The steps of one index. Every method works within the caller's transaction."""

    def __init__(self, folder: Path, undo_files: UndoFiles, move_to_trash: MoveToTrash) -> None:
        self._folder, self._undo_files, self._move_to_trash = folder, undo_files, move_to_trash
        # By kind: how it is undone, how it is done again.
        self._operations: dict[str, tuple[Operation, Operation]] = {
            "generate": (self._stash, self._restore),
            "delete": (self._restore, self._delete),
            "star": (_column_setter("star", "before"), _column_setter("star", "after")),
            "tag": (_column_setter("tags", "before"), _column_setter("tags", "after")),
        }

    def record(
        self, connection: sqlite3.Connection, kind: str, changes: Iterable[ClipChange], request: str = ""
    ) -> None:
        """Remember a step; what was undone before can be done again no longer, and its files go to the trash.

        Takes of one `request` make one step.
        """
        self._drop_undone(connection)
        last = connection.execute("SELECT number, request FROM steps ORDER BY number DESC LIMIT 1").fetchone()
        if request and last and last["request"] == request:
            step = last["number"]
        else:
            step = connection.execute("INSERT INTO steps (kind, request) VALUES (?, ?)", (kind, request)).lastrowid
        rows = [(step, change.number, change.before, change.after) for change in changes]
        connection.executemany("INSERT INTO changes (step, clip, before, after) VALUES (?, ?, ?, ?)", rows)
        self._drop_old(connection, step - MAX_STEPS)

    def undo(self, connection: sqlite3.Connection) -> UndoStep:
        """Undo the newest step. Raises NothingToUndo or FolderNotWritable; then nothing has changed."""
        row = connection.execute("SELECT * FROM steps WHERE NOT undone ORDER BY number DESC LIMIT 1").fetchone()
        if row is None:
            raise NothingToUndo("undo: nothing is left that could be undone")
        undo, _ = self._operations[row["kind"]]
        step = self._apply(connection, row, undo)
        connection.execute("UPDATE steps SET undone = 1 WHERE number = ?", (row["number"],))
        return step

    def redo(self, connection: sqlite3.Connection) -> UndoStep:
        """Redo what was undone last. Raises NothingToUndo, FolderNotWritable or TrashFailed."""
        row = connection.execute("SELECT * FROM steps WHERE undone ORDER BY number LIMIT 1").fetchone()
        if row is None:
            raise NothingToUndo("redo: nothing was undone since the last change")
        _, redo = self._operations[row["kind"]]
        step = self._apply(connection, row, redo)
        connection.execute("UPDATE steps SET undone = 0 WHERE number = ?", (row["number"],))
        return step

    def delete(self, connection: sqlite3.Connection, clip: ClipRecord) -> None:
        """Put a clip's file into the trash, as a step.

        Raises UnknownClip when it is not there, FolderNotWritable or TrashFailed; then nothing has changed.
        """
        change = ClipChange(clip.number)
        with ExitStack() as rollback:
            self._delete(connection, clip, change, rollback)
            if self._clip(connection, clip.number).state != ClipState.DELETED:
                raise UnknownClip(f"clip: {clip.path} is no longer there")
            self.record(connection, "delete", [change])
            rollback.pop_all()

    def _apply(self, connection: sqlite3.Connection, step: sqlite3.Row, operation: Operation) -> UndoStep:
        """Change all clips of a step, or none; return them as they are then."""
        query = "SELECT * FROM changes WHERE step = ? ORDER BY rowid"
        rows = connection.execute(query, (step["number"],)).fetchall()
        changes = [ClipChange(row["clip"], row["before"], row["after"]) for row in rows]
        # Files that were moved are moved back when one that comes after them cannot be.
        with ExitStack() as rollback:
            for change in changes:
                operation(connection, self._clip(connection, change.number), change, rollback)
            rollback.pop_all()
        return UndoStep(step["kind"], tuple(self._clip(connection, change.number) for change in changes))

    def _clip(self, connection: sqlite3.Connection, number: int) -> ClipRecord:
        return record_of(connection.execute("SELECT * FROM clips WHERE number = ?", (number,)).fetchone(), self._folder)

    def _stash(
        self, connection: sqlite3.Connection, clip: ClipRecord, _change: ClipChange, rollback: ExitStack
    ) -> None:
        if clip.state != ClipState.PRESENT:
            return
        try:
            token = self._undo_files.stash(clip.path)
        except FileNotFoundError:
            _set_state(connection, clip, ClipState.MISSING)
            return
        rollback.callback(self._undo_files.restore, token, clip.path)
        _set_state(connection, clip, ClipState.UNDONE, token)

    def _restore(
        self, connection: sqlite3.Connection, clip: ClipRecord, _change: ClipChange, rollback: ExitStack
    ) -> None:
        if clip.state not in (ClipState.UNDONE, ClipState.DELETED):
            # A person brought it back, or took it away, by hand.
            return
        try:
            path = self._undo_files.restore(clip.undo_token, clip.path)
        except FileNotFoundError:
            _set_state(connection, clip, ClipState.MISSING)
            return
        rollback.callback(self._undo_files.stash, path, clip.undo_token)
        set_path(connection, clip.number, self._folder, path.relative_to(self._folder).as_posix())

    def _delete(
        self, connection: sqlite3.Connection, clip: ClipRecord, _change: ClipChange, rollback: ExitStack
    ) -> None:
        if clip.state != ClipState.PRESENT:
            return
        # There is no way to take a file out of the trash that holds on every system, so one is stashed for an undo.
        try:
            token = self._undo_files.stash_copy(clip.path)
        except FileNotFoundError:
            _set_state(connection, clip, ClipState.MISSING)
            return
        rollback.callback(self._undo_files.discard, token)
        self._move_to_trash(clip.path)
        rollback.callback(self._undo_files.restore, token, clip.path)
        _set_state(connection, clip, ClipState.DELETED, token)

    def _drop_undone(self, connection: sqlite3.Connection) -> None:
        of_undone = "SELECT clip FROM changes JOIN steps ON steps.number = step WHERE undone"
        query = f"SELECT * FROM clips WHERE state = 'undone' AND number IN ({of_undone})"
        for row in connection.execute(query).fetchall():
            clip = record_of(row, self._folder)
            try:
                self._undo_files.trash(clip.undo_token, self._move_to_trash)
            except TrashFailed as error:
                # It stays among the stashed files, where the next sweep finds it.
                log.warning("a take that was undone: %s", error)
            _set_state(connection, clip, ClipState.DELETED)
        connection.execute("DELETE FROM steps WHERE undone")

    def _drop_old(self, connection: sqlite3.Connection, last: int) -> None:
        of_old = "SELECT clip FROM changes WHERE step <= ?"
        query = f"SELECT number, kept FROM clips WHERE kept != '' AND state = 'deleted' AND number IN ({of_old})"
        for number, token in connection.execute(query, (last,)).fetchall():
            # The trash still has it.
            self._undo_files.discard(token)
            connection.execute("UPDATE clips SET kept = '' WHERE number = ?", (number,))
        connection.execute("DELETE FROM steps WHERE number <= ?", (last,))


def _column_setter(column: str, side: str) -> Operation:
    """Return an operation that gives a column what it had on one side of the change, 'before' or 'after'."""
    statement = f"UPDATE clips SET {column} = ? WHERE number = ?"

    def set_column(connection: sqlite3.Connection, clip: ClipRecord, change: ClipChange, _rollback: ExitStack) -> None:
        connection.execute(statement, (getattr(change, side), clip.number))

    return set_column


def _set_state(connection: sqlite3.Connection, clip: ClipRecord, state: ClipState, token: str = "") -> None:
    connection.execute("UPDATE clips SET state = ?, kept = ? WHERE number = ?", (state, token, clip.number))
