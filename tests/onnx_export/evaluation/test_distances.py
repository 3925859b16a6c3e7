"""Distances between sets of sounds, against what is known of Gaussians and of points."""

import numpy as np
import pytest

from onnx_export.evaluation.distances import (
    N_COMPONENTS,
    ConfidenceInterval,
    PrincipalComponents,
    bootstrap_mean,
    frechet_audio_distance,
    frechet_distance,
    mean_pairwise_distances,
    nearest_distances,
)


def test_an_interval_holds_the_mean_and_narrows_with_more():
    few, many = bootstrap_mean([0, 1] * 5), bootstrap_mean([0, 1] * 500)
    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < 0.2 * (few.high - few.low)
    assert (few.n, many.n) == (10, 1000)


def test_an_interval_of_equal_values_is_a_point():
    assert bootstrap_mean([0.25, 0.25, 0.25]) == ConfidenceInterval(0.25, 0.25, 0.25, 3)


def test_an_interval_is_the_same_each_time():
    assert bootstrap_mean([0.1, 0.5, 0.9]) == bootstrap_mean(np.array([0.1, 0.5, 0.9]))


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="values: got none, expected one or more"):
        bootstrap_mean([])


def test_an_interval_is_written_with_two_digits():
    assert str(ConfidenceInterval(0.5, 0.125, 0.996, 4)) == "0.50 (0.12 to 1.00)"


def test_the_frechet_distance_of_gaussians_is_known():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20_000, 4))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + np.array([2, 0, 0, 0])) == pytest.approx(4, rel=0.02)
    # Of deviations 1 and 3 in each of four directions: 4 * (3 - 1) ** 2.
    assert frechet_distance(a, 3 * rng.standard_normal((20_000, 4))) == pytest.approx(16, rel=0.05)


def test_the_frechet_distance_of_correlated_gaussians_is_that_of_the_closed_form():
    """For covariances C and I the last term is the trace of the root of C."""
    rng = np.random.default_rng(1)
    mix = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.5, 3.0]])
    a, b = rng.standard_normal((50_000, 3)) @ mix.T, rng.standard_normal((50_000, 3))
    covariance = mix @ mix.T
    expected = np.trace(covariance) + 3 - 2 * np.sqrt(np.linalg.eigvalsh(covariance)).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.05)


def test_the_frechet_distance_does_not_depend_on_the_order_or_on_a_rotation():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((500, 3)) * [1, 2, 3], rng.standard_normal((400, 3)) + 1
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(frechet_distance(a, b))


def test_sets_of_clips_are_compared_by_their_windows():
    rng = np.random.default_rng(0)
    clips = [[rng.standard_normal((30, 3)) + shift for _ in range(10)] for shift in (0.0, 0.0, 1.0)]
    near, far = frechet_audio_distance(clips[0], clips[1]), frechet_audio_distance(clips[0], clips[2])
    assert near.low <= near.mean <= near.high < far.low
    assert far.n == 10
    assert far.mean == frechet_distance(np.concatenate(clips[0]), np.concatenate(clips[2]))
    assert far.high - far.mean == pytest.approx(far.mean - far.low)


def test_an_interval_of_distances_ends_at_zero():
    clips = [np.random.default_rng(seed).standard_normal((20, 2)) for seed in range(4)]
    same = frechet_audio_distance(clips, clips)
    assert same.low == 0 and same.mean == pytest.approx(0, abs=1e-6)


def test_the_nearest_of_others_is_found():
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(nearest_distances(rows, np.array([[0.0, 1.0], [9.0, 9.0]])), [1.0, np.hypot(3, 3)])
    np.testing.assert_allclose(nearest_distances(rows, rows), 0, atol=1e-6)


def test_groups_of_one_have_no_distances():
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert mean_pairwise_distances([rows, rows[:1]]) == [5.0]
    # A triangle of 3, 4 and 5.
    assert mean_pairwise_distances([np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])]) == [4.0]
    assert mean_pairwise_distances([]) == []


def test_components_are_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2000, 3)) * [1, 10, 0.1] + [5, 6, 7]
    components = PrincipalComponents.fit(rows)
    assert np.abs(components.axes[:, 0]) == pytest.approx([0, 1, 0], abs=0.05)
    np.testing.assert_allclose(components.transform(rows).mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(components.axes.T @ components.axes, np.eye(3), atol=1e-9)


def test_at_most_sixty_four_components_remain():
    components = PrincipalComponents.fit(np.random.default_rng(0).standard_normal((100, 80)))
    assert components.transform(np.zeros((2, 80))).shape == (2, N_COMPONENTS)
    few = PrincipalComponents.fit(np.random.default_rng(0).standard_normal((5, 80)))
    assert few.transform(np.zeros((2, 80))).shape == (2, 5)
