"""Whatever lies in a folder is opened at once, read up to a bound, or refused with one kind of error."""

import json
import os
import time
from pathlib import Path

import pytest

from plugin_server.errors import BadFile
from plugin_server.untrusted_files import MAX_DOTS, open_file, parse_json, read_bytes, read_json, read_toml
from tests.support.odd_files import ODD_KINDS, make_odd, posix


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    make_odd(tmp_path / "odd", kind)
    began = time.monotonic()
    for read in (open_file, read_json, read_toml):
        with pytest.raises(BadFile, match="odd cannot be read"):
            read(tmp_path / "odd")
    assert time.monotonic() - began < 1


@posix
def test_a_pipe_that_takes_the_place_of_a_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("whole")
    before = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda self, **_: before)
    with pytest.raises(BadFile, match="it is a pipe"):
        open_file(path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a\udcffb", "none"])
def test_a_name_that_no_file_has_is_refused(tmp_path, name):
    with pytest.raises(BadFile, match="cannot be read") as caught:
        open_file(tmp_path / name)
    assert "\0" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(BadFile, match="Permission denied"):
        read_json(path)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadFile, match="has 1099511627776 bytes, expected at most 100"):
        read_bytes(path, 100)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 200 + b"]" * 200, "nested too deeply"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b"9" * 5000, "more than 18 digits"),
        (b"9" * 400, "more than 18 digits"),
        (b"-9223372036854775808", "more than 18 digits"),
        (b"NaN", "NaN, which is no number"),
        (b"[-Infinity]", "Infinity, which is no number"),
        (b"1e999", "expected a finite number"),
        (b'{"a": "x\\u0000y"}', "expected text without NUL"),
        (b'{"a\\u0000": 1}', "expected text without NUL"),
        (b"\xff\xfe{\0}\0", "UTF-16"),
        (b"{\0}\0", "UTF-16"),
        (b'"\xff"', "not UTF-8 text: invalid start byte at byte 1"),
        (b"", "Expecting value"),
        (b"{]", "Expecting"),
    ],
)
def test_json_that_would_harm_is_a_value_error(tmp_path, content, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(content)
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"x\.json cannot be read: "):
        read_json(path)


def test_json_is_read_as_it_is(tmp_path):
    value = {"a": [1, 2.5, None, True, "möwe"], "b": {"c": 2**63 - 1}}
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(value, ensure_ascii=False).encode())
    assert read_json(path) == value
    assert parse_json(b'"a\\ud800b"') == "a?b"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = " + b"{a=" * 5000, "."),
        (b"a." * 50_000 + b"a = 1", f"expected at most {MAX_DOTS}"),
        (b"[" + b"a." * 50_000 + b"a]", f"expected at most {MAX_DOTS}"),
        (b"x = {" + b'"a".' * 50_000 + b"a = 1}", f"expected at most {MAX_DOTS}"),
        (b"a = " + b"9" * 400, "more than 18 digits"),
        (b"a = " + b"9" * 5000, "."),
        (b"a = nan", "expected a finite number"),
        (b"a = -inf", "expected a finite number"),
        (b'a = "x\\u0000y"', "expected text without NUL"),
        (b"a = 0000-99-99", "."),
        (b"\xff\xfea\0", "UTF-16"),
        (b"\xff", "not UTF-8"),
        (b"a b", "Expected"),
    ],
)
def test_toml_that_would_harm_is_refused(tmp_path, content, reason):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(BadFile, match=rf"x\.toml cannot be read: .*{reason}"):
        read_toml(path)
    assert time.monotonic() - began < 2


def test_toml_is_read_with_any_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b'\xef\xbb\xbfa = 1\r\nb = "' + b"rain. " * 300 + b'"\rc = 2.5')
    assert read_toml(path) == {"a": 1, "b": "rain. " * 300, "c": 2.5}
