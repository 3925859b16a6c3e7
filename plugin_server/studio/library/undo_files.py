"""Files that left the sample folder and may come back: moved out and in, whole or not at all."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from plugin_server.audio.formats.files import rename_new
from plugin_server.audio.formats.partial_files import partial_path
from plugin_server.audio.names import unique_path
from plugin_server.errors import FolderNotWritable, TrashFailed

MoveToTrash = Callable[[Path], None]
"""Puts a file into the system's trash. Raises TrashFailed."""
Transfer = Callable[[Path, Path], None]
"""Brings a file to a new path, by moving, linking or copying it; never replaces one. Raises OSError."""
ORPHAN_AGE_S = 24 * 3600.0
"""Age at which a stashed file that no clip refers to goes to the trash: another process may be stashing a younger."""


def move_to_trash(path: Path) -> None:
    """Move a file to the system's own trash, from where a person can take it back. Raises TrashFailed."""
    # Imported here: where the system's trash cannot be reached, only this shall fail.
    try:
        from send2trash import send2trash

        send2trash(str(path))
    except Exception as error:  # each system's way has errors of its own
        raise TrashFailed(f"{path} cannot be moved to the trash: {error}") from error


class UndoFiles:
    """A folder with a folder for each stashed file, so that every file keeps its own name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stash(self, path: Path, token: str = "") -> str:
        """Take a file out of its folder; return the token that finds it again, a new one unless one is given.

        Raises FileNotFoundError, or FolderNotWritable when it cannot be moved; then it stays where it was.
        """
        return self._stash(move_file, path, token)

    def stash_copy(self, path: Path) -> str:
        """Stash a file that also stays where it is; return its token.

        A second link where both folders are on one disk, else a copy. Raises as `stash` does.
        """
        return self._stash(_link_or_copy, path, "")

    def restore(self, token: str, path: Path) -> Path:
        """Put a file back to where it was, or under the next free name there; return where it is now.

        Raises FileNotFoundError when it is stashed no longer, or FolderNotWritable.
        """
        stashed = self.find(token)
        if stashed is None:
            raise FileNotFoundError(path)
        for _ in range(100):
            free_path = unique_path(path.parent, path.stem, path.suffix)
            try:
                _transfer(move_file, stashed, free_path)
            except FileExistsError:
                continue
            self.discard(token)
            return free_path
        raise FolderNotWritable(f"{path.parent}: no free name for {path.name}")

    def find(self, token: str) -> Path | None:
        """Return the file of a token; None when there is none."""
        try:
            return next((self._folder / token).iterdir(), None) if token else None
        except OSError:
            return None

    def discard(self, token: str) -> None:
        """Delete the file of a token, if it is still there, and its folder."""
        if token:
            shutil.rmtree(self._folder / token, ignore_errors=True)

    def trash(self, token: str, move_to_trash: MoveToTrash) -> None:
        """Move the file of a token to the trash. Raises TrashFailed."""
        stashed = self.find(token)
        if stashed is not None:
            move_to_trash(stashed)
        self.discard(token)

    def trash_orphans(self, tokens: Collection[str], move_to_trash: MoveToTrash) -> None:
        """Move to the trash what has none of these tokens and is old, as when the index was lost."""
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            with suppress(OSError, TrashFailed):
                if folder.name not in tokens and time.time() - folder.stat().st_ctime > ORPHAN_AGE_S:
                    self.trash(folder.name, move_to_trash)

    def _stash(self, transfer: Transfer, path: Path, token: str) -> str:
        token = token or secrets.token_hex(8)
        try:
            _transfer(transfer, path, self._folder / token / path.name)
        except BaseException:
            self.discard(token)
            raise
        return token


def move_file(old: Path, new: Path) -> None:
    """Move a file without ever replacing one, also from one disk to another: it is whole at one of the paths.

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
        temporary = partial_path(new)
        try:
            shutil.copy2(old, temporary)
            rename_new(temporary, new)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _transfer(transfer: Transfer, old: Path, new: Path) -> None:
    """Bring a file to a new path, in a folder that is made.

    Raises FileExistsError, FileNotFoundError or FolderNotWritable.
    """
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        transfer(old, new)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise FolderNotWritable(f"{new} cannot be written: {error.strerror or error}") from error
