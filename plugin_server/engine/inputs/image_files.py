"""Open the files of pictures and videos that requests name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from plugin_server.errors import BadFile
from plugin_server.untrusted_files import NoFile, open_file


@contextmanager
def open_image(path: Path) -> Iterator[BinaryIO]:
    """Open the file of a picture or a video to be read.

    Raises BadFile that names `image` for all but a regular file that is not empty.
    """
    try:
        file = open_file(path)
    except NoFile as error:
        raise BadFile(f"image: {path} is no file, expected a picture or a video") from error
    except BadFile as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BadFile(f"image: {path} is not there, expected a picture or a video") from error
        raise BadFile(f"image: {error}") from error
    with file:
        # So is what the kernel makes up, as below /proc.
        if not os.fstat(file.fileno()).st_size:
            raise BadFile(f"image: {path} is empty, expected a picture or a video")
        yield file
