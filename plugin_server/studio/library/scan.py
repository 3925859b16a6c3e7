"""The comparison of index and sample folder: finds clips that came, moved or went without the daemon's doing."""

import logging
import os
import sqlite3
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from plugin_server.audio.formats.files import SUFFIXES
from plugin_server.audio.formats.partial_files import remove_if_stale
from plugin_server.errors import NoRecipe, short_repr
from plugin_server.studio.library.database import LibraryDatabase
from plugin_server.studio.library.records import ClipFile, ClipState, read_clip_file, set_path, upsert

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_TOLD = 20
"""Files that the log names because they cannot be read."""
MAX_FOLDERS = 64
"""Folders within each other that are looked into."""
OF_ONE_ROW = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""SQLite's errors that are a row's fault, not the index's."""
BATCH = 200
"""Clips written in one transaction: some 10 ms in which others wait."""
RANKS = {ClipState.PRESENT: 0, ClipState.MISSING: 1, ClipState.DELETED: 2}
"""Which clip a file that turned up belongs to, when several rows have its id: lower first. Not an undone one, whose
file is stashed."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The numbers of clips that a scan found new, moved and missing."""

    new: int = 0
    moved: int = 0
    missing: int = 0


@dataclass(slots=True)
class _IndexedClip:
    """A clip as the index had it when the scan began."""

    number: int
    id: str
    path: str
    stamp: tuple[int, int]
    """Bytes and mtime_ns of its file."""
    state: ClipState
    is_announced: bool


class ForeignFiles:
    """The files of a sample folder that are none of our clips, so that each is read, or told of, once."""

    def __init__(self) -> None:
        self._without_recipe: dict[str, tuple[int, int]] = {}
        self._told: dict[str, tuple[int, int]] = {}

    def is_known(self, path: str, stamp: tuple[int, int]) -> bool:
        """Return whether the file had no recipe, and was not written to since."""
        return self._without_recipe.get(path) == stamp

    def add(self, path: str, stamp: tuple[int, int]) -> None:
        """Remember a file without a recipe."""
        self._without_recipe[path] = stamp

    def tell(self, path: str, stamp: tuple[int, int], error: Exception) -> None:
        """Log why a file cannot be read, which may have changed by the next scan."""
        if self._told.get(path) != stamp and len(self._told) <= MAX_TOLD:
            self._told[path] = stamp
            if len(self._told) > MAX_TOLD:
                log.warning("more files of the sample folder cannot be read as clips; they are passed over")
            else:
                log.warning("a file is passed over: %s", error)


class Scan:
    """One comparison of the index with the folder.

    Others may use the index meanwhile: nothing is written that was not looked at again just then.
    """

    def __init__(
        self, index: LibraryDatabase, folder: Path, is_stopped: Callable[[], bool], foreign: ForeignFiles
    ) -> None:
        """`foreign` are those that earlier scans have found, and get those of this one."""
        self._index, self._folder, self._is_stopped, self._foreign = index, folder, is_stopped, foreign
        self._unmatched: dict[int, _IndexedClip] = {}
        self._candidates: dict[str, list[_IndexedClip]] = defaultdict(list)
        """Unmatched clips by id, in the order in which they are offered a file."""
        self._by_path: dict[str, _IndexedClip] = {}
        self._stamps: dict[str, set[tuple[int, int]]] = defaultdict(set)
        """Of the files that the index, or this scan, has by each id."""
        self._unchecked: dict[str, str] = {}
        """Path of the first new file of an id, whose samples nobody has looked at."""
        self._new = self._moved = self._missing = 0

    def run(self) -> ScanResult:
        """Compare; cut short once `is_stopped` says so. Raises LibraryFailed."""
        stamps = dict(_walk(self._folder))
        new_paths = self._match_unchanged(stamps)
        new_paths.sort(key=lambda path: stamps[path][1])
        # Files at a path that the index knows come first: of two copies, that one stays the clip.
        new_paths.sort(key=lambda path: path not in self._by_path)
        moved: list[ClipFile] = []
        for paths in _batches(new_paths):
            moved += self._write(self._read(paths, stamps), self._match_by_path)
        for files in _batches(moved):
            self._write(files, self._match_by_id)
        if not self._is_stopped():
            missing = [clip for clip in self._unmatched.values() if clip.state == ClipState.PRESENT]
            for clips in _batches(missing):
                self._write(clips, self._mark_missing)
        return ScanResult(self._new, self._moved, self._missing)

    def _match_unchanged(self, stamps: dict[str, tuple[int, int]]) -> list[str]:
        """Sort out the clips that are where they were; return the paths of other files."""
        others = dict.fromkeys(stamps)
        for clip in self._rows():
            self._stamps[clip.id].add(clip.stamp)
            if clip.state == ClipState.PRESENT and stamps.get(clip.path) == clip.stamp:
                del others[clip.path]
            elif clip.state in RANKS:
                self._unmatched[clip.number] = clip
                self._candidates[clip.id].append(clip)
        for candidates in self._candidates.values():
            # As `FIRST_MEANT` has it.
            candidates.sort(key=_rank)
        self._by_path = {clip.path: clip for clip in self._unmatched.values() if clip.state == ClipState.PRESENT}
        return list(others)

    def _rows(self) -> Iterator[_IndexedClip]:
        """Yield every clip, read some thousands at a time, so that others wait no longer than for those."""
        columns = "number, id, path, size, mtime_ns, state, announced"
        query = f"SELECT {columns} FROM clips WHERE number > ? ORDER BY number LIMIT 2000"

        def after(number: int) -> list[sqlite3.Row]:
            return self._index.read(lambda connection: connection.execute(query, (number,)).fetchall())

        rows = after(-1)
        while rows:
            for number, clip_id, path, size, mtime_ns, state, announced in rows:
                yield _IndexedClip(number, clip_id, path, (size, mtime_ns), ClipState(state), bool(announced))
            rows = after(rows[-1]["number"])

    def _read(self, paths: Iterable[str], stamps: dict[str, tuple[int, int]]) -> list[ClipFile]:
        files: list[ClipFile] = []
        for path in paths:
            if self._is_stopped() or self._foreign.is_known(path, stamps[path]):
                continue
            try:
                files += self._checked(read_clip_file(self._folder, path))
                continue
            except NoRecipe:
                # Another program's file; or ours, saved anew without its recipe by one that edits in place.
                self._foreign.add(path, stamps[path])
            # Of any kind: what a stranger has put into one file must not cost the others.
            except Exception as error:
                if not (self._folder / path).exists():
                    # Put away since the folder was listed: it is missing, and nothing to tell of.
                    continue
                self._foreign.tell(path, stamps[path], error)
            if path in self._by_path:
                self._unmatched.pop(self._by_path[path].number, None)
                self._index.write(partial(_set_stamp, path=path, stamp=stamps[path]))
        return files

    def _checked(self, file: ClipFile) -> list[ClipFile]:
        """Return a file, whose samples were looked at where it may be another sound that has kept the recipe.

        That takes a while, so it is done for files that were written to, and for those of an id that another file has:
        the first of these is returned again. One of the same size and time is the same file, moved or copied.
        """
        path, stamps = file.relative_path, self._stamps[file.id]
        is_disputed = path in self._by_path or (bool(stamps) and (file.size, file.mtime_ns) not in stamps)
        stamps.add((file.size, file.mtime_ns))
        if file.is_checked:
            return [file]
        if not is_disputed:
            self._unchecked.setdefault(file.id, path)
            return [file]
        paths = {self._unchecked.pop(file.id, path): None, path: None}
        return [read_clip_file(self._folder, disputed, check=True) for disputed in paths]

    def _write(self, batch: list[T], match: Callable[[sqlite3.Connection, T], bool]) -> list[T]:
        """Match a batch in one transaction; return those that could not be."""
        if self._is_stopped() or not batch:
            return []
        # Restored when the index turns out to be damaged and the work is done again on a new one.
        counts = (self._new, self._moved, self._missing)

        def work(connection: sqlite3.Connection) -> list[T]:
            self._new, self._moved, self._missing = counts
            return [item for item in batch if not self._match_one(connection, item, match)]

        return self._index.write(work)

    def _match_one(
        self, connection: sqlite3.Connection, item: T, match: Callable[[sqlite3.Connection, T], bool]
    ) -> bool:
        """Match one item of a batch; one that cannot be written is left out, and undoes none of the others."""
        connection.execute("SAVEPOINT item")
        try:
            is_matched = match(connection, item)
        except (OSError, ValueError, TypeError, OverflowError, *OF_ONE_ROW) as error:
            connection.execute("ROLLBACK TO item")
            connection.execute("RELEASE item")
            log.warning("%s was not entered into the library: %s", short_repr(item), error)
            return True
        connection.execute("RELEASE item")
        return is_matched

    def _match_by_path(self, connection: sqlite3.Connection, file: ClipFile) -> bool:
        clip = self._by_path.get(file.relative_path)
        if clip is None:
            return self._match_by_id(connection, file)
        if clip.id != file.id:
            return False
        self._unmatched.pop(clip.number, None)
        _set_stamp(connection, file.relative_path, (file.size, file.mtime_ns))
        connection.execute("UPDATE clips SET checked = ? WHERE number = ?", (file.is_checked, clip.number))
        return True

    def _match_by_id(self, connection: sqlite3.Connection, file: ClipFile) -> bool:
        path = file.relative_path
        # Within the transaction: an undo or a deletion moves files within one too.
        if not (self._folder / path).is_file():
            return True
        # One that was here before is itself again, as when a disk is back; copies share an id.
        for clip in sorted(self._candidates.get(file.id, ()), key=lambda clip: clip.path != path):
            if clip.number in self._unmatched and self._assign(connection, clip, file):
                self._moved += 1
                return True
        row = connection.execute("SELECT id FROM clips WHERE path = ? AND state = 'here'", (path,)).fetchone()
        if row is None or row["id"] != file.id:
            connection.execute("UPDATE clips SET state = 'gone' WHERE path = ? AND state = 'here'", (path,))
            upsert(connection, file)
            self._new += 1
        return True

    def _assign(self, connection: sqlite3.Connection, clip: _IndexedClip, file: ClipFile) -> bool:
        """Make the file this clip's, unless something was done with the clip meanwhile; return whether it is."""
        row = connection.execute("SELECT path, state FROM clips WHERE number = ?", (clip.number,)).fetchone()
        if row is None or row["path"] != clip.path or row["state"] not in (clip.state, ClipState.MISSING):
            return False
        del self._unmatched[clip.number]
        set_path(connection, clip.number, self._folder, file.relative_path)
        return True

    def _mark_missing(self, connection: sqlite3.Connection, clip: _IndexedClip) -> bool:
        if not (self._folder / clip.path).exists():
            statement = "UPDATE clips SET state = 'gone' WHERE number = ? AND state = 'here' AND path = ?"
            self._missing += connection.execute(statement, (clip.number, clip.path)).rowcount
        return True


def _rank(clip: _IndexedClip) -> tuple[int, bool, int]:
    return RANKS[clip.state], not clip.is_announced, -clip.number if clip.is_announced else clip.number


def _set_stamp(connection: sqlite3.Connection, path: str, stamp: tuple[int, int]) -> None:
    statement = "UPDATE clips SET size = ?, mtime_ns = ? WHERE path = ? AND state = 'here'"
    connection.execute(statement, (*stamp, path))


def _walk(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield path below the folder and (size, mtime_ns) of every file that may be a clip, but hidden ones."""
    waiting = [(folder, "", 0)]
    while waiting:
        place, prefix, depth = waiting.pop()
        for entry in _entries(place):
            name = entry.name
            # A file that went meanwhile; a name of bytes that are no text cannot be sent to anyone.
            with suppress(OSError, UnicodeEncodeError):
                if name.startswith("."):
                    remove_if_stale(place / name)
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < MAX_FOLDERS:
                        waiting.append((Path(entry.path), f"{prefix}{name}/", depth + 1))
                elif name.lower().endswith(SUFFIXES):
                    f"{prefix}{name}".encode()
                    found = entry.stat()
                    if stat.S_ISREG(found.st_mode):
                        yield f"{prefix}{name}", (found.st_size, found.st_mtime_ns)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder; nothing where it cannot be read, as none of it can."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
