"""The terminal's progress bar and tables: text that fits into lines."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from plugin_server.errors import one_line


class ProgressBar:
    """A progress bar on one line that is drawn over again; lines of text where the output is no terminal."""

    def __init__(self, stream: TextIO = sys.stderr, width: int = 32) -> None:
        self._stream, self._width = stream, width
        self._live = stream.isatty()
        self._last = -1

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def show(self, fraction: float, text: str) -> None:
        """Draw `fraction`, 0 to 1, and `text`, which says what is being done."""
        percent = int(100 * fraction)
        if self._live:
            full = round(self._width * fraction)
            bar = "█" * full + "░" * (self._width - full)
            self._stream.write(f"\r{bar} {percent:3d} % {text:<24.24}")
        elif percent // 25 != self._last // 25 or self._last < 0:
            self._stream.write(f"{percent:3d} % {text}\n")
        self._last = percent
        self._stream.flush()

    def end(self) -> None:
        """Clear the line, so that other text can be printed."""
        if self._live and self._last >= 0:
            self._stream.write("\r" + " " * (self._width + 34) + "\r")
            self._stream.flush()
        self._last = -1


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose columns are as wide as their widest cell; the last one gets what the line has left."""
    *widths, _ = (max(cells_of(cell) for cell in column) for column in zip(*rows, strict=True))
    left = max(20, shutil.get_terminal_size((120, 24)).columns - sum(widths) - 2 * len(widths))
    return [
        "  ".join(fit(cell, width) for cell, width in zip(row, (*widths, left), strict=True)).rstrip() for row in rows
    ]


def plain(text: str) -> str:
    """Return a text as one line, without characters that would steer a terminal."""
    return " ".join(one_line(text).split())


def cells_of(text: str) -> int:
    """Return how many cells a text takes in a terminal.

    A letter of Chinese, Japanese or Korean takes two, a mark on the letter before none.
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def fit(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells, or one less where a wide letter does not fit."""
    if cells_of(text) <= width:
        return text + " " * (width - cells_of(text))
    cells, fitting = 0, ""
    for letter in text:
        cells += cells_of(letter)
        if cells > width - 1:
            break
        fitting += letter
    return f"{fitting}…"
