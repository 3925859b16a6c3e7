"""The table that `clipsonic clips` prints."""

import pytest

from plugin_server.clips import _fit, _plain, _width


@pytest.mark.parametrize(
    ("text", "width", "cell"),
    [
        ("sea", 5, "sea  "),
        ("sea", 3, "sea"),
        ("sea waves", 5, "sea …"),
        ("雨の音", 6, "雨の音"),
        ("雨の音", 5, "雨の…"),
        ("雨の音", 4, "雨…"),
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),
    ],
)
def test_a_cell_is_as_wide_as_the_terminal_shows_it(text, width, cell):
    assert _fit(text, width) == cell
    assert _width(cell) <= width


def test_what_steers_a_terminal_is_left_out():
    assert _plain("a\x1b[2Jb\r\nc\u202ed") == "a [2Jb c d"
