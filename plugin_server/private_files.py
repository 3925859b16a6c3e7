"""Folders and files of one person's own, which nobody else on the machine may read."""

import os
from contextlib import suppress
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing; folders that are there stay as they are. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        # Another process may be quicker.
        with suppress(FileExistsError):
            each.mkdir(PRIVATE_FOLDER)
    # As a file of that name is refused.
    folder.mkdir(exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file where there is none, and keep others from reading it and what SQLite writes beside it.

    Never raises: whoever opens the file finds out what is wrong with it.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):
            if (file := Path(f"{path}{ending}")).is_file():
                file.chmod(PRIVATE_FILE)
