"""The files of a bundle that somebody gives: a folder or a zip file, looked through before anything is read."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO

from plugin_server.engine.bundles.card import CARD_NAME
from plugin_server.errors import BadFile
from plugin_server.untrusted_files import open_file

MAX_RATIO = 200
"""Bytes that one packed byte may stand for; weights have two or three."""
FREE_BYTES = 2**20
"""Files up to this size may be packed as well as they can."""
MAX_DIRECTORY_BYTES = 2**22
"""Bytes of a zip file's directory, which is read whole."""
MAX_ENTRIES = 10_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
END, END_64, LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
"""Signatures of a zip file's last records (PKWARE's APPNOTE, 4.3.14 to 4.3.16)."""
END_BYTES, LONGEST_COMMENT = 22, 65_535


@dataclass(frozen=True, slots=True)
class Member:
    """A file beside the card."""

    size: int
    """Bytes, unpacked."""
    open: Callable[[], IO[bytes]]
    problem: str = ""
    """Why it may not be copied, as the end of a sentence; '' when it may."""


Members = Mapping[str, Member]
"""Names without folders, and what each file is."""


@contextmanager
def open_members(source: Path) -> Iterator[Members]:
    """Yield the files beside the card in a folder or a zip file; links are not followed.

    Raises BadFile when it is neither.
    """
    try:
        is_folder, is_there = source.is_dir(), source.is_symlink() or source.exists()
    except (OSError, ValueError) as error:
        raise BadFile(f"{str(source)!r} cannot be read: {error}") from error
    if not is_there:
        raise BadFile(f"{source} is not there; expected a folder or a zip file with a bundle")
    if is_folder:
        yield _in_folder(source)
        return
    with open_file(source) as file:
        try:
            _check_directory(source, file)
            with zipfile.ZipFile(file) as archive:
                yield _in_archive(source, archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise BadFile(f"{source} cannot be read as a zip file: {error}") from error


def _in_folder(folder: Path) -> Members:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise BadFile(f"{folder} cannot be read: {error.strerror}") from error
    members = {}
    for path in paths[:MAX_ENTRIES]:
        try:
            status = path.lstat()
        except OSError:
            continue
        problem = "" if stat.S_ISREG(status.st_mode) else "is a link or no file, expected a file"
        members[path.name] = Member(status.st_size, partial(open_file, path), problem)
    return members


def _in_archive(source: Path, archive: zipfile.ZipFile) -> Members:
    """Return the files beside the card, which lies at the top or one folder down; all others are skipped."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise BadFile(f"{source} has {len(infos)} files, expected at most {MAX_ENTRIES}")
    tops = {PurePosixPath(info.filename).parent for info in infos if PurePosixPath(info.filename).name == CARD_NAME}
    if not tops:
        return {}
    top = min(tops, key=lambda top: (len(top.parts), top))
    beside = [info for info in infos if not info.is_dir() and PurePosixPath(info.filename).parent == top]
    return {
        PurePosixPath(info.filename).name: Member(info.file_size, partial(archive.open, info), _problem(info))
        for info in beside
    }


def _problem(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or no file, expected a file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in METHODS:
        return "is packed by another method than deflate"
    if info.file_size > max(FREE_BYTES, MAX_RATIO * info.compress_size):
        return (
            f"would be unpacked from {info.compress_size} bytes to {info.file_size}, expected {MAX_RATIO} times at most"
        )
    return ""


def _check_directory(source: Path, file: BufferedReader) -> None:
    """Raise BadFile where the directory, which zipfile reads whole, is larger than that of any bundle."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_BYTES - LONGEST_COMMENT))
    tail = file.read()
    position = tail.rfind(END)
    if position < 0 or len(tail) - position < END_BYTES:
        raise zipfile.BadZipFile("File is not a zip file")
    (length,) = struct.unpack_from("<L", tail, position + 12)
    locator = tail[max(0, position - 20) : position]
    if locator[:4] == LOCATOR_64:
        # Of a large file: its own record tells the true size.
        file.seek(min(size, struct.unpack_from("<Q", locator, 8)[0]))
        record = file.read(56)
        if record[:4] == END_64 and len(record) == 56:
            (length,) = struct.unpack_from("<Q", record, 40)
    file.seek(0)
    if length > MAX_DIRECTORY_BYTES:
        raise BadFile(f"{source}: its directory has {length} bytes, expected at most {MAX_DIRECTORY_BYTES}")
