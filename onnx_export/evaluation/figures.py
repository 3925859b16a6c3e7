"""Figures of sounds: a contact sheet of recordings beside generated clips of the same words, rows of clips."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from onnx_export.evaluation.clip_sets import EvalClip
from plugin_server.audio.names import safe_stem
from plugin_server.audio.spectral import MelSettings, log_mel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_PROMPTS = 24
COLUMNS = 4
ROW_COLUMNS = 3
MAX_IMAGE_COLUMNS = 6
SECONDS = 5.0
WIDTH, HEIGHT = 3.2, 1.25
"""Inches of a spectrogram with its title."""
LETTERS_PER_INCH = 16
"""Letters of a title that fit into an inch of a picture's width, of the size that titles have."""


def draw_contact_sheet(real: Sequence[EvalClip], generated: Sequence[EvalClip], mel: MelSettings, path: Path) -> None:
    """Write a picture of spectrograms, and in a folder beside it every sound as a WAV file.

    Up to 24 prompts are shown, all of different labels, spread over the categories.

    Args:
        real: The recordings.
        generated: The clips that stand for the same prompts, one by one.
        mel: Settings of the spectrograms, and the sounds' rate.
        path: PNG file to write.
    """
    selection = select_clips(real)
    sounds = path.with_suffix("")
    sounds.mkdir(parents=True, exist_ok=True)
    with _page(2 * -(-len(selection) // COLUMNS), COLUMNS, path) as axes:
        for number, i in enumerate(selection):
            row, column = divmod(number, COLUMNS)
            for below, (kind, clip) in enumerate((("recorded", real[i]), ("made", generated[i]))):
                _draw(axes[2 * row + below, column], clip.wave, mel, fit_title(clip.prompt, WIDTH, f", {kind}"))
                soundfile.write(sounds / f"{number:02}_{safe_stem(clip.prompt)}_{kind}.wav", clip.wave, mel.sample_rate)


def draw_row(clips: Mapping[str, np.ndarray], mel: MelSettings, path: Path) -> None:
    """Write a picture of the spectrograms of sounds, float32 (n,) each, under their titles, three in a line."""
    with _page(-(-len(clips) // ROW_COLUMNS), ROW_COLUMNS, path) as axes:
        for axis, (title, wave) in zip(axes.flat, clips.items(), strict=False):
            _draw(axis, wave, mel, fit_title(title, WIDTH))


def draw_image_clips(clips: Sequence[tuple[np.ndarray, str, np.ndarray]], mel: MelSettings, path: Path) -> None:
    """Write a picture of images, and below each the spectrogram of its sound; six in a line.

    Args:
        clips: Images uint8 (height, width, 3), each with its title and its sound, float32 (n,).
        mel: Settings of the spectrograms.
        path: PNG file to write.
    """
    n_columns = min(MAX_IMAGE_COLUMNS, len(clips))
    width = 2.2
    with _page(2 * -(-len(clips) // n_columns), n_columns, path, width=width, height=1.7) as axes:
        for number, (image, title, wave) in enumerate(clips):
            row, column = divmod(number, n_columns)
            axes[2 * row, column].imshow(image)
            _draw(axes[2 * row + 1, column], wave, mel, fit_title(title, width))


@contextmanager
def _page(
    n_rows: int, n_columns: int, path: Path, width: float = WIDTH, height: float = HEIGHT
) -> Iterator[np.ndarray]:
    """Yield axes (rows, columns) to draw on, each of so many inches; the picture is written when all is drawn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(n_rows, n_columns, figsize=(width * n_columns, height * n_rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    yield axes
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def fit_title(text: str, width: float, ending: str = "") -> str:
    """Return a title that fits over so many inches: a long text is shortened with '…', its ending never."""
    left = max(1, int(width * LETTERS_PER_INCH) - len(ending))
    return (text if len(text) <= left else f"{text[: left - 1].rstrip()}…") + ending


def select_clips(clips: Sequence[EvalClip]) -> list[int]:
    """Return up to 24 indices of clips of different labels, one category after another in turn."""
    queues: dict[str, list[int]] = {}
    labels = set()
    for i, clip in enumerate(clips):
        if clip.label not in labels:
            labels.add(clip.label)
            queues.setdefault(clip.category, []).append(i)
    indices: list[int] = []
    while queues and len(indices) < MAX_PROMPTS:
        for category in list(queues):
            indices.append(queues[category].pop(0))
            if not queues[category]:
                del queues[category]
    return sorted(indices[:MAX_PROMPTS])


def _draw(axis: "Axes", wave: np.ndarray, mel: MelSettings, title: str) -> None:
    image = log_mel(wave[: round(SECONDS * mel.sample_rate)], mel)
    width = round(SECONDS * mel.sample_rate / mel.hop)
    padding = np.full((mel.n_mels, max(0, width - image.shape[1])), np.nan)
    axis.imshow(np.hstack([image, padding]), origin="lower", aspect="auto", cmap="magma", vmin=-9, vmax=1)
    axis.set_title(title, fontsize=7, pad=2)
