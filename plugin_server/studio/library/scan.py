"""The index and the sample folder compared: clips that came, moved or went without us are found out about."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from plugin_server.audio.formats.files import SUFFIXES
from plugin_server.errors import BadFile
from plugin_server.studio.library.database import LibraryDatabase
from plugin_server.studio.library.records import ClipFile, move, put, read_clip_file

T = TypeVar("T")

BATCH = 200
"""Clips written in one transaction: some 10 ms in which others wait."""
RANKS = {"here": 0, "gone": 1, "deleted": 2}
"""Whose file a clip that turned up is, when several rows have its id; an undone one's file lies with us."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found."""

    new: int = 0
    moved: int = 0
    gone: int = 0


@dataclass(slots=True)
class _Known:
    """A clip as the index had it when the scan began."""

    number: int
    id: str
    path: str
    stamp: tuple[int, int]
    state: str


class Scan:
    """One comparison. Others may use the index meanwhile: nothing is written that was not looked at again just then."""

    def __init__(self, index: LibraryDatabase, folder: Path, stopped: Callable[[], bool]) -> None:
        self._index, self._folder, self._stopped = index, folder, stopped
        self._unsettled: dict[int, _Known] = {}
        self._claims: dict[str, list[_Known]] = defaultdict(list)
        self._paths: dict[str, _Known] = {}
        self._new = self._moved = self._gone = 0

    def run(self) -> Scanned:
        """Compare; cut short once `stopped` says so. Raises LibraryFailed."""
        stamps = dict(_walk(self._folder))
        strange = self._settle_known(stamps)
        strange.sort(key=lambda path: stamps[path][1])
        # Files at a path that the index knows come first: of two copies, that one stays the clip.
        strange.sort(key=lambda path: path not in self._paths)
        displaced: list[ClipFile] = []
        for paths in _batches(strange):
            displaced += self._write(self._read(paths, stamps), self._settle_at_its_path)
        for files in _batches(displaced):
            self._write(files, self._settle_by_id)
        if not self._stopped():
            missing = [known for known in self._unsettled.values() if known.state == "here"]
            for clips in _batches(missing):
                self._write(clips, self._settle_missing)
        return Scanned(self._new, self._moved, self._gone)

    def _settle_known(self, stamps: dict[str, tuple[int, int]]) -> list[str]:
        """Sort out what is where it was; paths that are not, or are new."""
        left = dict.fromkeys(stamps)
        for known in self._rows():
            if known.state == "here" and stamps.get(known.path) == known.stamp:
                del left[known.path]
            elif known.state in RANKS:
                self._unsettled[known.number] = known
                self._claims[known.id].append(known)
        for claims in self._claims.values():
            # Of several the one that was entered last, as `find` has it.
            claims.sort(key=lambda known: (RANKS[known.state], -known.number))
        self._paths = {known.path: known for known in self._unsettled.values() if known.state == "here"}
        return list(left)

    def _rows(self) -> Iterator[_Known]:
        """Every clip, some thousands at a time, so that others wait no longer than for those."""
        query = "SELECT number, id, path, size, mtime_ns, state FROM clips WHERE number > ? ORDER BY number LIMIT 2000"

        def after(number: int) -> list[sqlite3.Row]:
            return self._index.read(lambda connection: connection.execute(query, (number,)).fetchall())

        rows = after(-1)
        while rows:
            for number, clip_id, path, size, mtime_ns, state in rows:
                yield _Known(number, clip_id, path, (size, mtime_ns), state)
            rows = after(rows[-1]["number"])

    def _read(self, paths: Iterable[str], stamps: dict[str, tuple[int, int]]) -> list[ClipFile]:
        files = []
        for path in paths:
            try:
                files.append(read_clip_file(self._folder, path))
            except BadFile:
                # Another's file; or ours, saved anew without its recipe by a program that edits in place.
                if path in self._paths:
                    known = self._paths[path]
                    self._unsettled.pop(known.number, None)
                    self._index.write(partial(_restamp, path=path, stamp=stamps[path]))
        return files

    def _write(self, batch: list[T], settle: Callable[[sqlite3.Connection, T], bool]) -> list[T]:
        """Settle a batch in one transaction; those that could not be."""
        if self._stopped() or not batch:
            return []
        # Back where we were when the index turns out to be damaged and the work is done again on a new one.
        before = (self._new, self._moved, self._gone)

        def work(connection: sqlite3.Connection) -> list[T]:
            self._new, self._moved, self._gone = before
            return [item for item in batch if not settle(connection, item)]

        return self._index.write(work)

    def _settle_at_its_path(self, connection: sqlite3.Connection, file: ClipFile) -> bool:
        known = self._paths.get(file.path)
        if known is None:
            return self._settle_by_id(connection, file)
        if known.id != file.id:
            return False
        self._unsettled.pop(known.number, None)
        _restamp(connection, file.path, (file.size, file.mtime_ns))
        return True

    def _settle_by_id(self, connection: sqlite3.Connection, file: ClipFile) -> bool:
        # Within the transaction: who undoes or deletes moves files within one too.
        if not (self._folder / file.path).is_file():
            return True
        # One that was here before is itself again, as when a disk is back; copies share an id.
        for known in sorted(self._claims.get(file.id, ()), key=lambda known: known.path != file.path):
            if known.number in self._unsettled and self._take(connection, known, file):
                self._moved += 1
                return True
        taken = connection.execute("SELECT id FROM clips WHERE path = ? AND state = 'here'", (file.path,)).fetchone()
        if taken is None or taken["id"] != file.id:
            connection.execute("UPDATE clips SET state = 'gone' WHERE path = ? AND state = 'here'", (file.path,))
            put(connection, file)
            self._new += 1
        return True

    def _take(self, connection: sqlite3.Connection, known: _Known, file: ClipFile) -> bool:
        """The file is this clip's, unless something was done with the clip meanwhile."""
        row = connection.execute("SELECT path, state FROM clips WHERE number = ?", (known.number,)).fetchone()
        if row is None or row["path"] != known.path or row["state"] not in (known.state, "gone"):
            return False
        del self._unsettled[known.number]
        move(connection, known.number, self._folder, file.path)
        return True

    def _settle_missing(self, connection: sqlite3.Connection, known: _Known) -> bool:
        if not (self._folder / known.path).exists():
            statement = "UPDATE clips SET state = 'gone' WHERE number = ? AND state = 'here' AND path = ?"
            self._gone += connection.execute(statement, (known.number, known.path)).rowcount
        return True


def _restamp(connection: sqlite3.Connection, path: str, stamp: tuple[int, int]) -> None:
    statement = "UPDATE clips SET size = ?, mtime_ns = ? WHERE path = ? AND state = 'here'"
    connection.execute(statement, (*stamp, path))


def _walk(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Path below the folder and (size, mtime_ns) of every file that may be a clip; hidden ones are passed over."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(root).relative_to(folder).as_posix()
        before = "" if below == "." else f"{below}/"
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                # A name of bytes that are no text cannot be told to anyone.
                with suppress(OSError, UnicodeEncodeError):
                    f"{before}{name}".encode()
                    found = Path(root, name).stat()
                    yield f"{before}{name}", (found.st_size, found.st_mtime_ns)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
