"""Grain and modulations of log-mels that are known."""

import numpy as np
import pytest

from onnx_export.evaluation.grain import grain, modulation_distance, modulation_spectrum


def noise(deviation, frames=200, seed=0):
    return np.random.default_rng(seed).standard_normal((128, frames)) * deviation - 4


def test_grain_is_the_deviation_from_local_means():
    # A mean over 25 holds a 25th of the value itself.
    assert grain(noise(0.5)) == pytest.approx(0.5 * np.sqrt(1 - 1 / 25), rel=0.02)
    assert grain(np.full((128, 50), -4.0)) == 0


def test_neither_low_bands_nor_slopes_nor_silence_are_grain():
    low = np.full((128, 50), -4.0)
    low[:37] += noise(1.0, 50)[:37]
    assert grain(low) == 0
    slope = np.linspace(-8, -2, 128)[:, None] + np.linspace(-1, 1, 400)[None]
    assert grain(slope) < 0.02
    assert grain(noise(0.5) - 8) == 0
    half = np.concatenate([noise(0.5), np.full((128, 200), -11.5)], axis=1)
    # The edge where it falls silent counts.
    assert grain(half) == pytest.approx(grain(noise(0.5)), rel=0.25)


def test_modulations_have_their_frequency():
    frames = np.arange(256)
    mel = np.broadcast_to(-4 + np.sin(2 * np.pi * 8 * frames / 64), (128, 256))
    spectrum = modulation_spectrum(mel)
    assert spectrum.shape == (16, 32)
    assert (spectrum.argmax(axis=1) == 7).all(), "eight in a window, and the first frequency is one in a window"


def test_noises_of_one_kind_are_near_and_smoothed_ones_far():
    near = modulation_distance(noise(0.5, 600), noise(0.5, 600, seed=1))
    smooth = noise(0.5, 600, seed=1)
    smooth[:, 1:-1] = (smooth[:, 2:] + smooth[:, 1:-1] + smooth[:, :-2]) / 3
    assert modulation_distance(noise(0.5), noise(0.5)) == 0
    assert modulation_distance(noise(0.5, 600), smooth) > 4 * near


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65])
def test_short_sounds_have_modulations_too(frames):
    assert np.isfinite(modulation_spectrum(noise(0.5, frames))).all()
