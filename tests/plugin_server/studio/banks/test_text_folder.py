"""Texts in files, whatever somebody has put in their place."""

import os

import pytest

from plugin_server.errors import BadFile
from plugin_server.studio.banks.text_folder import TextFolder


def test_every_byte_comes_back(tmp_path):
    folder = TextFolder(tmp_path / "new")
    assert folder.names() == [] and folder.read("a") is None
    (tmp_path / "new").mkdir()
    folder.path("a").write_bytes(b"\xffx\r\n")
    folder.write("b", folder.read("a"))
    assert folder.path("b").read_bytes() == b"\xffx\r\n" and folder.names() == ["a", "b"]
    folder.write("b", None)
    folder.write("b", None)
    assert folder.names() == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such pipes")
def test_a_pipe_a_folder_and_a_giant_are_refused_at_once(tmp_path):
    folder = TextFolder(tmp_path, max_bytes=4)
    os.mkfifo(folder.path("pipe"))
    folder.path("folder").mkdir()
    folder.path("giant").write_text("12345")
    for name in ("pipe", "folder", "giant"):
        with pytest.raises(BadFile, match=rf"{name}.toml (cannot be read|has 5 bytes)"):
            folder.read(name)
