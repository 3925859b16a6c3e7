"""What a person sees in a terminal: a progress bar, tables, and a spectrogram drawn with characters."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from plugin_server.audio.clip import Clip
from plugin_server.audio.spectral import MelSettings, log_mel

RAMP = (16, 17, 18, 54, 90, 126, 162, 198, 203, 209, 215, 221, 227, 230)
"""Colours of the 256-colour table from black over violet and orange to pale yellow."""
SHADES = " .:-=+*#%@"
FLOOR_DB = -60.0


class ProgressBar:
    """One line that is drawn over again; lines of text where the output is no terminal."""

    def __init__(self, stream: TextIO = sys.stderr, width: int = 32) -> None:
        self._stream, self._width = stream, width
        self._live = stream.isatty()
        self._last = -1

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def show(self, fraction: float, text: str) -> None:
        """Draw `fraction`, 0 to 1, and what is being done."""
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
        """Leave the line."""
        if self._live and self._last >= 0:
            self._stream.write("\r" + " " * (self._width + 34) + "\r")
            self._stream.flush()
        self._last = -1


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as what they hold; the last one gets the rest of the terminal's line."""
    *widths, _ = (max(cells_of(cell) for cell in column) for column in zip(*rows, strict=True))
    left = max(20, shutil.get_terminal_size((120, 24)).columns - sum(widths) - 2 * len(widths))
    return [
        "  ".join(fit(cell, width) for cell, width in zip(row, (*widths, left), strict=True)).rstrip() for row in rows
    ]


def plain(text: str) -> str:
    """One line without what would steer a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def cells_of(text: str) -> int:
    """Cells of a terminal: two for a letter of Chinese, Japanese or Korean, none for a mark on the letter before."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells, or a little less where a wide letter does not fit."""
    if cells_of(text) <= width:
        return text + " " * (width - cells_of(text))
    cells, kept = 0, ""
    for letter in text:
        cells += cells_of(letter)
        if cells > width - 1:
            break
        kept += letter
    return f"{kept}…"


def draw_spectrogram(clip: Clip, columns: int = 72, rows: int = 12, colour: bool = True) -> str:
    """Mel spectrogram of the first channel as text, low pitches at the bottom, 60 dB from black to bright.

    With colour each character shows two bands, one over the other; without, one band as a shade.
    """
    settings = MelSettings(sample_rate=clip.sample_rate, n_mels=2 * rows if colour else rows, f_max_hz=16000)
    level_db = log_mel(clip.samples[:, 0], settings) * (20 / np.log(10))
    level_db = _columns(level_db, columns)
    light = np.clip(1 - (level_db - level_db.max()) / FLOOR_DB, 0, 1)[::-1]
    lines = _colour_lines(light) if colour else _plain_lines(light)
    middle = " " * max(0, columns - 12 - len(f"{clip.seconds:g}"))
    return "\n".join([*lines, f"0 s{middle}{clip.seconds:g} s, 16 kHz"])


def _columns(level_db: np.ndarray, columns: int) -> np.ndarray:
    """The loudest frame of each column's stretch, (n_mels, columns)."""
    edges = np.linspace(0, level_db.shape[1], columns + 1).astype(int)
    pairs = zip(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1), strict=True)
    return np.stack([level_db[:, min(a, level_db.shape[1] - 1) : b].max(axis=1) for a, b in pairs], axis=1)


def _colour_lines(light: np.ndarray) -> list[str]:
    index = np.round(light * (len(RAMP) - 1)).astype(int)
    lines = []
    for upper, lower in zip(index[::2], index[1::2], strict=True):
        cells = (f"\x1b[38;5;{RAMP[u]};48;5;{RAMP[w]}m▀" for u, w in zip(upper, lower, strict=True))
        lines.append("".join(cells) + "\x1b[0m")
    return lines


def _plain_lines(light: np.ndarray) -> list[str]:
    index = np.round(light * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[i] for i in row) for row in index]
