"""Open files that requests name, so that nobody waits for them."""

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
    """Open the file of a picture or a video to be read.

    Raises BadFile that names `image` for all but a regular file: pipes and devices would wait, never end, or do
    something when they are opened.
    """
    try:
        _check_regular_file(path, path.stat())
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError as error:
        raise BadFile(f"image: {path} is not there, expected a picture or a video") from error
    except OSError as error:
        raise BadFile(f"image: {path} cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        # Again, since another file may have its name by now.
        _check_regular_file(path, os.fstat(descriptor))
        yield file


def _check_regular_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadFile(f"image: {path} is no file, expected a picture or a video")
    # So is what the kernel makes up, as below /proc.
    if not status.st_size:
        raise BadFile(f"image: {path} is empty, expected a picture or a video")
