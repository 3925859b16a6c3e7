"""Files that are being written: their names, and what a program that was killed has left of them."""

import os
import re
import secrets
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

PART = re.compile(r"\.[0-9a-f]{16}\.part|\.clipsonic-[0-9a-f]{8}\.part")
"""Names of our own files, while they are written or only tried."""
STAGE = re.compile(r"\.clipsonic-\w{8}")
"""Names of folders in which bundles and instruments are put together."""
PART_AGE_S, STAGE_AGE_S = 3600.0, 24 * 3600.0
"""Ages at which nobody writes any more; a large bundle takes its time."""


def partial_path(path: Path) -> Path:
    """Return the hidden path under which a file is written before it gets its name."""
    return path.with_name(f".{secrets.token_hex(8)}.part")


def stage_path(folder: Path) -> Path:
    """Return the hidden path under which a folder is put together before it gets its name."""
    return folder.with_name(f".clipsonic-{secrets.token_hex(4)}")


def remove_if_stale(path: Path) -> None:
    """Delete what was left of a file that was being written, where it is old. Never raises."""
    with suppress(OSError):
        status = path.lstat()
        age_s = time.time() - status.st_mtime
        if PART.fullmatch(path.name) and stat.S_ISREG(status.st_mode) and age_s > PART_AGE_S:
            path.unlink()
        elif STAGE.fullmatch(path.name) and stat.S_ISDIR(status.st_mode) and age_s > STAGE_AGE_S:
            shutil.rmtree(path, ignore_errors=True)


def remove_stale_parts(folder: Path) -> None:
    """Delete what is old and was left in a folder, not in those below it. Never raises."""
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if entry.name.startswith(".")]:
            remove_if_stale(folder / name)
