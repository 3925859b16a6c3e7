"""Records of the daemons that run: a private file for each, by which commands find it, its folder and its ports.

A record counts for as long as its daemon holds the lock on it: the system gives that back however the daemon ends, so
neither a crash nor another process with the same id can leave a record that seems alive.
"""

import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from plugin_server.private_files import make_private_folder
from plugin_server.untrusted_files import parse_json

MAX_BYTES = 65536
"""Size of the largest file that is read as a record."""
_LOCKED_AT = 1 << 30
"""Place of the byte that is locked, where a system locks bytes: behind all that is read."""


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """The process, ports and folders of a daemon that runs."""

    pid: int
    osc_port: int
    http_port: int
    """0 when it has none."""
    folder: str
    index_folder: str
    bank_folder: str
    started_at: float
    """Seconds since 1970."""


@contextmanager
def announce_daemon(folder: Path, record: DaemonRecord) -> Iterator[None]:
    """Keep the record of this process in a folder until the block ends.

    A folder that cannot be written costs only that commands do not find the daemon by themselves.
    """
    descriptor, path = None, folder / f"{record.osc_port}-{record.pid}-{secrets.token_hex(4)}.json"
    with suppress(OSError):
        make_private_folder(folder)
        descriptor = _write_locked(path, json.dumps(asdict(record)).encode())
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)
            with suppress(OSError):
                # Windows deletes no file that is open.
                path.unlink(missing_ok=True)


def find_daemons(folder: Path) -> list[DaemonRecord]:
    """Return the daemons that run, the newest first; records of those that ended are removed."""
    records = []
    with suppress(OSError):
        for path in folder.glob("*.json"):
            with suppress(OSError):
                content = _read_if_locked(path)
                if content is None:
                    path.unlink(missing_ok=True)
                elif record := _parse(content):
                    records.append(record)
    return sorted(records, key=lambda record: record.started_at, reverse=True)


def choose_daemon(records: list[DaemonRecord], port: int) -> DaemonRecord | None:
    """Return the daemon on a port, else the newest; None when there is none."""
    return next((record for record in records if record.osc_port == port), next(iter(records), None))


def _write_locked(path: Path, content: bytes) -> int:
    """Write a file that is locked before it has its name; return its open descriptor. Raises OSError."""
    # Windows renames no file that is open.
    temporary = path if sys.platform == "win32" else path.with_suffix(".part")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        os.write(descriptor, content)
        if not _lock(descriptor):
            raise OSError(f"{temporary} cannot be locked")
        if temporary != path:
            temporary.replace(path)
    except OSError:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return descriptor


def _read_if_locked(path: Path) -> bytes | None:
    """Return what a record holds, or None when no process holds its lock. Raises OSError."""
    # Without waiting for a pipe that somebody has put there.
    flags = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _lock(descriptor):
            return None
        return os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False when somebody else has done so. Raises other OSErrors."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_AT, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(content: bytes) -> DaemonRecord | None:
    """Return the record in a file, or None when it holds none."""
    try:
        values = parse_json(content)
        record = DaemonRecord(**values)
    except (ValueError, TypeError):
        return None
    numbers = (record.pid, record.osc_port, record.http_port)
    texts = (record.folder, record.index_folder, record.bank_folder)
    is_sound = all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
    return record if is_sound and isinstance(record.started_at, float) else None


def record_now(osc_port: int, http_port: int, folders: tuple[Path, Path, Path]) -> DaemonRecord:
    """Return the record of this process, which begins to serve now; its folders are those of clips, index and banks."""
    clips, index, banks = map(str, folders)
    return DaemonRecord(os.getpid(), osc_port, http_port, clips, index, banks, time.time())
