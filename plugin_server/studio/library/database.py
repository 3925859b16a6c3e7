"""The library's SQLite file: opened, brought to the newest schema, and set aside when it is damaged."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from plugin_server.errors import LibraryFailed
from plugin_server.private_files import make_private_file, make_private_folder

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY_S = 10.0
"""Time that a writer waits for another process; both write for milliseconds at a time."""
CLIPS = """
CREATE TABLE clips (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    made REAL NOT NULL,
    seconds REAL NOT NULL,
    take INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    tags TEXT NOT NULL DEFAULT '',
    star INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'here',
    kept TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX clips_path ON clips (path) WHERE state = 'here';
CREATE INDEX clips_here ON clips (number) WHERE state = 'here';
CREATE INDEX clips_id ON clips (id);
CREATE INDEX clips_name ON clips (name);
CREATE INDEX clips_kept ON clips (kept) WHERE kept != '';
"""
# Only clips whose file is there are found by words. A prefix index, since every word is searched by its beginning.
WORDS = """
CREATE VIRTUAL TABLE words USING fts5 (
    prompt, tags, name, prefix = '1 2 3', tokenize = "unicode61 remove_diacritics 2"
);
CREATE TRIGGER words_of_new AFTER INSERT ON clips WHEN new.state = 'here' BEGIN
    INSERT INTO words (rowid, prompt, tags, name)
    VALUES (new.number, new.prompt, new.tags || iif(new.star, ' starred', ''), new.name);
END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF prompt, tags, name, star, state ON clips BEGIN
    DELETE FROM words WHERE rowid = old.number;
    INSERT INTO words (rowid, prompt, tags, name)
    SELECT new.number, new.prompt, new.tags || iif(new.star, ' starred', ''), new.name WHERE new.state = 'here';
END;
CREATE TRIGGER words_of_removed AFTER DELETE ON clips BEGIN
    DELETE FROM words WHERE rowid = old.number;
END;
INSERT INTO words (rowid, prompt, tags, name)
SELECT number, prompt, tags || iif(star, ' starred', ''), name FROM clips WHERE state = 'here';
"""
STEPS = """
CREATE TABLE steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    request TEXT NOT NULL DEFAULT '',
    undone INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE changes (
    step INTEGER NOT NULL REFERENCES steps (number) ON DELETE CASCADE,
    clip INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
    before TEXT NOT NULL,
    after TEXT NOT NULL
);
CREATE INDEX changes_step ON changes (step);
CREATE INDEX changes_clip ON changes (clip);
"""
SEEDS = "CREATE INDEX clips_seed ON clips (seed) WHERE state = 'here';"
COPIES = """
ALTER TABLE clips ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE clips ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clips ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;
UPDATE clips SET announced = 1
WHERE number IN (SELECT clip FROM changes JOIN steps ON steps.number = step WHERE kind = 'generate');
"""
MIGRATIONS = (CLIPS, WORDS, STEPS, SEEDS, COPIES)
"""In order; the file's user_version is how many of them it has had. Never change one that was released: add another."""


class LibraryDatabase:
    """The index file: one connection for all threads of this process; other processes may have it open too.

    The file is opened by the first piece of work, so that one that cannot be used makes nothing but that fail. A
    damaged file gets another name and an empty one replaces it; so it is when the file is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = False
        """Whether the index was created empty, and nobody has filled it since."""
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def read(self, work: Work[T]) -> T:
        """Return the result of `work`. Raises LibraryFailed, and what `work` raises."""
        return self._attempt(work)

    def write(self, work: Work[T]) -> T:
        """Return the result of `work` in a transaction: all of it is written, or nothing when `work` raises."""
        return self._attempt(lambda connection: _in_transaction(connection, work))

    def check(self) -> None:
        """Read all pages, and set the file aside when they do not fit together. Other threads may work meanwhile."""
        identity = _identity(self.path)
        if identity is None:
            return
        try:
            with closing(_connect(self.path)) as connection:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            verdict = "ok" if not _is_damaged(error) else str(error)
        if verdict != "ok":
            with self._lock:
                self._set_aside(identity, verdict)

    def close(self) -> None:
        """Close the file; the next piece of work opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _attempt(self, work: Work[T]) -> T:
        with self._lock:
            try:
                return work(self._open())
            except sqlite3.Error as error:
                if not _is_damaged(error):
                    raise LibraryFailed(f"the library's index {self.path} cannot be used: {error}") from error
                self._set_aside(self._identity, str(error))
            try:
                return work(self._open())
            except sqlite3.Error as error:
                raise LibraryFailed(f"the library's index {self.path} cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        identity = _identity(self.path)
        # Another process may have renamed it, or a person deleted it: the open file is then nobody's index.
        if self._connection is not None and identity == self._identity:
            return self._connection
        self.close()
        try:
            make_private_folder(self.path.parent)
        except OSError as error:
            raise LibraryFailed(f"{self.path.parent} cannot be made: {error.strerror}") from error
        self._identity = identity
        # It has every prompt.
        make_private_file(self.path)
        self._connection = _connect(self.path)
        self.is_new = _migrate(self._connection, self.path) or self.is_new
        self._identity = _identity(self.path)
        return self._connection

    def _set_aside(self, identity: tuple[int, int] | None, reason: str) -> None:
        """Rename a damaged file, unless it is another than the one of this identity by now. Raises LibraryFailed."""
        self.close()
        if identity is None or _identity(self.path) != identity:
            # Another process was quicker.
            return
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        try:
            for ending in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{ending}", f"{self.path}.damaged-{stamp}{ending}")
        except OSError as error:
            raise LibraryFailed(f"{self.path} is damaged and cannot be set aside: {error.strerror}") from error
        log.warning("the library's index was damaged (%s); it is now %s.damaged-%s", reason, self.path.name, stamp)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        _switch_to_wal(connection)
        # With WAL: whole after a crash; the last steps may be lost when the power fails, and the files have them.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; wait for another process that opens the new file at the same moment.

    SQLite's own timeout does not cover this lock.
    """
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path) -> bool:
    """Bring the schema up to date; return whether there was none. Raises LibraryFailed for that of a newer program."""
    if _version(connection) == len(MIGRATIONS):
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Again, as another process may have done it while this one waited.
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise LibraryFailed(f"{path} was made by a newer version of Clipsonic Live; install that one")
        for migration in MIGRATIONS[version:]:
            for statement in _statements(migration):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return version == 0


def _statements(script: str) -> list[str]:
    """Return the statements of a script one by one, since sqlite3's `executescript` ends the transaction first."""
    statements, part = [], ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            statements.append(part)
            part = ""
    return statements


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _in_transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
        return result
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_damaged(error: sqlite3.Error) -> bool:
    # The low byte is the kind of error, the rest says where.
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
