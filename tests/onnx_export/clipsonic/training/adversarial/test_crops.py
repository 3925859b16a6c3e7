"""Crops of recorded sound: which sounds, how often, where from, and at which speed."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.training.adversarial.crops import FASTEST, CropSampler, WaveTable, resample
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=4)
LENGTH = 48 * MEL.hop
WIDE = 40_000
CPU = torch.device("cpu")


@pytest.fixture
def data():
    sounds = [sound("a"), sound("b", number=1), sound("c", number=2, rate_hz=22_050), sound("d", number=3),
              sound("e", "valid")]  # fmt: skip
    return dataset(sounds, [100, 10, 100, 400, 100], MEL)


def test_only_wide_sounds_train_the_vocoder_and_short_ones_count_as_a_crop(data):
    crops = CropSampler(data, LENGTH, WIDE)
    assert list(crops.indices) == [0, 1, 3]
    # A sound four times as long is drawn twice as often.
    expected = np.sqrt([100, 48, 400])
    np.testing.assert_allclose(crops.odds, expected / expected.sum())
    assert list(CropSampler(data, LENGTH, WIDE, "valid").indices) == [4]


def test_crops_lie_within_long_sounds_and_around_short_ones(data):
    places = CropSampler(data, LENGTH, WIDE).places(500, np.random.default_rng(0))
    low, high, start, length = places.T
    assert (length == LENGTH).all()
    is_long = high - low >= LENGTH
    assert (start[is_long] >= low[is_long]).all() and (start + LENGTH <= high)[is_long].all()
    assert (start[~is_long] <= low[~is_long]).all() and (start + LENGTH >= high)[~is_long].all()
    assert is_long.any() and not is_long.all()
    assert len(set(start[is_long])) > 300 and len(set(start[~is_long])) > 20


def test_a_short_sound_is_whole_and_lies_in_silence(data):
    table, low = WaveTable(data, CPU), data.sample_bounds[1]
    place = np.array([[low, low + 5120, low - 1000, LENGTH]])
    wave = table.gather(place)[0].numpy()
    np.testing.assert_allclose(wave[1000:6120], data.wave(1), rtol=1e-6)
    assert not wave[:1000].any() and not wave[6120:].any()


def test_crops_at_the_ends_of_all_samples_are_silent_outside(data):
    table, end = WaveTable(data, CPU), data.sample_bounds[-1]
    waves = table.gather(np.array([[0, 9000, -500, LENGTH], [end - 9000, end, end - 9000, LENGTH]]))
    assert not waves[0, :500].any() and waves[0, 500:9500].any() and not waves[1, 9000:].any()


def test_gain_and_polarity_are_random(data):
    crops, table = CropSampler(data, LENGTH, WIDE), WaveTable(data, CPU)
    waves = table.draw(crops, 300, np.random.default_rng(0))
    assert waves.shape == (300, LENGTH) and waves.dtype == torch.float32
    # A random gain of up to 9 dB less than the sound.
    peaks = waves.abs().amax(dim=1)
    assert 0.09 < float(peaks.min()) < 0.12 and 0.25 < float(peaks.max()) <= 9000 / 32767
    gains = crops.draw_gains(300, np.random.default_rng(0))
    assert 100 < (gains < 0).sum() < 200
    again = table.draw(crops, 300, np.random.default_rng(0))
    assert torch.equal(waves, again)


def test_faster_sounds_are_higher_and_as_long_as_the_others(data):
    time = np.arange(data.sample_bounds[-1]) / MEL.sample_rate
    data.samples[:] = (9000 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16)
    crops, table, pitches = CropSampler(data, LENGTH, WIDE), WaveTable(data, CPU), []
    for seed in range(12):
        waves = table.draw(crops, 8, np.random.default_rng(seed), faster=1.0)
        assert waves.shape == (8, LENGTH)
        spectrum = torch.fft.rfft(waves * torch.hann_window(LENGTH)).abs()
        pitches.append(float(spectrum.argmax(dim=1).float().median()) * MEL.sample_rate / LENGTH)
    assert 995 < min(pitches) < 1040 and 1080 < max(pitches) <= 1000 * FASTEST + 5


@pytest.mark.parametrize("length", [1000, 900, 1100])
def test_resampling_keeps_level_and_shape(length):
    time = torch.arange(1000) / 1000
    slow = torch.sin(2 * torch.pi * 12 * time)
    expected = torch.sin(2 * torch.pi * 12 * torch.arange(length) / length)
    torch.testing.assert_close(resample(slow[None], length)[0], expected, atol=1e-4, rtol=0)
