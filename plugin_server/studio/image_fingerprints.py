"""Images and videos that requests name: whether they are there, and what they are recognised by."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from plugin_server.engine.inputs.image_files import open_image
from plugin_server.errors import BadFile

CHUNK_BYTES = 1 << 20


def require_images(images: Iterable[str]) -> None:
    """Raise BadFile that names the first of these paths that is no file to be read."""
    for image in images:
        with open_image(Path(image)):
            pass


def fingerprint(path: Path) -> str:
    """Return sixteen hexadecimal digits of a file's length, beginning and end.

    They are enough to tell whether it was changed, and quick for a film of an hour. Raises BadFile that names `image`.
    """
    with open_image(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2s(str(size).encode(), digest_size=8)
            digest.update(file.read(CHUNK_BYTES))
            file.seek(max(CHUNK_BYTES, size - CHUNK_BYTES))
            digest.update(file.read(CHUNK_BYTES))
        except OSError as error:
            raise BadFile(f"image: {path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
