"""Paths as people's programs write them: in quotes, as `file:` URLs, from `~`, or with Max's names of volumes."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from plugin_server.studio.words import without_quotes

PATH_START = re.compile(r"""["'“”„«‘`]?(?:/|~[^/\\ ]*[/\\]|[A-Za-z]:[/\\]|\\\\|[^/:]{2,}:/)""")
"""The beginning of an absolute path, however it is written."""
_FILE_URL = re.compile(r"file:(?://(?:localhost|127\.0\.0\.1|\[::1\])?)?(/(?!/).*)", re.IGNORECASE | re.DOTALL)
"""A URL of this machine: the path alone, or behind an empty host or one of its own names."""
_MAX_VOLUME = re.compile(r"([^/:\\]{2,}):(/(?!/).*)")


def plain_path(text: str) -> str:
    """Return the path that a text means, whether it is there or not; any other text as it is.

    Quotes around the whole are taken off, `file:` URLs of this machine decoded, `~` is the user's folder. Max on macOS
    writes `Macintosh HD:/Users/me/a.jpg` for `/Users/me/a.jpg`.
    """
    path = without_quotes(text.strip())
    url = _FILE_URL.fullmatch(path)
    if url:
        path = unquote(url[1])
        # `file:///C:/a.png` of Windows.
        return path[1:] if os.name == "nt" and re.match(r"/[A-Za-z]:", path) else path
    volume = _MAX_VOLUME.fullmatch(path)
    if volume and volume[1].lower() != "file":
        # The volume that the system started from is the root, whatever its name is.
        elsewhere = f"/Volumes/{volume[1]}{volume[2]}"
        path = elsewhere if os.path.exists(elsewhere) else volume[2]  # noqa: PTH110
    # As shells do it: an unknown user's name stays as it is.
    return os.path.expanduser(path)  # noqa: PTH111


def named_path(text: str) -> Path:
    """Return the path that a person's text names: as it stands where such a file is there, else what it means."""
    # os.path's, which takes a name that no file can have for one that none has.
    return Path(text if os.path.lexists(text) else plain_path(text))
