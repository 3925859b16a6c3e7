import os
from pathlib import Path

import pytest

from plugin_server.studio.paths import PATH_START, named_path, plain_path

posix = pytest.mark.skipif(os.name == "nt", reason="paths of other systems")


@posix
@pytest.mark.parametrize(
    "text",
    [
        "/me/a b.png",
        " /me/a b.png\n",
        '"/me/a b.png"',
        "'/me/a b.png'",
        "“/me/a b.png”",
        "file:///me/a%20b.png",
        "file:///me/a b.png",
        "FILE:///me/a%20b.png",
        "file://localhost/me/a%20b.png",
        "file://127.0.0.1/me/a%20b.png",
        "file:/me/a%20b.png",
        '"file:///me/a%20b.png"',
        "file:///me/a%20b.png\r\n",
        "Macintosh HD:/me/a b.png",
    ],
)
def test_a_path_is_understood_however_it_is_written(text):
    assert plain_path(text) == "/me/a b.png"
    assert PATH_START.match(text.strip())


@pytest.mark.parametrize(
    "text",
    ["last", "a1b2c3", "rain.wav", "Kept/rain.wav", "file://server/a.png", "http://host/a.png", "file:", "", "100%20"],
)
def test_other_texts_stay(text):
    assert plain_path(text) == text


@posix
def test_a_path_may_begin_with_the_user_s_folder_or_have_other_letters(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert plain_path("~/a.png") == plain_path('"~/a.png"') == "/home/me/a.png"
    assert plain_path("file:///m%C3%B6we.png") == "/möwe.png"
    assert plain_path("file:///a%00b") == "/a\0b"
    assert plain_path("file:///a%ff") == "/a\ufffd"


def test_a_file_that_is_called_like_that_is_meant_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "'a'").touch()
    assert named_path("'a'") == Path("'a'")
    assert named_path("'b'") == Path("b")
