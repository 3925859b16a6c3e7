"""The library's records of clips: from a clip's own file into a row of the index, and from a row to callers."""

import re
import sqlite3
import unicodedata
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path, PurePath

from plugin_server.audio.formats.files import SUFFIXES, read_clip, read_description
from plugin_server.errors import BadFile, one_line, short_repr
from plugin_server.studio.words import normal_words

MAX_TEXT, MAX_MODEL = 4096, 200
"""Characters of texts in a recipe."""
MAX_IMAGES = 64
MAX_SECONDS = 100_000
SAME_LENGTH_S = 0.002
"""Lengths that differ by less are the same, since files have whole samples."""
STORED_ID = "stored_id"
"""Key of a recipe: fingerprint of the samples as the file holds them, where the id is that of finer ones."""
FACTS = ("id", "path", "name", "size", "mtime_ns", "made", "seconds", "take", "seed", "model", "prompt")
FILE_COLUMNS = (*FACTS, "origin", "checked")
"""Columns of `clips` that hold a `ClipFile`, in the order of its fields."""


class ClipState(StrEnum):
    """The whereabouts of a clip's file; the values are those that the index stores."""

    PRESENT = "here"
    MISSING = "gone"
    """Somebody took the file away by hand."""
    UNDONE = "undone"
    DELETED = "deleted"


ABSENCES = {
    ClipState.UNDONE: "was undone; /clip/redo brings it back",
    ClipState.DELETED: "was deleted",
    ClipState.MISSING: "is no longer there",
}
"""Why a clip's file is not there, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class ClipFile:
    """The facts that a file in the sample folder gives: a row without what people add."""

    id: str
    """Fingerprint of its samples; copies share it."""
    relative_path: str
    """Below the sample folder, with '/'."""
    name: str
    """The last part of the path, without the ending."""
    size: int
    """Bytes, as `mtime_ns` when the file was last looked at."""
    mtime_ns: int
    created_at: float
    """Seconds since 1970."""
    seconds: float
    take: int
    seed: int
    model: str
    prompt: str
    origin: str = ""
    """The id of the clip that it was edited from, '' where its samples are those that were made."""
    is_checked: int = 0
    """1 when its samples were compared with its id."""


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """A clip of the library: its file's facts, and what people added."""

    number: int
    """Counts clips in the order in which they were entered."""
    path: Path
    """Where its file is, or was; absolute."""
    file: ClipFile
    tags: str
    """Words with a space between."""
    is_starred: bool
    state: ClipState
    undo_token: str
    """Token of the file that was stashed for an undo or redo, or ''."""

    @property
    def id(self) -> str:
        """The fingerprint of its samples, which copies share."""
        return self.file.id

    @property
    def is_unchanged(self) -> bool:
        """Whether its file lies where the library has it, and nobody has written to it."""
        try:
            status = self.path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.file.size, self.file.mtime_ns)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a longer list of clips, newest first."""

    total: int
    """How many the whole list has."""
    clips: tuple[ClipRecord, ...]


def record_of(row: sqlite3.Row, folder: Path) -> ClipRecord:
    """Return the record of a row of `clips`."""
    file = ClipFile(*(row[column] for column in FILE_COLUMNS))
    state = ClipState(row["state"])
    return ClipRecord(row["number"], folder / row["path"], file, row["tags"], bool(row["star"]), state, row["kept"])


def read_clip_file(folder: Path, relative_path: str, *, check: bool = False) -> ClipFile:
    """Read the facts of a clip's file from its recipe.

    Samples are read only when the recipe lacks the clip's id, as older ones do; when the file is not as long as its
    recipe says, so that it was edited; or to `check` whether they are those of the id.

    Raises:
        BadFile: The file is none of our clips.
    """
    path = folder / relative_path
    recipe, sample_format = read_description(path)
    try:
        status, length_s = path.stat(), sample_format.seconds
        named_s = _seconds(recipe["seconds"])
        is_as_long = abs(named_s - length_s) < SAME_LENGTH_S
        is_checked = check or not is_as_long or not recipe.get("id")
        clip_id, origin = (
            _own_id(path, recipe, is_16_bits=is_as_long and sample_format.bits == 16)
            if is_checked
            else (_id(recipe["id"]), "")
        )
        return ClipFile(
            id=clip_id,
            relative_path=relative_path,
            name=name_of(relative_path),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            created_at=status.st_mtime,
            seconds=named_s if is_as_long else length_s,
            take=_whole(recipe.get("take", 1)),
            seed=_whole(recipe["seed"]),
            model=one_line(_text(recipe["model"], MAX_MODEL)),
            prompt=prompt_of(recipe),
            origin=origin,
            is_checked=int(is_checked),
        )
    except KeyError as error:
        raise BadFile(f"{path}: its recipe cannot be used: it lacks {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise BadFile(f"{path}: its recipe cannot be used: {error}") from error
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from error


def _own_id(path: Path, recipe: Mapping[str, object], *, is_16_bits: bool) -> tuple[str, str]:
    """Return the id of a file's samples, and that of its recipe where the two differ, since the file was edited.

    `is_16_bits` is meant for files that are as long as their recipe says.
    """
    found = read_clip(path).fingerprint()
    if not recipe.get("id"):
        return found, ""
    named = _id(recipe["id"])
    if found in (named, recipe.get(STORED_ID)):
        return named, ""
    # Files of 16 bits hold other samples than their id stands for, and earlier versions did not say which.
    if is_16_bits and STORED_ID not in recipe:
        return named, ""
    return found, named


def prompt_of(recipe: Mapping[str, object]) -> str:
    """Return the text that a clip is found by: its words, or else what its pictures are called, in their normal form.

    Raises:
        KeyError: The recipe has no prompt.
        TypeError: Prompt or pictures are not texts.
    """
    images = recipe.get("images")
    if recipe["prompt"] or not images:
        return normal_prompt(_text(recipe["prompt"]))
    if not isinstance(images, list) or len(images) > MAX_IMAGES:
        raise TypeError(f"got {short_repr(images)}, expected paths of pictures")
    return normal_prompt(", ".join(PurePath(_text(image)).stem for image in images))


def normal_prompt(prompt: str) -> str:
    """Return the normal form of a prompt; as it is where nothing would be left of it."""
    return normal_words(prompt) or prompt


def name_of(path: str) -> str:
    """Return what a clip is called: the last part of its path without the ending."""
    last = unicodedata.normalize("NFC", path.rpartition("/")[2])
    stem, dot, ending = last.rpartition(".")
    # 'rain_0.5s' has no ending, only a point.
    return stem if f"{dot}{ending}".lower() in SUFFIXES else last


def upsert(connection: sqlite3.Connection, file: ClipFile) -> int:
    """Enter a file, or bring up to date what is known of the one at its path; return the clip's number."""
    columns = ", ".join(FILE_COLUMNS)
    marks = ", ".join("?" * len(FILE_COLUMNS))
    updates = ", ".join(f"{name} = excluded.{name}" for name in FILE_COLUMNS)
    statement = (
        f"INSERT INTO clips ({columns}) VALUES ({marks}) "
        f"ON CONFLICT (path) WHERE state = 'here' DO UPDATE SET {updates} RETURNING number"
    )
    number: int = connection.execute(statement, astuple(file)).fetchone()[0]
    return number


def enter_checked(connection: sqlite3.Connection, record: ClipRecord, file: ClipFile) -> None:
    """Enter the file of a record whose samples were looked at, as another clip where they are not those of its id."""
    if file.id != record.id:
        connection.execute("UPDATE clips SET state = 'gone' WHERE number = ?", (record.number,))
    upsert(connection, file)


def mark_announced(connection: sqlite3.Connection, path: str) -> None:
    """Record that clients were told of the clip at this path below the folder."""
    connection.execute("UPDATE clips SET announced = 1 WHERE path = ? AND state = 'here' AND NOT announced", (path,))


def remove_row(connection: sqlite3.Connection, path: str) -> None:
    """Remove the clip at this path below the folder, and the steps that were about it alone."""
    connection.execute("DELETE FROM clips WHERE path = ? AND state = 'here'", (path,))
    connection.execute("DELETE FROM steps WHERE number NOT IN (SELECT step FROM changes)")


def set_path(connection: sqlite3.Connection, number: int, folder: Path, path: str) -> None:
    """Record that a clip's file lies at `path` below the folder now."""
    status = (folder / path).stat()
    # Another clip that has this path in the index had it before: two files cannot be there.
    others = "UPDATE clips SET state = 'gone' WHERE path = ? AND state = 'here' AND number != ?"
    connection.execute(others, (path, number))
    connection.execute(
        "UPDATE clips SET state = 'here', kept = '', path = ?, name = ?, size = ?, mtime_ns = ? WHERE number = ?",
        (path, name_of(path), status.st_size, status.st_mtime_ns, number),
    )


def _text(value: object, longest: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise TypeError(f"got {short_repr(value)}, expected text of at most {longest} characters")
    # What cannot be written to the index as UTF-8 must not cost the scan of a folder.
    return value.encode("utf-8", "replace").decode()


def _id(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.-]{1,64}", value) or value != value.lower():
        raise TypeError(f"id: got {short_repr(value)}, expected hexadecimal digits")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS:
        raise TypeError(f"seconds: got {short_repr(value)}, expected 0 to {MAX_SECONDS}")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError(f"got {short_repr(value)}, expected a whole number")
    return value
