"""Guidance away from a weak network against arithmetic."""

import pytest
import torch

from onnx_export.clipsonic.training.denoiser import Autoguidance, Batch
from onnx_export.clipsonic.training.resident.guidance import Autoguide, guided_rows, with_guidance


def network(factor):
    def estimate(noised, _sigma, embedding, _seconds, guidance):
        assert (guidance == 1).all()
        return (factor * embedding.sum(dim=1))[:, None, None].expand_as(noised)

    return estimate


def batch(n=300):
    return Batch(torch.zeros(n, 4, 8), torch.ones(n, 6), torch.ones(n), torch.ones(n))


def test_two_thirds_of_a_batch_are_guided():
    torch.manual_seed(0)
    guidance = with_guidance(batch(), 4.0).guidance
    assert guided_rows(300) == slice(99, 300)
    assert (guidance[:99] == 1).all() and 1 < float(guidance[99:].min()) < 1.2 and 3.8 < float(guidance.max()) <= 4


def test_the_shift_is_the_difference_from_the_weak_estimate():
    some = with_guidance(batch(), 4.0)
    sigma = torch.full((300,), 0.5)
    shift = Autoguide(network(3.0), network(1.0), Autoguidance(unconditional_share=0.0))(some.clean, sigma, some)
    torch.testing.assert_close(shift[:, 0, 0], (some.guidance - 1) * 12)


def test_some_weak_estimates_know_no_condition():
    torch.manual_seed(0)
    some = with_guidance(batch(), 4.0)
    guide = Autoguide(network(3.0), network(1.0), Autoguidance(unconditional_share=0.5))
    shift = guide(some.clean, torch.full((300,), 0.5), some)[99:, 0, 0] / (some.guidance[99:] - 1)
    assert sorted({round(float(s)) for s in shift}) == [12, 18]
    assert float((shift > 15).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_noise_levels_outside_the_interval_are_not_guided():
    some = with_guidance(batch(), 4.0)
    sigma = torch.linspace(0, 1, 300)
    shift = Autoguide(network(3.0), network(1.0), Autoguidance(min_sigma=0.5, max_sigma=0.9))(some.clean, sigma, some)
    moved = shift[:, 0, 0] > 0
    assert (sigma[moved] > 0.5).all() and (sigma[moved] < 0.9).all() and 110 < int(moved.sum()) <= 120
