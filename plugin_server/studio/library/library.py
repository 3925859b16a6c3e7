"""The library: every clip of a sample folder, with search, stars, tags, and steps back and forth.

All of it can be made anew from the folder's files but what people add: stars, tags and the steps. Every method may
be called from any thread, and other processes may use the same index; each raises LibraryFailed when the index cannot
be used at all.
"""

import logging
import os
import sqlite3
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

from plugin_server.errors import BadArgument, ClipsonicError, UnknownClip, shown
from plugin_server.studio.library.database import LibraryDatabase
from plugin_server.studio.library.records import ClipRecord, entry_of, name_of, put, read_clip_file
from plugin_server.studio.library.scan import Scan, Scanned
from plugin_server.studio.library.undo import Change, History, Step
from plugin_server.studio.library.undo_files import Trash, UndoFiles, move_to_trash

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WORDS = 20
MAX_TAGS = 32
MAX_TAG = 40
"""Characters of one tag."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some clips of a longer list, newest first."""

    total: int
    """How many the whole list has."""
    entries: tuple[ClipRecord, ...]


class Library:
    """The clips of one folder. Nothing is read or written before the first call."""

    def __init__(self, folder: Path, index: Path, trash: Trash = move_to_trash) -> None:
        self.folder = folder
        self._index = LibraryDatabase(index)
        # Hidden, so that no scan takes them for clips where the index lies in the sample folder.
        self._kept = UndoFiles(index.with_name(f".{index.stem}.kept"))
        self._trash = trash
        self._history = History(folder, self._kept, trash)
        self._scanning = threading.Lock()
        self._stopped = threading.Event()

    def add(self, path: Path, request: str) -> None:
        """Enter a clip that was just written; those of one `request` are one step to undo.

        Never raises: the clip is there, and the next scan finds it.
        """
        try:
            file = read_clip_file(self.folder, path.relative_to(self.folder).as_posix())

            def work(connection: sqlite3.Connection) -> None:
                self._history.record(connection, "generate", [Change(put(connection, file))], request)

            self._index.write(work)
        except ClipsonicError as error:
            log.warning("%s was not entered into the library: %s", path.name, error)

    def forget(self, path: Path) -> None:
        """Take a clip out as if it had never been, when its job was cancelled at the last moment. Never raises."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM clips WHERE path = ? AND state = 'here'", (self._below(path),))
            connection.execute("DELETE FROM steps WHERE number NOT IN (SELECT step FROM changes)")

        try:
            self._index.write(work)
        except ClipsonicError as error:
            log.warning("%s stays in the library: %s", path.name, error)

    def newest(self, count: int, first: int = 0) -> Page:
        """`count` clips from the newest but `first`."""
        total = "SELECT count(*) FROM clips WHERE state = 'here'"
        page = "SELECT * FROM clips WHERE state = 'here' ORDER BY number DESC LIMIT ? OFFSET ?"
        return self._page(total, page, (), count, first)

    def search(self, words: str, count: int, first: int = 0) -> Page:
        """The same of the clips that have all `words`, or their beginnings, in prompt, tags or name.

        'starred' finds those with a star. Raises BadArgument when there is nothing to look for.
        """
        query = _match(words)
        total = "SELECT count(*) FROM words WHERE words MATCH ?"
        found = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ? OFFSET ?"
        return self._page(
            total, f"SELECT * FROM clips WHERE number IN ({found}) ORDER BY number DESC", (query,), count, first
        )

    def made_from(self, prompt: str, seed: int, model: str) -> list[ClipRecord]:
        """Clips of this prompt, seed and model whose files are there, the newest first."""
        query = (
            "SELECT * FROM clips WHERE seed = ? AND prompt = ? AND model = ? AND state = 'here' ORDER BY number DESC"
        )

        def work(connection: sqlite3.Connection) -> list[ClipRecord]:
            return [entry_of(row, self.folder) for row in connection.execute(query, (seed, prompt, model)).fetchall()]

        found = self._read(work)
        if all(entry.is_as_known for entry in found):
            return found
        self.scan()
        return [entry for entry in self._index.read(work) if entry.is_as_known]

    def find(self, clip: str) -> ClipRecord:
        """A clip by 'last', its id, its file's name or its path in the sample folder; where its file is now.

        Of several the newest whose file is there. Raises UnknownClip.
        """
        try:
            entry = self._look_up(clip)
        except UnknownClip:
            if not self._is_file(clip):
                raise
            self.scan()
            return self._look_up(clip)
        if entry.state == "gone" or (entry.state == "here" and not entry.is_as_known):
            self.scan()
            # 'last' may be another one now; all else stays the same clip wherever it went.
            return self._look_up(clip) if clip == "last" else self._by_number(entry.number)
        return entry

    def find_file(self, clip: str) -> ClipRecord:
        """As `find`, a clip whose file is there. Raises UnknownClip when it is not."""
        entry = self.find(clip)
        if entry.state != "here":
            where = {"undone": "was undone; /clip/redo brings it back", "deleted": "was deleted"}
            raise UnknownClip(f"clip: got {shown(clip)}, whose file {where.get(entry.state, 'is no longer there')}")
        return entry

    def star(self, clip: str, star: bool = True) -> ClipRecord:
        """Give a clip a star or take it away. Raises UnknownClip."""
        return self._change(self.find(clip), "star", "star", str(int(star)))

    def tag(self, clip: str, words: str) -> ClipRecord:
        """Add words to a clip's tags; one that begins with '-' is taken away instead.

        Raises UnknownClip, or BadArgument when there are no words, or too many or too long ones.
        """
        if not words.split():
            raise BadArgument("tags: got nothing, expected words; -word takes one away")
        entry = self.find(clip)
        return self._change(entry, "tag", "tags", _tagged(entry.tags, words))

    def delete(self, clip: str) -> ClipRecord:
        """Put a clip's file into the system's trash. Raises UnknownClip, FolderNotWritable or TrashFailed."""
        entry = self.find_file(clip)
        self._index.write(lambda connection: self._history.delete(connection, entry))
        return self._by_number(entry.number)

    def undo(self) -> Step:
        """Undo the newest step: a request's takes leave the folder, a deleted clip comes back, a star or tag is as it
        was. Raises NothingToUndo or FolderNotWritable."""
        return self._index.write(self._history.undo)

    def redo(self) -> Step:
        """Do again what was undone last. Raises NothingToUndo, FolderNotWritable or TrashFailed."""
        return self._index.write(self._history.redo)

    def scan(self) -> Scanned:
        """Compare the index with the folder: enter what is new, find what was moved, mark what is gone."""
        with self._scanning:
            scanned = Scan(self._index, self.folder, self._stopped.is_set).run()
            self._index.is_new = False
            query = "SELECT kept FROM clips WHERE kept != ''"
            known = self._index.read(lambda connection: {row["kept"] for row in connection.execute(query)})
            self._kept.sweep(known, self._trash)
        return scanned

    def open(self) -> None:
        """Check the index and compare it with the folder, in a thread of its own; what goes wrong is only logged."""
        threading.Thread(target=self._open, name="library", daemon=True).start()

    def stop_scanning(self) -> None:
        """Let a scan that runs end soon, and any later one at once."""
        self._stopped.set()

    def close(self) -> None:
        """Close the index, once a scan has ended."""
        self._stopped.set()
        with self._scanning:
            self._index.close()

    def _open(self) -> None:
        try:
            self._index.check()
            scanned = self.scan()
            log.info("%s: %s", self.folder, scanned)
        except ClipsonicError as error:
            log.warning("the library is not at hand: %s", error)
        except Exception:
            log.exception("the library's scan")

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read an index that is filled: one that was lost or damaged a moment ago is made anew from the folder first.

        While that is being done already, what is there so far is the answer.
        """
        try:
            result = self._index.read(work)
        except UnknownClip:
            if not self._index.is_new or self._scanning.locked():
                raise
        else:
            if not self._index.is_new or self._scanning.locked():
                return result
        self.scan()
        return self._index.read(work)

    def _page(self, total: str, page: str, arguments: tuple[str, ...], count: int, first: int) -> Page:
        def work(connection: sqlite3.Connection) -> Page:
            rows = connection.execute(page, (*arguments, count, first)).fetchall()
            entries = tuple(entry_of(row, self.folder) for row in rows)
            return Page(connection.execute(total, arguments).fetchone()[0], entries)

        found = self._read(work)
        if all(entry.is_as_known for entry in found.entries):
            return found
        self.scan()
        return self._index.read(work)

    def _look_up(self, clip: str) -> ClipRecord:
        def work(connection: sqlite3.Connection) -> ClipRecord:
            for query, arguments in self._queries(clip):
                row = connection.execute(f"SELECT * FROM clips WHERE {query}", arguments).fetchone()
                if row is not None:
                    return entry_of(row, self.folder)
            raise UnknownClip(
                f"clip: got {shown(clip)}, expected 'last', or a clip's id, name or path in {self.folder}"
            )

        return self._read(work)

    def _queries(self, clip: str) -> list[tuple[str, tuple[str, ...]]]:
        if clip == "last":
            return [("state = 'here' ORDER BY number DESC LIMIT 1", ())]
        clip = unicodedata.normalize("NFC", clip)
        best = "ORDER BY state = 'here' DESC, number DESC LIMIT 1"
        path = self._below(Path(clip))
        queries: list[tuple[str, tuple[str, ...]]] = [(f"name = ? AND path = ? {best}", (name_of(path), path))]
        if "/" not in path:
            queries += [(f"id = ? {best}", (clip.lower(),)), (f"name = ? {best}", (name_of(path),))]
        return queries

    def _below(self, path: Path) -> str:
        """A path as the index has it. No file is touched: what lies elsewhere is simply not in the index."""
        if path.is_absolute():
            with_case, folder = os.path.normpath(path), os.path.normpath(self.folder)
            path = Path(os.path.relpath(with_case, folder)) if _inside(with_case, folder) else path
        return PurePath(path).as_posix()

    def _is_file(self, clip: str) -> bool:
        """A file of the sample folder has this name or path, though the index does not know it."""
        place = os.path.normpath(self.folder / clip)
        # os.path's, which takes a name that no file can have for one that none has.
        return _inside(place, os.path.normpath(self.folder)) and os.path.isfile(place)  # noqa: PTH113

    def _by_number(self, number: int) -> ClipRecord:
        query = "SELECT * FROM clips WHERE number = ?"
        row = self._index.read(lambda connection: connection.execute(query, (number,)).fetchone())
        if row is None:
            # The index was lost between two looks.
            raise UnknownClip("clip: the library was just made anew; ask again")
        return entry_of(row, self.folder)

    def _change(self, entry: ClipRecord, kind: str, column: str, after: str) -> ClipRecord:
        def work(connection: sqlite3.Connection) -> None:
            query = f"SELECT CAST({column} AS TEXT) FROM clips WHERE number = ?"
            row = connection.execute(query, (entry.number,)).fetchone()
            before = row[0] if row else after
            if before == after:
                return
            connection.execute(f"UPDATE clips SET {column} = ? WHERE number = ?", (after, entry.number))
            self._history.record(connection, kind, [Change(entry.number, before, after)])

        self._index.write(work)
        return self._by_number(entry.number)


def _inside(path: str, folder: str) -> bool:
    return os.path.normcase(path).startswith(os.path.normcase(folder.rstrip(os.sep) + os.sep))


def _match(words: str) -> str:
    """FTS5's query for all of some words, each by its beginning."""
    found = words.split()
    if not any(letter.isalnum() for letter in words):
        raise BadArgument(f"words: got {shown(words)}, expected words of a prompt, a tag or a name")
    if len(found) > MAX_WORDS:
        raise BadArgument(f"words: got {len(found)}, expected at most {MAX_WORDS}")
    # In quotes nothing is an operator of the query language.
    return " ".join('"{}"*'.format(word.replace('"', '""')) for word in found)


def _tagged(tags: str, words: str) -> str:
    kept = {tag.casefold(): tag for tag in tags.split()}
    for word in words.split():
        if word.startswith("-"):
            kept.pop(word[1:].casefold(), None)
        else:
            kept.setdefault(word.casefold(), word)
    long = [tag for tag in kept.values() if len(tag) > MAX_TAG]
    if long:
        raise BadArgument(f"tags: got {shown(long[0])}, expected at most {MAX_TAG} characters")
    if len(kept) > MAX_TAGS:
        raise BadArgument(f"tags: got {len(kept)}, expected at most {MAX_TAGS}")
    return " ".join(kept.values())
