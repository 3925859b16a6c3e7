"""Canvases that are drawn for a batch at once have the statistics of those that are drawn one by one."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.clipsonic.training.denoiser import DenoiserTraining
from onnx_export.clipsonic.training.denoiser_dataset import DenoiserDataset, MelNormalisation
from onnx_export.clipsonic.training.resident.canvases import draw_canvases
from onnx_export.clipsonic.training.resident.mel_table import build_mel_table
from plugin_server.audio.spectral import LOG_FLOOR, MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=4)
SOUNDS = dataset([sound("a"), sound("b", number=1), sound("c", number=2)], [20, 120, 500], MEL)
TABLE = build_mel_table(SOUNDS, (), torch.device("cpu"))
N = 3000


def canvases(clip, n_frames):
    torch.manual_seed(0)
    return draw_canvases(TABLE, torch.full((N,), clip), n_frames, 86)


def one_by_one(clip, n_frames):
    conditioning = LabelConditioning(SOUNDS, {"a": np.ones((1, 6), np.float32)})
    examples = DenoiserDataset(conditioning, MelNormalisation(*np.ones((2, 4))), DenoiserTraining(), 4)
    rng = np.random.default_rng(0)
    floor = np.float32(np.log(LOG_FLOOR))
    drawn = (examples._canvas(clip, n_frames, rng) for _ in range(N))
    return np.stack([(canvas != floor).any(axis=1) for canvas in drawn])


@pytest.mark.parametrize("clip", [0, 1])
def test_short_sounds_lie_as_they_do_one_by_one(clip):
    """How often each frame sounds, and how much of a canvas."""
    sounding = (canvases(clip, 400) != TABLE.silence).numpy()
    expected = one_by_one(clip, 400)
    np.testing.assert_allclose(sounding.mean(axis=0), expected.mean(axis=0), atol=0.05)
    for quantile in (0.1, 0.5, 0.9):
        one, other = np.quantile(sounding.mean(axis=1), quantile), np.quantile(expected.mean(axis=1), quantile)
        assert one == pytest.approx(other, abs=0.04)


def test_a_sound_stands_whole_and_in_order():
    rows = canvases(0, 400)[0:200]
    for row in rows.tolist():
        sounding = [r for r in row if r != TABLE.silence]
        for k, r in enumerate(sounding):
            assert r == int(TABLE.starts[0, 0]) + k % 20


def test_longer_sounds_are_cropped():
    rows = canvases(2, 100)
    begin = rows[:, 0] - TABLE.starts[0, 2]
    assert (rows.diff(dim=1) == 1).all() and int(begin.min()) == 0 and int(begin.max()) == 400
    assert float((begin == 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert (canvases(2, 500)[:, 0] == TABLE.starts[0, 2]).all()


def test_a_share_is_cut_from_copies():
    table = build_mel_table(SOUNDS, (90, 110), torch.device("cpu"))
    torch.manual_seed(0)
    first = draw_canvases(table, torch.full((N,), 2), 400, 86, copies_share=0.4)[:, 0]
    shares = [float(((first >= starts[0]) & (first <= starts[2] + 150)).float().mean()) for starts in table.starts]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.04)
