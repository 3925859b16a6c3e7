"""The library: every clip of a sample folder, with search, stars, tags, undo and redo.

All of it can be made anew from the folder's files but what people add: stars, tags and the steps to undo. Every method
may be called from any thread, and other processes may use the same index; each raises LibraryFailed when the index
cannot be used at all.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from plugin_server.errors import BadFile, ClipsonicError, LibraryFailed, UnknownClip, short_repr
from plugin_server.studio.library.database import LibraryDatabase
from plugin_server.studio.library.lookup import copies_of, find_row, find_sound, is_path, relative_path, rows_by_request
from plugin_server.studio.library.records import (
    ABSENCES,
    ClipFile,
    ClipRecord,
    ClipState,
    Page,
    enter_checked,
    mark_announced,
    read_clip_file,
    record_of,
    remove_row,
    upsert,
)
from plugin_server.studio.library.scan import ForeignFiles, Scan, ScanResult
from plugin_server.studio.library.tags_and_terms import check_tags, edit_tags, search_terms
from plugin_server.studio.library.undo import ClipChange, UndoHistory, UndoStep
from plugin_server.studio.library.undo_files import MoveToTrash, UndoFiles, move_to_trash
from plugin_server.studio.library.unentered import UnenteredClips, require_entered

log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_S = 5.0
"""Seconds that a scan may last after the library was closed."""
SCAN_WAIT_S = 1.0
"""Seconds that a clip which is not known yet waits for a scan that makes the index anew."""


class Library:
    """The clips of one folder. Nothing is read or written before the first call."""

    def __init__(self, folder: Path, index: Path, move_to_trash: MoveToTrash = move_to_trash) -> None:
        self.folder = folder
        self._index = LibraryDatabase(index)
        # Hidden, so that no scan takes them for clips where the index lies in the sample folder.
        self._undo_files = UndoFiles(index.with_name(f".{index.stem}.kept"))
        self._move_to_trash = move_to_trash
        self._history = UndoHistory(folder, self._undo_files, move_to_trash)
        self._scanning = threading.Lock()
        self._foreign = ForeignFiles()
        self._unentered = UnenteredClips(folder)
        self._stopped = threading.Event()

    def add(self, path: Path, request: str) -> None:
        """Enter a clip that was just written; those of one `request` are one step to undo.

        Never raises: the clip is there, and the next scan finds it.
        """
        try:
            file = read_clip_file(self.folder, path.relative_to(self.folder).as_posix())
            # What was written a moment ago needs no second look.
            file = replace(file, is_checked=1)
            self._unentered.enter(self._enter)
            try:
                self._enter(file, request)
            except LibraryFailed:
                # As on a full disk: it is known all the same, and entered when that is possible.
                self._unentered.add(file, request)
                raise
        except ClipsonicError as error:
            log.warning("%s was not entered into the library: %s", path.name, error)

    def _enter(self, file: ClipFile, request: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            number = upsert(connection, file)
            mark_announced(connection, file.relative_path)
            self._history.record(connection, "generate", [ClipChange(number)], request)

        self._index.write(work)

    def announce(self, path: Path) -> None:
        """Let an id mean the clip at this path, which is announced again without having been made. Never raises."""
        with suppress(ClipsonicError):
            self._index.write(lambda connection: mark_announced(connection, relative_path(self.folder, path)))

    def remove(self, path: Path) -> None:
        """Remove a clip as if it had never been, when its job was cancelled at the last moment. Never raises."""
        self._unentered.drop(path)
        try:
            self._index.write(lambda connection: remove_row(connection, relative_path(self.folder, path)))
        except ClipsonicError as error:
            log.warning("%s stays in the library: %s", path.name, error)

    def newest(self, count: int, first: int = 0) -> Page:
        """Return `count` clips, the newest first, after the first `first`."""
        total = "SELECT count(*) FROM clips WHERE state = 'here'"
        page = "SELECT * FROM clips WHERE state = 'here' ORDER BY number DESC LIMIT ? OFFSET ?"
        return self._page(total, page, (), count, first)

    def search(self, words: str, count: int, first: int = 0) -> Page:
        """Return such a page of the clips that have all `words`, or their beginnings, in prompt, tags or name.

        '-word' leaves out those that have it, and 'starred' finds those with a star. Raises BadArgument when there is
        nothing to look for.
        """
        wanted, unwanted = search_terms(words)
        if wanted:
            total = "SELECT count(*) FROM words WHERE words MATCH ?"
            found = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ? OFFSET ?"
            page = f"SELECT * FROM clips WHERE number IN ({found}) ORDER BY number DESC"
            return self._page(total, page, (f"({wanted}) NOT ({unwanted})" if unwanted else wanted,), count, first)
        others = "FROM clips WHERE state = 'here' AND number NOT IN (SELECT rowid FROM words WHERE words MATCH ?)"
        page = f"SELECT * {others} ORDER BY number DESC LIMIT ? OFFSET ?"
        return self._page(f"SELECT count(*) {others}", page, (unwanted,), count, first)

    def find_by_request(self, prompt: str, seed: int, model: str) -> list[ClipRecord]:
        """Return the clips of this prompt, seed and model whose files are there with their own samples.

        As an id has it, the one that was announced comes before its copies. The prompt is in its normal form; those of
        earlier versions may be written in others.
        """

        def work(connection: sqlite3.Connection) -> list[ClipRecord]:
            return [record_of(row, self.folder) for row in rows_by_request(connection, prompt, seed, model)]

        clips = self._read(work)
        if not all(clip.is_unchanged for clip in clips):
            self._try_scan()
            clips = [clip for clip in self._index.read(work) if clip.is_unchanged]
        return [clip for clip in clips if self._has_its_samples(clip)]

    def find(self, clip: str) -> ClipRecord:
        """Return the clip of 'last', an id, a file's name or a path in the sample folder; where its file is now.

        Of several files with one id or name, the one that was announced when it was made. Raises UnknownClip.
        """
        self._unentered.enter(self._enter)
        if unentered := self._unentered.find(clip):
            return unentered
        record = self._find_known(clip)
        # An editor may have kept the recipe in what is another sound by now: then the id was not its own.
        while record.state == ClipState.PRESENT and not self._has_its_samples(record):
            record = self._look_up(clip)
        return record

    def _find_known(self, clip: str) -> ClipRecord:
        try:
            record = self._look_up(clip)
        except UnknownClip:
            sound = find_sound(self.folder, clip)
            if not sound:
                raise
            self._try_scan()
            return self._look_up(clip, f"{sound.name} holds no recipe that could be read: it can be played, no more")
        if record.state == ClipState.MISSING or (record.state == ClipState.PRESENT and not record.is_unchanged):
            self._try_scan()
            # 'last' may be another one now; a file that has a name of its own stays that clip wherever it went.
            return self._by_number(record.number) if is_path(self.folder, clip) else self._look_up(clip)
        return record

    def _has_its_samples(self, record: ClipRecord) -> bool:
        """Return whether a file has the samples that its id stands for: looked at once for each file.

        Where it has others it is entered as another clip.
        """
        if record.file.is_checked:
            return True
        try:
            file = read_clip_file(self.folder, record.file.relative_path, check=True)
            self._index.write(lambda connection: enter_checked(connection, record, file))
        except (BadFile, LibraryFailed):
            # Who needs its samples is told why they cannot be read; an index on a full disk stays as it is.
            return True
        return file.id == record.id

    def find_file(self, clip: str) -> ClipRecord:
        """Return a clip whose file is there, named as for `find`. Raises UnknownClip when it is not."""
        record = self.find(clip)
        if record.state != ClipState.PRESENT:
            raise UnknownClip(f"clip: got {short_repr(clip)}, whose file {ABSENCES[record.state]}")
        return record

    def find_sound(self, clip: str) -> tuple[Path, str]:
        """Return a file that can be played, and its id: a clip's, or '' for a sound that was not made here.

        Named as for `find`. Raises UnknownClip.
        """
        try:
            record = self.find_file(clip)
        except UnknownClip:
            sound = find_sound(self.folder, clip)
            if not sound:
                raise
            return sound, ""
        return record.path, record.id

    def star(self, clip: str, *, starred: bool = True) -> ClipRecord:
        """Give a clip a star or take it away. Raises UnknownClip."""
        return self._change(self.find(clip), "star", "star", str(int(starred)))

    def tag(self, clip: str, words: str) -> ClipRecord:
        """Add words to a clip's tags; one that begins with '-' is taken away instead.

        Raises UnknownClip, or BadArgument when there are no words, or too many or too long ones.
        """
        check_tags(words)
        record = self.find(clip)
        return self._change(record, "tag", "tags", edit_tags(record.tags, words))

    def delete(self, clip: str) -> ClipRecord:
        """Put a clip's file into the system's trash. Raises UnknownClip, FolderNotWritable or TrashFailed.

        An id or a name never means a mere copy here, though the clip itself was taken away before.
        """
        record = self.find_file(clip)
        require_entered(record)
        copies = self._index.read(lambda connection: copies_of(connection, self.folder, clip, record.number))
        if copies:
            raise UnknownClip(
                f"clip: got {short_repr(clip)}, whose file is no longer there; its copies are named by their paths: "
                f"{', '.join(copies[:5])}"
            )
        self._index.write(lambda connection: self._history.delete(connection, record))
        return self._by_number(record.number)

    def undo(self) -> UndoStep:
        """Undo the newest step. Raises NothingToUndo or FolderNotWritable.

        A request's takes leave the folder, a deleted clip comes back, a star or tag is as it was.
        """
        return self._index.write(self._history.undo)

    def redo(self) -> UndoStep:
        """Redo what was undone last. Raises NothingToUndo, FolderNotWritable or TrashFailed."""
        return self._index.write(self._history.redo)

    def scan(self) -> ScanResult:
        """Compare the index with the folder: enter what is new, find what was moved, mark what is missing."""
        with self._scanning:
            result = Scan(self._index, self.folder, self._stopped.is_set, self._foreign).run()
            self._index.is_new = False
            query = "SELECT kept FROM clips WHERE kept != ''"
            tokens = self._index.read(lambda connection: {row["kept"] for row in connection.execute(query)})
            self._undo_files.trash_orphans(tokens, self._move_to_trash)
        return result

    def open(self) -> None:
        """Check the index and compare it with the folder, in a thread of its own; what goes wrong is only logged."""
        threading.Thread(target=self._open, name="library", daemon=True).start()

    def stop_scanning(self) -> None:
        """Let a scan that runs end soon, and any later one at once."""
        self._stopped.set()

    def close(self) -> None:
        """Close the index, once a scan has ended; one that hangs on a dead disk is waited for no longer than 5 s."""
        self._stopped.set()
        if self._scanning.acquire(timeout=CLOSE_S):
            self._scanning.release()
            self._index.close()

    def _open(self) -> None:
        try:
            self._index.check()
            log.info("%s: %s", self.folder, self.scan())
        except ClipsonicError as error:
            log.warning("the library is not at hand: %s", error)
        except Exception:
            log.exception("the library's scan")

    def _try_scan(self) -> None:
        """Scan before an answer; where the index cannot be written, as on a full disk, what it has is the answer."""
        try:
            self.scan()
        except LibraryFailed as error:
            log.warning("the library was not compared with its folder: %s", error)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read a filled index: one that was lost or damaged a moment ago is made anew from the folder first.

        While that is being done already, what is there so far is the answer; for a clip that is not, a moment later.
        """
        try:
            result = self._index.read(work)
        except UnknownClip:
            if not self._index.is_new:
                raise
            if self._scanning.locked():
                if self._scanning.acquire(timeout=SCAN_WAIT_S):
                    self._scanning.release()
                return self._index.read(work)
        else:
            if not self._index.is_new or self._scanning.locked():
                return result
        self._try_scan()
        return self._index.read(work)

    def _page(self, total: str, page: str, arguments: tuple[str, ...], count: int, first: int) -> Page:
        def work(connection: sqlite3.Connection) -> Page:
            rows = connection.execute(page, (*arguments, count, first)).fetchall()
            clips = tuple(record_of(row, self.folder) for row in rows)
            return Page(connection.execute(total, arguments).fetchone()[0], clips)

        found = self._read(work)
        if all(clip.is_unchanged for clip in found.clips):
            return found
        self._try_scan()
        return self._index.read(work)

    def _look_up(self, clip: str, otherwise: str = "") -> ClipRecord:
        """Return the clip that the index has. Raises UnknownClip, which says what is known `otherwise`."""
        try:
            return self._read(lambda connection: record_of(find_row(connection, self.folder, clip), self.folder))
        except UnknownClip as error:
            raise UnknownClip(f"clip: {otherwise}" if otherwise else str(error)) from error

    def _by_number(self, number: int) -> ClipRecord:
        query = "SELECT * FROM clips WHERE number = ?"
        row = self._index.read(lambda connection: connection.execute(query, (number,)).fetchone())
        if row is None:
            # The index was lost between two reads.
            raise UnknownClip("clip: the library was just made anew; ask again")
        return record_of(row, self.folder)

    def _change(self, record: ClipRecord, kind: str, column: str, after: str) -> ClipRecord:
        require_entered(record)

        def work(connection: sqlite3.Connection) -> None:
            query = f"SELECT CAST({column} AS TEXT) FROM clips WHERE number = ?"
            row = connection.execute(query, (record.number,)).fetchone()
            before = row[0] if row else after
            if before == after:
                return
            connection.execute(f"UPDATE clips SET {column} = ? WHERE number = ?", (after, record.number))
            self._history.record(connection, kind, [ClipChange(record.number, before, after)])

        self._index.write(work)
        return self._by_number(record.number)
