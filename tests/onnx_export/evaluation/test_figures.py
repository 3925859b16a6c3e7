"""Figures: which clips a sheet shows, and how large the pictures are."""

import numpy as np
import pytest
import soundfile
from matplotlib import pyplot

from onnx_export.evaluation.clip_sets import EvalClip
from onnx_export.evaluation.figures import (
    HEIGHT,
    WIDTH,
    draw_contact_sheet,
    draw_image_clips,
    draw_row,
    fit_title,
    select_clips,
)
from tests.support.corpus import synthesise
from tests.support.toys import MEL

RATE = MEL.sample_rate


def clips(n, kind="hum"):
    return [EvalClip(synthesise(kind, i, RATE), f"label {i}", f"a {kind}, {i}", f"category {i % 2}") for i in range(n)]


def test_a_sheet_shows_other_labels_from_all_categories():
    rows = [EvalClip(np.zeros(1), f"l{i // 2}", "", f"c{i % 3}") for i in range(120)]
    selection = select_clips(rows)
    assert len(selection) == len({rows[i].label for i in selection}) == 24
    assert {rows[i].category for i in selection} == {"c0", "c1", "c2"}


def test_few_clips_are_all_shown_in_their_order():
    assert select_clips(clips(5)) == [0, 1, 2, 3, 4]
    assert select_clips([]) == []


def test_small_categories_are_not_left_out_for_large_ones():
    rows = [EvalClip(np.zeros(1), f"l{i}", "", "large" if i < 100 else f"small {i}") for i in range(104)]
    assert set(range(100, 104)) < set(select_clips(rows))


def test_a_contact_sheet_has_its_sounds_beside_it(tmp_path):
    real, generated = clips(3), clips(3, "hiss")
    draw_contact_sheet(real, generated, MEL, tmp_path / "sheet.png")
    names = sorted(path.name for path in (tmp_path / "sheet").iterdir())
    assert len(names) == 6 and names[0].startswith("00_") and names[0].endswith("_made.wav")
    samples, rate = soundfile.read(tmp_path / "sheet" / names[1])
    assert rate == RATE
    np.testing.assert_allclose(samples, real[0].wave, atol=1e-4)
    assert pyplot.imread(tmp_path / "sheet.png")[..., :3].std() > 0.01


@pytest.mark.parametrize("prompt", ["rain", "aircraft engine cranking and starting", "lorem ipsum " * 20])
def test_titles_end_with_what_they_say_and_stay_over_their_picture(prompt):
    figure, axis = pyplot.subplots(figsize=(WIDTH, HEIGHT), dpi=80)
    title = fit_title(prompt, WIDTH, ", recorded")
    assert title.endswith(", recorded") and (title == f"{prompt}, recorded" or "…" in title)
    box = axis.set_title(title, fontsize=7).get_window_extent(figure.canvas.get_renderer())
    assert box.width <= 80 * WIDTH
    pyplot.close(figure)


def test_rows_hold_three_clips(tmp_path):
    for n in (1, 3, 4):
        draw_row({clip.prompt: clip.wave for clip in clips(n)}, MEL, tmp_path / f"{n}.png")
    one, three, four = (pyplot.imread(tmp_path / f"{n}.png") for n in (1, 3, 4))
    assert one.shape == three.shape
    assert four.shape[1] == one.shape[1] and four.shape[0] > 1.5 * one.shape[0]


@pytest.mark.parametrize("n", [1, 7])
def test_images_stand_over_their_clips(tmp_path, n):
    image = np.zeros((20, 30, 3), np.uint8)
    draw_image_clips([(image, clip.label, clip.wave) for clip in clips(n)], MEL, tmp_path / "images.png")
    height, width, _ = pyplot.imread(tmp_path / "images.png").shape
    # Each column is 2.2 inches wide of 80 dots, six at most; each row, image and clip, 2 times 1.7.
    assert width == pytest.approx(min(6, n) * 2.2 * 80, abs=2)
    assert height == pytest.approx(-(-n // 6) * 2 * 1.7 * 80, abs=2)
