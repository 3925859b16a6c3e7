"""Files that anybody may have written: opened without waiting, read up to a bound, parsed with one kind of error.

Everything that is found in a folder, or named by a user, is opened here.
"""

import errno
import json
import math
import os
import re
import stat
import tomllib
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from plugin_server.errors import BadFile, short_repr

FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
MAX_DOCUMENT = 2**20
"""Bytes of a JSON or TOML file where its reader says nothing else."""
MAX_DEPTH = 32
"""Objects, arrays and tables within each other."""
MAX_INTEGER = 2**63
"""Whole numbers stay below it, and above its negative: SQLite and OSC hold no larger ones."""
TOO_MANY_DIGITS = "it holds a whole number of more than 18 digits"
MAX_DOTS = 200
"""Dots in one key: Python's parser of TOML takes a time that grows with the square of them."""
QUOTED = re.compile(r"""\"[^\"]*\"|'[^']*'""")
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What is no file, by its mode, in words."""


class NoFile(BadFile):
    """A folder, a pipe, a device or the like in the place of a file."""


def open_file(path: Path, largest: int | None = None) -> BufferedReader:
    """Open a regular file to be read, which never waits. Raises BadFile that names the path.

    Pipes and devices would wait, never end, or do something when they are opened. `largest` is in bytes.
    """
    try:
        _check_status(path, path.stat(), largest)
        descriptor = os.open(path, FLAGS)
    except OSError as error:
        reason = "its links lead in a circle" if error.errno == errno.ELOOP else error.strerror or str(error)
        raise BadFile(f"{_shown(path)} cannot be read: {reason}") from error
    except ValueError as error:
        # Python refuses a path with a NUL in it before the system sees it.
        raise BadFile(f"{_shown(path)} cannot be read: {error}") from error
    file = os.fdopen(descriptor, "rb")
    try:
        # Again, since another file may have its name by now.
        _check_status(path, os.fstat(descriptor), largest)
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(path: Path, largest: int) -> bytes:
    """Return the content of a regular file of at most `largest` bytes. Raises BadFile that names the path."""
    with open_file(path, largest) as file:
        try:
            # No more than its size, so that a file that grows meanwhile, or never ends, is read only so far.
            return file.read(os.fstat(file.fileno()).st_size) or b""
        except (OSError, MemoryError) as error:
            raise BadFile(f"{_shown(path)} cannot be read: {getattr(error, 'strerror', None) or error!r}") from error


def read_json(path: Path, largest: int = MAX_DOCUMENT) -> object:
    """Return what a JSON file holds, as `parse_json` does. Raises BadFile that names the path."""
    content = read_bytes(path, largest)
    try:
        return parse_json(content)
    except ValueError as error:
        raise BadFile(f"{_shown(path)} cannot be read: {error}") from error


def read_toml(path: Path, largest: int = MAX_DOCUMENT) -> dict[str, Any]:
    """Return what a TOML file holds: finite numbers, text without NULs, few levels. Raises BadFile that names it."""
    content = read_bytes(path, largest)
    try:
        return parse_toml(content)
    except ValueError as error:
        raise BadFile(f"{_shown(path)} cannot be read: {error}") from error


def parse_toml(content: bytes) -> dict[str, Any]:
    """Return what a document of TOML holds, within the bounds of `read_toml`. Raises ValueError, and no other."""
    try:
        text = decode_text(content)
        _check_keys(text)
        values: dict[str, Any] = _checked(tomllib.loads(text))
    except (ValueError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(_reason(error)) from error
    return values


def parse_json(content: bytes) -> Any:
    """Return a JSON value of UTF-8: finite numbers, text without NULs, few levels. Raises ValueError, and no other."""
    try:
        return _checked(json.loads(decode_text(content), parse_constant=_refuse_constant))
    except (ValueError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(_reason(error)) from error


def decode_text(content: bytes) -> str:
    """Return UTF-8 as text with plain line ends, with or without a byte order mark. Raises ValueError."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(content) > 1 and b"\0" in content[:2]):
        raise ValueError("it is UTF-16 text, expected UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_status(path: Path, status: os.stat_result, largest: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for is_kind, words in KINDS if is_kind(status.st_mode)), "something else")
        raise NoFile(f"{_shown(path)} cannot be read: it is {kind}, expected a file")
    if largest is not None and status.st_size > largest:
        raise BadFile(f"{_shown(path)} has {status.st_size} bytes, expected at most {largest}")


def _shown(path: Path) -> str:
    """Return a path for a sentence, escaped where it would steer a terminal or cannot be sent."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def _reason(error: Exception) -> str:
    if "integer string conversion" in str(error):
        # Python's own bound comes before ours.
        return TOO_MANY_DIGITS
    return {RecursionError: "it is nested too deeply", MemoryError: "it is too large"}.get(type(error), str(error))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")


def _checked(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON or TOML when it is within bounds; halves of UTF-16 pairs become '?'. Raises ValueError."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"it holds {short_repr(value)}, expected text without NUL")
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds {value}, expected a finite number")
    if isinstance(value, int) and not -MAX_INTEGER < value < MAX_INTEGER:
        raise ValueError(TOO_MANY_DIGITS)
    if isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise ValueError(f"it is nested too deeply, expected at most {MAX_DEPTH} levels")
        if isinstance(value, list):
            return [_checked(one, depth + 1) for one in value]
        return {_checked(key): _checked(one, depth + 1) for key, one in value.items()}
    return value


def _check_keys(text: str) -> None:
    """Raise ValueError where a key has many dots, before the parser sees it."""
    for line in text.split("\n"):
        if line.count(".") > MAX_DOTS and not line.lstrip().startswith("#"):
            for part in re.split(r"[=\[{,]", QUOTED.sub("''", line)):
                if part.count(".") > MAX_DOTS:
                    raise ValueError(f"it has a key of {part.count('.') + 1} parts, expected at most {MAX_DOTS}")
