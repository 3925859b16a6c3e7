"""The system's file manager, and its program for a file."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from plugin_server.errors import ClipsonicError


def open_file(path: Path) -> str:
    """Open a file, or a folder, with the system's program for it, and return its path.

    Raises ClipsonicError when that program cannot be started, or refuses.
    """
    if sys.platform == "win32":
        os.startfile(path)
    else:
        _call(["open" if sys.platform == "darwin" else "xdg-open", str(path)])
    return str(path)


def reveal_file(path: Path) -> str:
    """Show a file in its folder, and return its path. Raises ClipsonicError when that cannot be done.

    Windows and macOS mark the file in its folder; elsewhere the folder is opened.
    """
    if sys.platform == "win32":
        # Explorer ends with 1 when all is well, and wants its quotes where Python would not set them.
        subprocess.run(f'explorer /select,"{path}"', check=False)
    elif sys.platform == "darwin":
        _call(["open", "-R", str(path)])
    else:
        _call(["xdg-open", str(path.parent)])
    return str(path)


def _call(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        reason = f"{error.strerror}; asked to open {command[-1]}"
        raise ClipsonicError(f"{command[0]} cannot be started: {reason}") from error
    if ended.returncode:
        reason = ended.stderr.strip() or "it did not say why"
        raise ClipsonicError(f"{command[0]} could not open {command[-1]}: {reason}")
