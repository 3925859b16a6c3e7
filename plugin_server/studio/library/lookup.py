"""Finding one clip in the index by what a user calls it: an id, a name, a path, or last.

Copies of a file share its id, and often its name. Both then mean the clip that was announced when it was made; where
none of them was, as after the index was lost, the one that was entered first.
"""

import os
import sqlite3
import unicodedata
from pathlib import Path, PurePath

from plugin_server.audio.formats.files import SUFFIXES
from plugin_server.errors import UnknownClip, short_repr
from plugin_server.studio.library.records import name_of, normal_prompt

FIRST_MEANT = "announced DESC, CASE WHEN announced THEN -number ELSE number END"
"""SQL for the order of clips that share an id: of those that were announced the last one first, else the oldest."""
PERHAPS_NOT_NORMAL = (
    "prompt GLOB '*[^-a-zA-Z0-9,.;:!?()&/+ ]*' OR prompt GLOB '*  *' OR prompt GLOB ' *' OR prompt GLOB '* '"
)
"""SQL for a prompt whose normal form may be another one."""


def find_row(connection: sqlite3.Connection, folder: Path, clip: str) -> sqlite3.Row:
    """Return the row that is meant, one whose file is there before others. Raises UnknownClip."""
    if is_last(clip):
        queries: list[tuple[str, tuple[str, ...]]] = [("state = 'here' ORDER BY number DESC LIMIT 1", ())]
    else:
        best = f"ORDER BY state = 'here' DESC, {FIRST_MEANT} LIMIT 1"
        queries = [(f"{condition} {best}", arguments) for condition, arguments in _conditions(folder, clip)]
    for query, arguments in queries:
        row: sqlite3.Row | None = connection.execute(f"SELECT * FROM clips WHERE {query}", arguments).fetchone()
        if row is not None:
            return row
    raise UnknownClip(f"clip: got {short_repr(clip)}, expected 'last', or a clip's id, name or path in {folder}")


def rows_by_request(connection: sqlite3.Connection, prompt: str, seed: int, model: str) -> list[sqlite3.Row]:
    """Return the rows of a prompt in its normal form, a seed and a model whose files are there, unedited."""
    query = (
        "SELECT * FROM clips WHERE seed = ? AND model = ? AND state = 'here' "
        f"AND (prompt = ? OR {PERHAPS_NOT_NORMAL}) AND origin = '' ORDER BY {FIRST_MEANT}"
    )
    rows = connection.execute(query, (seed, model, prompt)).fetchall()
    return [row for row in rows if normal_prompt(row["prompt"]) == prompt]


def copies_of(connection: sqlite3.Connection, folder: Path, clip: str, number: int) -> list[str]:
    """Return the paths of the files that are mere copies of the clip that an id or a name means.

    None when clip `number`, which was found by it, is that clip itself: only then a command may destroy it.
    """
    row = connection.execute("SELECT * FROM clips WHERE number = ?", (number,)).fetchone()
    if row is None or is_last(clip) or is_path(folder, clip):
        return []
    same_id = "SELECT number, path, state FROM clips WHERE id = ?"
    announced = connection.execute(f"{same_id} AND announced", (row["id"],)).fetchall()
    if row["announced"] or (not announced and _is_first(connection, row)):
        return []
    rows = connection.execute(f"{same_id} AND state = 'here' ORDER BY number", (row["id"],)).fetchall()
    return [other["path"] for other in rows]


def _is_first(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    query = "SELECT min(number) FROM clips WHERE id = ?"
    return bool(connection.execute(query, (row["id"],)).fetchone()[0] == row["number"])


def is_last(clip: str) -> bool:
    """Return whether the newest clip is meant, whichever it is."""
    return clip.casefold() == "last"


def is_path(folder: Path, clip: str) -> bool:
    """Return whether a clip is named by a path below a folder of clips, not by an id or a name."""
    relative = relative_path(folder, Path(clip))
    return "/" in relative or name_of(relative) != unicodedata.normalize("NFC", relative)


def relative_path(folder: Path, path: Path) -> str:
    """Return a path as the index has it. No file is touched: what lies elsewhere is simply not in the index."""
    if path.is_absolute():
        with_case, top = os.path.normpath(path), os.path.normpath(folder)
        path = Path(os.path.relpath(with_case, top)) if is_inside(with_case, top) else path
    return PurePath(path).as_posix()


def find_sound(folder: Path, clip: str) -> Path | None:
    """Return the file of sound below a folder that has this path, or this name, whether the index knows it or not.

    None where it is reached by a link out of the folder.
    """
    if ".." in PurePath(clip).parts or "\0" in clip:
        return None
    for ending in ("", *SUFFIXES):
        path = os.path.normpath(folder / f"{clip}{ending}")
        # os.path's, which takes a name that no file can have for one that none has.
        is_sound = path.lower().endswith(SUFFIXES) and os.path.isfile(path)  # noqa: PTH113
        if is_sound and is_inside(os.path.realpath(path), os.path.realpath(folder)):
            return Path(path)
    return None


def is_inside(path: str, folder: str) -> bool:
    """Return whether a normal path lies below a normal folder."""
    return os.path.normcase(path).startswith(os.path.normcase(folder.rstrip(os.sep) + os.sep))


def _conditions(folder: Path, clip: str) -> list[tuple[str, tuple[str, ...]]]:
    clip = unicodedata.normalize("NFC", clip)
    path = relative_path(folder, Path(clip))
    conditions: list[tuple[str, tuple[str, ...]]] = [("name = ? AND path = ?", (name_of(path), path))]
    if "/" not in path:
        conditions += [("id = ?", (clip.lower(),)), ("name = ?", (name_of(path),))]
    return conditions
