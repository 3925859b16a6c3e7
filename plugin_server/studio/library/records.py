"""What the library knows of a clip: from the clip's own file into a row, and from a row to whoever asks."""

import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from plugin_server.audio.formats.files import SUFFIXES, read_clip, read_recipe
from plugin_server.errors import BadFile


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """A clip of the library."""

    number: int
    """Counts clips in the order in which they were entered."""
    id: str
    """Fingerprint of its samples; copies share it."""
    path: Path
    """Where its file is, or was; absolute."""
    size: int
    """Bytes, as `mtime_ns` when the file was last looked at."""
    mtime_ns: int
    made: float
    """Seconds since 1970."""
    seconds: float
    take: int
    seed: int
    model: str
    prompt: str
    tags: str
    """Words with a space between."""
    star: bool
    state: str
    """'here', 'gone' (its file was taken away by hand), 'undone' or 'deleted'."""
    kept: str
    """Token of the file that was put away for an undo or redo, or ''."""

    @property
    def is_as_known(self) -> bool:
        """Its file lies where the library has it, and nobody has written to it."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class ClipFile:
    """What a file in the sample folder says of itself: a row without what people add."""

    id: str
    path: str
    """Below the sample folder, with '/'."""
    name: str
    size: int
    mtime_ns: int
    made: float
    seconds: float
    take: int
    seed: int
    model: str
    prompt: str


def entry_of(row: sqlite3.Row, folder: Path) -> ClipRecord:
    """The entry of a row of `clips`."""
    values = dict(row)
    del values["name"]
    return ClipRecord(**values | {"path": folder / values["path"], "star": bool(values["star"])})


def read_clip_file(folder: Path, path: str) -> ClipFile:
    """A clip's file by its recipe; samples are read only when the recipe lacks the clip's id, as older ones do.

    Raises BadFile when it is none of our clips.
    """
    place = folder / path
    recipe = read_recipe(place)
    try:
        found = place.stat()
        return ClipFile(
            id=_text(recipe.get("id") or read_clip(place).fingerprint()),
            path=path,
            name=name_of(path),
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            made=found.st_mtime,
            seconds=_number(recipe["seconds"]),
            take=_whole(recipe.get("take", 1)),
            seed=_whole(recipe["seed"]),
            model=_text(recipe["model"]),
            prompt=prompt_of(recipe),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(f"{place}: its recipe cannot be used: {error!r}") from error
    except OSError as error:
        raise BadFile(f"{place} cannot be read: {error.strerror}") from error


def prompt_of(recipe: Mapping[str, object]) -> str:
    """What a clip is found by: its words, or else what its pictures are called. Raises KeyError or TypeError."""
    images = recipe.get("images")
    if recipe["prompt"] or not images:
        return _text(recipe["prompt"])
    if not isinstance(images, Iterable):
        raise TypeError(f"got {images!r}, expected paths of pictures")
    return ", ".join(PurePath(_text(image)).stem for image in images)


def name_of(path: str) -> str:
    """What a clip is called: the last part of its path without the ending."""
    last = unicodedata.normalize("NFC", path.rpartition("/")[2])
    stem, dot, ending = last.rpartition(".")
    # 'rain_0.5s' has no ending, only a point.
    return stem if f"{dot}{ending}".lower() in SUFFIXES else last


def put(connection: sqlite3.Connection, file: ClipFile) -> int:
    """Enter a file, or bring up to date what is known of the one at its path; the clip's number."""
    values = asdict(file)
    columns = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    renewed = ", ".join(f"{name} = excluded.{name}" for name in values)
    statement = (
        f"INSERT INTO clips ({columns}) VALUES ({marks}) "
        f"ON CONFLICT (path) WHERE state = 'here' DO UPDATE SET {renewed} RETURNING number"
    )
    number: int = connection.execute(statement, values).fetchone()[0]
    return number


def move(connection: sqlite3.Connection, number: int, folder: Path, path: str) -> None:
    """A clip's file lies at `path` now."""
    found = (folder / path).stat()
    # Who has this path in the index had it before: two files cannot be there.
    taken = "UPDATE clips SET state = 'gone' WHERE path = ? AND state = 'here' AND number != ?"
    connection.execute(taken, (path, number))
    connection.execute(
        "UPDATE clips SET state = 'here', kept = '', path = ?, name = ?, size = ?, mtime_ns = ? WHERE number = ?",
        (path, name_of(path), found.st_size, found.st_mtime_ns, number),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"got {value!r}, expected text")
    # What cannot be written to the index as UTF-8 must not cost the scan of a folder.
    return value.encode("utf-8", "replace").decode()


def _number(value: object) -> float:
    if not isinstance(value, str | int | float):
        raise TypeError(f"got {value!r}, expected a number")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError(f"got {value!r}, expected a whole number")
    return value
