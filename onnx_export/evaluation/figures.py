"""Pictures of sounds: a contact sheet of recordings beside clips made for the same words, and a row of made clips."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from onnx_export.evaluation.clip_sets import Heard
from plugin_server.audio.names import safe_stem
from plugin_server.audio.spectral import MelSettings, log_mel

N_PROMPTS = 24
COLUMNS = 4
SECONDS = 5.0


def draw_sheet(real: Sequence[Heard], made: Sequence[Heard], mel: MelSettings, path: Path) -> None:
    """Write the picture, and in a folder beside it every sound as a WAV file.

    `real` and `made` stand for the same prompts, one by one; up to 24 of them are shown, all of different labels,
    spread over the categories.
    """
    chosen = choose(real)
    sounds = path.with_suffix("")
    sounds.mkdir(parents=True, exist_ok=True)
    with _page(2 * -(-len(chosen) // COLUMNS), COLUMNS, path) as axes:
        for place, i in enumerate(chosen):
            row, column = divmod(place, COLUMNS)
            for below, (kind, clip) in enumerate((("recorded", real[i]), ("made", made[i]))):
                _draw(axes[2 * row + below, column], clip.wave, mel, f"{clip.prompt}, {kind}")
                soundfile.write(sounds / f"{place:02}_{safe_stem(clip.prompt)}_{kind}.wav", clip.wave, mel.sample_rate)


def draw_row(clips: Mapping[str, np.ndarray], mel: MelSettings, path: Path) -> None:
    """Write a picture of sounds, float32 (n,) each, under their titles, three in a line."""
    with _page(-(-len(clips) // 3), 3, path) as axes:
        for axis, (title, wave) in zip(axes.flat, clips.items(), strict=False):
            _draw(axis, wave, mel, title)


def draw_pictures(clips: Sequence[tuple[np.ndarray, str, np.ndarray]], mel: MelSettings, path: Path) -> None:
    """Write a picture of pictures uint8 (height, width, 3), each with its title, and below it the sound made of it,
    float32 (n,); six in a line."""
    n_columns = min(6, len(clips))
    with _page(2 * -(-len(clips) // n_columns), n_columns, path, width=2.2, height=1.7) as axes:
        for place, (picture, title, wave) in enumerate(clips):
            row, column = divmod(place, n_columns)
            axes[2 * row, column].imshow(picture)
            _draw(axes[2 * row + 1, column], wave, mel, title)


@contextmanager
def _page(n_rows: int, n_columns: int, path: Path, width: float = 3.2, height: float = 1.25) -> Iterator[np.ndarray]:
    """Axes (rows, columns) to draw on, each of so many inches; the picture is written when all is drawn."""
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


def choose(clips: Sequence[Heard]) -> list[int]:
    """Up to 24 places of different labels, one category after another in turn."""
    waiting: dict[str, list[int]] = {}
    seen = set()
    for i, clip in enumerate(clips):
        if clip.label not in seen:
            seen.add(clip.label)
            waiting.setdefault(clip.category, []).append(i)
    chosen: list[int] = []
    while waiting and len(chosen) < N_PROMPTS:
        for category in list(waiting):
            chosen.append(waiting[category].pop(0))
            if not waiting[category]:
                del waiting[category]
    return sorted(chosen[:N_PROMPTS])


def _draw(axis, wave: np.ndarray, mel: MelSettings, title: str) -> None:
    picture = log_mel(wave[: round(SECONDS * mel.sample_rate)], mel)
    width = round(SECONDS * mel.sample_rate / mel.hop)
    blank = np.full((mel.n_mels, max(0, width - picture.shape[1])), np.nan)
    axis.imshow(np.hstack([picture, blank]), origin="lower", aspect="auto", cmap="magma", vmin=-9, vmax=1)
    axis.set_title(title[:38], fontsize=7, pad=2)
