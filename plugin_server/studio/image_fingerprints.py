"""Pictures and videos that requests name: whether they are there, and what they are known by."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from plugin_server.engine.inputs.image_files import open_image
from plugin_server.errors import BadFile

PIECE = 1 << 20


def need_images(images: Iterable[str]) -> None:
    """Raises BadFile that names the first of these paths that is no file to be read."""
    for image in images:
        with open_image(Path(image)):
            pass


def fingerprint(path: Path) -> str:
    """Sixteen hexadecimal digits of a file's length, beginning and end: enough to tell whether it was changed, and
    quick for a film of an hour. Raises BadFile that names `image`."""
    with open_image(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2s(str(size).encode(), digest_size=8)
            digest.update(file.read(PIECE))
            file.seek(max(PIECE, size - PIECE))
            digest.update(file.read(PIECE))
        except OSError as error:
            raise BadFile(f"image: {path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
