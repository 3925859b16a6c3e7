"""A spectrogram drawn with characters, for terminals with colours and without."""

import numpy as np

from plugin_server.audio.clip import Clip
from plugin_server.audio.spectral import MelSettings, log_mel

RAMP = (16, 17, 18, 54, 90, 126, 162, 198, 203, 209, 215, 221, 227, 230)
"""Colours of the 256-colour table from black over violet and orange to pale yellow."""
SHADES = " .:-=+*#%@"
"""Characters from dark to bright, where there are no colours."""
FLOOR_DB = -60.0
"""Level, relative to the loudest band, that is drawn as black."""


def draw_spectrogram(clip: Clip, *, columns: int = 72, rows: int = 12, colour: bool = True) -> str:
    """Return the mel spectrogram of the first channel as text, low pitches at the bottom, 60 dB from black to bright.

    With colour each character shows two bands, one over the other; without, one band as a shade. The last line is the
    time axis.
    """
    settings = MelSettings(sample_rate=clip.sample_rate, n_mels=2 * rows if colour else rows, f_max_hz=16000)
    level_db = log_mel(clip.samples[:, 0], settings) * (20 / np.log(10))
    level_db = _columns(level_db, columns)
    light = np.clip(1 - (level_db - level_db.max()) / FLOOR_DB, 0, 1)[::-1]
    lines = _colour_lines(light) if colour else _plain_lines(light)
    middle = " " * max(0, columns - 12 - len(f"{clip.seconds:g}"))
    return "\n".join([*lines, f"0 s{middle}{clip.seconds:g} s, 16 kHz"])


def _columns(level_db: np.ndarray, columns: int) -> np.ndarray:
    """Return the loudest frame of each column's stretch, (n_mels, columns)."""
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
