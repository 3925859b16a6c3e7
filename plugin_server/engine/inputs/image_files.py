"""Files that others name, opened so that nobody waits for them."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from plugin_server.errors import BadFile

FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def open_image(path: Path) -> Iterator[BinaryIO]:
    """A picture's or a video's file, open to be read. Raises BadFile that names `image` for all but a file of bytes:
    pipes and devices would wait, never end, or do something when they are opened."""
    try:
        _need_bytes(path, path.stat())
        number = os.open(path, FLAGS)
    except FileNotFoundError as error:
        raise BadFile(f"image: {path} is not there, expected a picture or a video") from error
    except OSError as error:
        raise BadFile(f"image: {path} cannot be read: {error.strerror}") from error
    with open(number, "rb") as file:
        # Again, since another file may have its name by now.
        _need_bytes(path, os.fstat(number))
        yield file


def _need_bytes(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadFile(f"image: {path} is no file, expected a picture or a video")
    # So is what the kernel makes up, as below /proc.
    if not found.st_size:
        raise BadFile(f"image: {path} is empty, expected a picture or a video")
