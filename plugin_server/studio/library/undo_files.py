"""Files that left the sample folder and may come back: moved out and in, whole or not at all."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from plugin_server.audio.formats.files import rename_new
from plugin_server.audio.names import unique_path
from plugin_server.errors import FolderNotWritable, TrashFailed

Trash = Callable[[Path], None]
"""Puts a file into the system's trash. Raises TrashFailed."""
STRAY_S = 24 * 3600.0
"""Age of a kept file that no clip speaks of before it goes to the trash: another process may just be keeping it."""


def move_to_trash(path: Path) -> None:
    """The system's own trash, from where a person can take it back. Raises TrashFailed."""
    # Imported here: where the system's trash cannot be reached, only this shall fail.
    try:
        from send2trash import send2trash

        send2trash(str(path))
    except Exception as error:  # each system's way has errors of its own
        raise TrashFailed(f"{path} cannot be moved to the trash: {error}") from error


class UndoFiles:
    """A folder with a folder for each kept file, so that every file keeps its own name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def move_in(self, path: Path, token: str = "") -> str:
        """Take a file out of its folder; the token that finds it again, a new one unless one is given.

        Raises FileNotFoundError, or FolderNotWritable when it cannot be moved; then it stays where it was.
        """
        return self._keep(move_file, path, token)

    def copy_in(self, path: Path) -> str:
        """Keep a file that stays where it is: a second link where both are on one disk, else a copy. Raises as
        `move_in` does."""
        return self._keep(_link_or_copy, path, "")

    def move_out(self, token: str, path: Path) -> Path:
        """Put a file back to where it was, or under the next free name there; where it is now.

        Raises FileNotFoundError when it is kept no longer, or FolderNotWritable.
        """
        kept = self.find(token)
        if kept is None:
            raise FileNotFoundError(path)
        for _ in range(100):
            place = unique_path(path.parent, path.stem, path.suffix)
            try:
                _guarded(partial(_into, move_file, kept, place), place)
            except FileExistsError:
                continue
            self.drop(token)
            return place
        raise FolderNotWritable(f"{path.parent}: no free name for {path.name}")

    def find(self, token: str) -> Path | None:
        """The file of a token; None when there is none."""
        try:
            return next((self._folder / token).iterdir(), None) if token else None
        except OSError:
            return None

    def drop(self, token: str) -> None:
        """Forget a file; one that is still there is deleted."""
        if token:
            shutil.rmtree(self._folder / token, ignore_errors=True)

    def throw_away(self, token: str, trash: Trash) -> None:
        """Move a file to the trash. Raises TrashFailed."""
        kept = self.find(token)
        if kept is not None:
            trash(kept)
        self.drop(token)

    def sweep(self, known: Collection[str], trash: Trash) -> None:
        """Throw away what no clip speaks of any longer, as when the index was lost."""
        if not self._folder.is_dir():
            return
        for place in self._folder.iterdir():
            with suppress(OSError, TrashFailed):
                if place.name not in known and time.time() - place.stat().st_ctime > STRAY_S:
                    self.throw_away(place.name, trash)

    def _keep(self, way: Callable[[Path, Path], None], path: Path, token: str) -> str:
        token = token or secrets.token_hex(8)
        place = self._folder / token / path.name
        try:
            _guarded(lambda: _into(way, path, place), place)
        except BaseException:
            self.drop(token)
            raise
        return token


def move_file(old: Path, new: Path) -> None:
    """Move without ever replacing a file, also from one disk to another: it is whole at one of the places.

    Raises FileExistsError or another OSError; then nothing has changed.
    """
    _link_or_copy(old, new)
    try:
        old.unlink()
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # Another disk, or a file system that knows no links.
        beside = new.with_name(f".{secrets.token_hex(8)}.part")
        try:
            shutil.copy2(old, beside)
            rename_new(beside, new)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def _into(way: Callable[[Path, Path], None], old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    way(old, new)


def _guarded(work: Callable[[], None], place: Path) -> None:
    try:
        work()
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise FolderNotWritable(f"{place} cannot be written: {error.strerror or error}") from error
