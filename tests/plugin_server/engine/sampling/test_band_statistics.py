"""Estimates take on the colour of known sounds, and silence stays silence."""

import numpy as np
import pytest

from plugin_server.engine.sampling.band_statistics import (
    MOST_STRETCH,
    BandStatistics,
    BandStatisticsDistribution,
    measure_colour,
    tint,
    tinted,
)

N_MELS, FRAMES = 8, 200


def noise(mean: float, deviation: float, seed: int = 0) -> np.ndarray:
    return mean + deviation * np.random.default_rng(seed).standard_normal((N_MELS, FRAMES)).astype(np.float32)


def colour(mean: float, deviation: float) -> BandStatistics:
    return BandStatistics(np.full((N_MELS, 1), mean, np.float32), np.full((N_MELS, 1), deviation, np.float32))


def test_steady_sound_has_its_own_mean_and_deviation():
    found = measure_colour(noise(-3.0, 0.7))
    assert found.mean.shape == found.deviation.shape == (N_MELS, 1)
    np.testing.assert_allclose(found.mean, -3.0, atol=0.2)
    np.testing.assert_allclose(found.deviation, 0.7, atol=0.1)


def test_silence_around_a_sound_has_no_part_in_its_colour():
    alone, amid_silence = noise(-3.0, 0.7), np.full((N_MELS, FRAMES), -11.5, np.float32)
    amid_silence[:, :50] = alone[:, :50]
    short, mixed = measure_colour(alone[:, :50]), measure_colour(amid_silence)
    np.testing.assert_allclose(mixed.mean, short.mean, atol=0.05)
    np.testing.assert_allclose(mixed.deviation, short.deviation, atol=0.1)
    moved = tint(amid_silence, colour(-1.0, 0.7))
    np.testing.assert_allclose(moved[:, 50:], amid_silence[:, 50:], atol=0.05)
    assert moved[:, :50].mean() == pytest.approx(-1.0, abs=0.1)


def test_a_tinted_sound_has_the_colour_asked_for_and_keeps_its_order():
    before = noise(-3.0, 0.7)
    after = tint(before, colour(-4.0, 1.0))
    found = measure_colour(after)
    np.testing.assert_allclose(found.mean, -4.0, atol=0.1)
    np.testing.assert_allclose(found.deviation, 1.0, atol=0.1)
    assert np.corrcoef(before[0], after[0])[0, 1] > 0.98


def test_an_estimate_that_hardly_varies_is_stretched_no_more_than_so_far():
    flat = noise(-3.0, 0.2)
    assert measure_colour(tint(flat, colour(-3.0, 2.0))).deviation.max() < 1.1 * MOST_STRETCH * 0.25


def test_each_channel_is_tinted_by_itself():
    both = np.stack([noise(-2.0, 0.5), noise(-5.0, 0.9, seed=1)])
    found = measure_colour(tint(both, colour(-4.0, 0.7)))
    np.testing.assert_allclose(found.mean, -4.0, atol=0.1)
    assert found.mean.shape == (2, N_MELS, 1)


def test_pure_silence_passes():
    silent = np.full((N_MELS, FRAMES), -11.5, np.float32)
    assert np.isfinite(tint(silent, colour(-3.0, 0.5))).all()


def test_colours_are_drawn_between_known_sounds_and_by_the_seed():
    usual = np.repeat([[-2.0, 0.5], [-6.0, 1.5]], N_MELS, axis=1).astype(np.float32)
    axes = np.eye(1, 2 * N_MELS, dtype=np.float32)
    colours = BandStatisticsDistribution(usual, axes)
    half = colours.draw(np.array([0.5, 0.5]), 0.0, 1)
    np.testing.assert_allclose(half.mean, -4.0)
    np.testing.assert_allclose(half.deviation, 1.0)
    one, again, other = (colours.draw(np.array([1.0, 0.0]), 1.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.mean, again.mean)
    assert one.mean[0, 0] != other.mean[0, 0]
    np.testing.assert_allclose(one.mean[1:], -2.0)


def test_a_tinted_denoiser_speaks_in_the_models_units():
    mean, std = np.full((N_MELS, 1), -5.0, np.float32), np.full((N_MELS, 1), 2.0, np.float32)
    normal = (noise(-3.0, 0.7) - mean) / std
    denoise = tinted(lambda x, sigma: x, colour(-4.0, 1.0), mean, std)
    out = denoise(normal[None], 0.5) * std + mean
    np.testing.assert_allclose(measure_colour(out[0]).mean, -4.0, atol=0.1)
