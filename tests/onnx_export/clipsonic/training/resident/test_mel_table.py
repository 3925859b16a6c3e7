"""Mels on the device: each clip at its place in every copy, and copies that are faster and slower."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.training.resident.mel_table import build_mel_table, change_length
from onnx_export.data.sounds import SoundDataset
from plugin_server.audio.spectral import LOG_FLOOR, MelSettings, log_mel
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=8)


def test_every_clip_has_its_frames_in_every_copy():
    sounds = dataset([sound("a"), sound("b", number=1), sound("c", number=2)], [40, 3, 90], MEL)
    table = build_mel_table(sounds, (90, 105), torch.device("cpu"))
    assert table.lengths.tolist()[0] == [40, 3, 90]
    assert [round(n / 40, 2) for n in table.lengths[:, 0].tolist()] == [1, 0.9, 1.05]
    for i in range(3):
        start, length = int(table.starts[0, i]), int(table.lengths[0, i])
        np.testing.assert_array_equal(table.frames[start : start + length].numpy(), sounds.mel(i))
    assert table.silence == int(table.lengths.sum()) == len(table.frames) - 1
    assert float(table.frames[-1].max()) == pytest.approx(np.log(LOG_FLOOR), abs=0.01)
    assert (table.starts.flatten()[1:] == table.lengths.flatten().cumsum(0)[:-1]).all()


def test_a_copy_is_the_mel_of_the_faster_sound():
    time = np.arange(44_100) / 44_100
    waves = [(0.3 * np.sin(2 * np.pi * 1000 * factor * time) * 32767).astype(np.int16) for factor in (1, 1 / 0.9)]
    bounds = np.array([0, 44_100])
    mels = log_mel(waves[0] / np.float32(32767), MEL).T.astype(np.float16)
    sounds = SoundDataset([sound("a")], MEL, waves[0], bounds, mels, np.array([0, len(mels)]))
    table = build_mel_table(sounds, (90,), torch.device("cpu"))
    faster = log_mel(waves[1] / np.float32(32767), MEL).T
    start = int(table.starts[1, 0])
    loud = faster[20] > -6
    np.testing.assert_allclose(table.frames[start + 20].numpy()[loud], faster[20][loud], atol=0.05)


@pytest.mark.parametrize("percent", [90, 95, 105, 110])
def test_a_tone_keeps_its_level_and_changes_its_pitch(percent):
    time = torch.arange(30_000) / 44_100
    changed = change_length(torch.sin(2 * torch.pi * 441 * time), percent)
    assert len(changed) == 30_000 * percent // 100
    expected = torch.sin(2 * torch.pi * 441 * 100 / percent * torch.arange(len(changed)) / 44_100)
    assert float((changed - expected)[2000:-2000].abs().max()) < 0.02
