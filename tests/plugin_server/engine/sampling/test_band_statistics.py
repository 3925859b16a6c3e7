"""Estimates take on the statistics of known sounds, and silence stays silence."""

import numpy as np
import pytest

from plugin_server.engine.sampling.band_statistics import (
    MAX_STRETCH,
    BandStatistics,
    BandStatisticsDistribution,
    compute_band_statistics,
    match_band_statistics,
    with_band_statistics,
)

N_MELS, FRAMES = 8, 200


def noise(mean: float, deviation: float, seed: int = 0) -> np.ndarray:
    return mean + deviation * np.random.default_rng(seed).standard_normal((N_MELS, FRAMES)).astype(np.float32)


def statistics(mean: float, deviation: float) -> BandStatistics:
    return BandStatistics(np.full((N_MELS, 1), mean, np.float32), np.full((N_MELS, 1), deviation, np.float32))


def test_steady_sound_has_its_own_mean_and_deviation():
    found = compute_band_statistics(noise(-3.0, 0.7))
    assert found.mean.shape == found.deviation.shape == (N_MELS, 1)
    np.testing.assert_allclose(found.mean, -3.0, atol=0.2)
    np.testing.assert_allclose(found.deviation, 0.7, atol=0.1)


def test_silence_around_a_sound_has_no_part_in_its_band_statistics():
    alone, amid_silence = noise(-3.0, 0.7), np.full((N_MELS, FRAMES), -11.5, np.float32)
    amid_silence[:, :50] = alone[:, :50]
    short, mixed = compute_band_statistics(alone[:, :50]), compute_band_statistics(amid_silence)
    np.testing.assert_allclose(mixed.mean, short.mean, atol=0.05)
    np.testing.assert_allclose(mixed.deviation, short.deviation, atol=0.1)
    moved = match_band_statistics(amid_silence, statistics(-1.0, 0.7))
    np.testing.assert_allclose(moved[:, 50:], amid_silence[:, 50:], atol=0.05)
    assert moved[:, :50].mean() == pytest.approx(-1.0, abs=0.1)


def test_a_matched_sound_has_the_target_statistics_and_keeps_its_order():
    before = noise(-3.0, 0.7)
    after = match_band_statistics(before, statistics(-4.0, 1.0))
    found = compute_band_statistics(after)
    np.testing.assert_allclose(found.mean, -4.0, atol=0.1)
    np.testing.assert_allclose(found.deviation, 1.0, atol=0.1)
    assert np.corrcoef(before[0], after[0])[0, 1] > 0.98


def test_an_estimate_that_hardly_varies_is_stretched_no_more_than_so_far():
    flat = noise(-3.0, 0.2)
    assert (
        compute_band_statistics(match_band_statistics(flat, statistics(-3.0, 2.0))).deviation.max()
        < 1.1 * MAX_STRETCH * 0.25
    )


def test_each_channel_is_matched_by_itself():
    both = np.stack([noise(-2.0, 0.5), noise(-5.0, 0.9, seed=1)])
    found = compute_band_statistics(match_band_statistics(both, statistics(-4.0, 0.7)))
    np.testing.assert_allclose(found.mean, -4.0, atol=0.1)
    assert found.mean.shape == (2, N_MELS, 1)


def test_pure_silence_passes():
    silent = np.full((N_MELS, FRAMES), -11.5, np.float32)
    assert np.isfinite(match_band_statistics(silent, statistics(-3.0, 0.5))).all()


def test_band_statistics_are_sampled_between_labels_and_by_the_seed():
    centres = np.repeat([[-2.0, 0.5], [-6.0, 1.5]], N_MELS, axis=1).astype(np.float32)
    axes = np.eye(1, 2 * N_MELS, dtype=np.float32)
    distribution = BandStatisticsDistribution(centres, axes)
    half = distribution.sample(np.array([0.5, 0.5]), 0.0, 1)
    np.testing.assert_allclose(half.mean, -4.0)
    np.testing.assert_allclose(half.deviation, 1.0)
    one, again, other = (distribution.sample(np.array([1.0, 0.0]), 1.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.mean, again.mean)
    assert one.mean[0, 0] != other.mean[0, 0]
    np.testing.assert_allclose(one.mean[1:], -2.0)


def test_a_matched_denoiser_works_in_the_models_units():
    mean, std = np.full((N_MELS, 1), -5.0, np.float32), np.full((N_MELS, 1), 2.0, np.float32)
    normal = (noise(-3.0, 0.7) - mean) / std
    denoise = with_band_statistics(lambda x, sigma: x, statistics(-4.0, 1.0), mean, std)
    out = denoise(normal[None], 0.5) * std + mean
    np.testing.assert_allclose(compute_band_statistics(out[0]).mean, -4.0, atol=0.1)


def test_a_share_moves_estimates_part_of_the_way():
    mean, std = np.zeros((N_MELS, 1), np.float32), np.ones((N_MELS, 1), np.float32)
    before = noise(-3.0, 0.7)[None]
    target = statistics(-4.0, 1.0)
    all_the_way, half, none = (
        with_band_statistics(lambda x, sigma: x, target, mean, std, share)(before, 0.5) for share in (1.0, 0.5, 0.0)
    )
    np.testing.assert_allclose(half, (before + all_the_way) / 2, atol=1e-5)
    np.testing.assert_allclose(none, before, atol=1e-6)
