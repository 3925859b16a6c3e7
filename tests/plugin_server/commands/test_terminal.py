"""Progress bars and the cells of tables that commands print."""

import io

import pytest

from plugin_server.commands.terminal import ProgressBar, cells_of, fit, plain, table_lines


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_is_one_line_in_a_terminal_and_few_lines_in_a_file():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        bar = ProgressBar(stream)
        for i in range(101):
            bar.show(i / 100, "sampling")
        bar.end()
    assert "\n" not in terminal.getvalue()
    assert "100 %" in terminal.getvalue()
    assert file.getvalue().count("\n") == 5


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
    assert fit(text, width) == cell
    assert cells_of(cell) <= width


def test_what_steers_a_terminal_is_left_out():
    assert plain("a\x1b[2Jb\r\nc\u202ed") == "a [2Jb c d"


def test_columns_stand_below_each_other(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    lines = table_lines([("1", "雨", "x"), ("22", "sea waves", "a long text that is cut at the end of a line")])
    assert lines == ["1   雨         x", "22  sea waves  a long text that is…"]
