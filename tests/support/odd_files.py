"""What may lie in a folder in the place of a file: pipes, devices, folders, links in a circle."""

import os
import socket
import sys
from pathlib import Path

import pytest

ODD_KINDS = ("pipe", "folder", "circle", "device", "socket", "nowhere")
"""Kinds of `make_odd`."""
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes and devices in folders")


def make_odd(path: Path, kind: str) -> None:
    """Put what is no file at `path`, where nothing was yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "circle":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "nowhere":
            path.symlink_to(path.with_name("nowhere-at-all"))
        case "socket":
            place = Path.cwd()
            os.chdir(path.parent)
            try:
                # By its name alone: the whole path is too long for a socket.
                with socket.socket(socket.AF_UNIX) as one:
                    one.bind(path.name)
            finally:
                os.chdir(place)
