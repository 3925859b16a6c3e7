"""Texts by name: files of a folder, each written whole, or entries of a dictionary where nothing is to be kept."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from plugin_server.audio.formats.files import rename_new, write_whole
from plugin_server.audio.names import unique_path
from plugin_server.errors import FolderNotWritable, TrashFailed
from plugin_server.private_files import PRIVATE_FILE, make_private_folder
from plugin_server.studio.banks.bank import MAX_BANK_BYTES
from plugin_server.studio.library.undo_files import MoveToTrash
from plugin_server.untrusted_files import read_bytes


class TextFolder:
    """Texts in files that are called like them. Without a folder they are kept in memory."""

    def __init__(
        self,
        folder: Path | None,
        move_to_trash: MoveToTrash | None = None,
        suffix: str = ".toml",
        max_bytes: int = MAX_BANK_BYTES,
    ) -> None:
        """With `move_to_trash`, files that are taken away go there, else they are deleted."""
        self.folder, self._move_to_trash = folder, move_to_trash
        self._suffix, self._max_bytes = suffix, max_bytes
        self._memory: dict[str, str] = {}

    def path(self, name: str) -> Path:
        """Return the file of a name, whether it is there or not."""
        return (self.folder or Path()) / f"{name}{self._suffix}"

    def names(self) -> list[str]:
        """Return the names of all texts, sorted."""
        if self.folder is None:
            return sorted(self._memory)
        try:
            return sorted(path.stem for path in self.folder.glob(f"*{self._suffix}"))
        except OSError:
            return []

    def read(self, name: str) -> str | None:
        """Return a text, or None when there is none. Raises BadFile for what cannot be read."""
        if self.folder is None:
            return self._memory.get(name)
        path = self.path(name)
        if not os.path.lexists(path):
            return None
        # As it is, so that undoing gives back every byte.
        return read_bytes(path, self._max_bytes).decode("utf-8", "surrogateescape")

    def write(self, name: str, text: str | None, *, to_trash: bool = True) -> None:
        """Write a text, or take it away for None. Raises FolderNotWritable or TrashFailed; then it is as before.

        Without `to_trash` it is deleted, as what lies elsewhere by now.
        """
        if self.folder is None:
            self._memory.pop(name, None)
            if text is not None:
                self._memory[name] = text
            return
        path = self.path(name)
        if text is None:
            self._remove(path, to_trash=to_trash)
            return
        try:
            make_private_folder(path.parent)
        except OSError as error:
            raise FolderNotWritable(f"{path} cannot be written: {error.strerror}") from error
        write_whole(path, text.encode("utf-8", "surrogateescape"), os.replace, PRIVATE_FILE)

    def set_aside(self, name: str) -> None:
        """Put a copy of a file into the trash, or beside it with the ending `.old` where there is no trash.

        Raises FolderNotWritable when neither can be done.
        """
        path = self.path(name)
        if self._move_to_trash is None or not path.is_file():
            return
        try:
            # A folder of its own, so that it has its own name in the trash.
            with tempfile.TemporaryDirectory(prefix=".", dir=path.parent, ignore_cleanup_errors=True) as beside:
                copy = Path(shutil.copy2(path, beside))
                with suppress(TrashFailed):
                    self._move_to_trash(copy)
                    return
                rename_new(copy, unique_path(path.parent, path.name, ".old"))
        except OSError as error:
            raise FolderNotWritable(f"{path} cannot be set aside: {error}") from error

    def _remove(self, path: Path, *, to_trash: bool) -> None:
        try:
            if to_trash and self._move_to_trash and path.is_file():
                self._move_to_trash(path)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FolderNotWritable(f"{path} cannot be taken away: {error.strerror}") from error
