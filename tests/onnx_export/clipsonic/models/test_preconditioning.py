"""The skip round the denoiser against arithmetic, and what it keeps of a spectrogram's grain."""

import pytest
import torch

from onnx_export.clipsonic.models.preconditioning import filtered_estimate, scalings

LEVELS = torch.tensor([0.0, 0.005, 0.1, 0.5, 0.9, 1.0])


@pytest.mark.parametrize("variance", [1.0, 0.25])
def test_the_skip_is_the_linear_estimate_of_white_grain(variance):
    """Least squares over many draws give the same factor, for data of that variance."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 200_000, generator=generator, dtype=torch.float64)
    clean = clean * variance**0.5
    skip, _, _ = scalings(LEVELS, torch.full((3, 1), variance))
    for level, factor in zip(LEVELS.tolist()[1:], skip[1:, 0, 0].tolist(), strict=True):
        noised = (1 - level) * clean + level * noise
        assert factor == pytest.approx(float(noised @ clean / (noised @ noised)), abs=0.01)


def test_with_all_variance_grain_the_factors_are_those_of_karras():
    skip, out, scale = scalings(LEVELS, torch.ones(2, 1))
    total = (1 - LEVELS) ** 2 + LEVELS**2
    torch.testing.assert_close(skip[:, 1, 0], (1 - LEVELS) / total)
    torch.testing.assert_close(out[:, 1, 0], LEVELS / total.sqrt())
    torch.testing.assert_close(scale[:, 0, 0], total.rsqrt())


@pytest.mark.parametrize("variance", [1.0, 0.05])
def test_the_network_has_to_give_numbers_of_unit_deviation(variance):
    """For smooth parts and grain that are white: (clean - skip * noised) / out."""
    generator = torch.Generator().manual_seed(1)
    smooth, grain, noise = torch.randn(3, 200_000, generator=generator, dtype=torch.float64)
    clean = (1 - variance) ** 0.5 * smooth + variance**0.5 * grain
    skip, out, scale = scalings(LEVELS, torch.full((1, 1), variance))
    for level, c_skip, c_out, c_in in zip(*(x.flatten().tolist() for x in (LEVELS, skip, out, scale)), strict=True):
        noised = (1 - level) * clean + level * noise
        assert float((c_in * noised).std()) == pytest.approx(1, abs=0.01)
        if level:
            assert float((clean - c_skip * noised).std()) / c_out == pytest.approx(1, abs=0.01)


def test_without_noise_nothing_passes_through_the_network():
    skip, out, _ = scalings(torch.zeros(1), torch.tensor([[1.0], [0.03]]))
    assert (skip == 1).all() and (out == 0).all()


def test_the_filter_is_the_least_squares_estimate_of_the_grain():
    """With the smooth part known, what is left of the error is what no linear estimate takes away."""
    generator = torch.Generator().manual_seed(2)
    smooth, grain, noise = torch.randn(3, 1, 1, 200_000, generator=generator, dtype=torch.float64)
    grain, level = 0.2 * grain, 0.1
    noised = (1 - level) * (smooth + grain) + level * noise
    found = filtered_estimate(smooth, noised, torch.tensor([level]), torch.full((1, 1), 0.04))
    expected = 0.04 * level**2 / ((1 - level) ** 2 * 0.04 + level**2)
    assert float((found - smooth - grain).square().mean()) == pytest.approx(expected, rel=0.02)


def test_the_filter_trusts_the_estimate_in_pure_noise_and_the_input_without():
    estimate, noised = torch.randn(2, 2, 3, 8)
    variance = torch.full((3, 1), 0.04)
    torch.testing.assert_close(filtered_estimate(estimate, noised, torch.ones(2), variance), estimate)
    torch.testing.assert_close(filtered_estimate(estimate, noised, torch.zeros(2), variance), noised)
