"""Discriminators: what they see, and their losses against arithmetic."""

import pytest
import torch

from onnx_export.clipsonic.training.adversarial.discriminators import (
    Discriminators,
    PeriodDiscriminator,
    SpectrogramDiscriminator,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)


def features(score, value=1.0):
    return [[torch.full((1, 2), value), torch.full((1, 1), float(score))]]


def test_hinge_losses():
    assert float(discriminator_loss(features(1), features(-1))) == 0
    assert float(discriminator_loss(features(0), features(0))) == 2
    assert float(adversarial_loss(features(1))) == 0
    assert float(adversarial_loss(features(-1) * 3)) == 6


def test_features_are_compared_in_relation_to_their_size():
    assert float(feature_loss(features(1), features(-1))) == 0
    for size in (1.0, 100.0):
        assert float(feature_loss(features(1, size), features(1, 3 * size))) == pytest.approx(2)


def test_gradients_reach_the_output_alone():
    real, output = torch.ones(1, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    score = torch.zeros(1, 1)
    feature_loss([[real, score]], [[output, score]]).backward()
    assert real.grad is None and output.grad.abs().sum() > 0


@pytest.mark.parametrize("n", [4096, 4099])
def test_each_scores_sounds_of_any_length(n):
    torch.manual_seed(0)
    found = Discriminators(2, 4)(torch.randn(3, n))
    assert len(found) == 8
    for one in found:
        assert len(one) > 5 and all(torch.isfinite(layer).all() and len(layer) == 3 for layer in one)


def test_a_period_discriminator_sees_each_phase_alone():
    """What stands at one phase of the period changes the features of that phase only."""
    torch.manual_seed(0)
    discriminator, samples = PeriodDiscriminator(5, 2), torch.randn(1, 2000)
    changed = samples.clone()
    changed[:, 3::5] += 1
    for before, after in zip(discriminator(samples), discriminator(changed), strict=True):
        difference = (after - before).abs().amax(dim=(0, 1, 2))
        assert difference[3] > 0 and difference[[0, 1, 2, 4]].max() == 0


def test_every_band_has_features_of_its_own():
    """A tone at 1 kHz changes the first band; the highest one does not notice it."""
    torch.manual_seed(0)
    discriminator, noise = SpectrogramDiscriminator(512, 4), 0.1 * torch.randn(1, 8192)
    tone = noise + torch.sin(torch.arange(8192) * (2 * torch.pi * 1000 / 44_100))
    changes = [float((a - b).abs().mean()) for a, b in zip(discriminator(noise), discriminator(tone), strict=True)]
    first, last = changes[4], changes[-2]
    assert first > 20 * last


def test_silence_has_finite_gradients():
    samples = torch.zeros(1, 4096, requires_grad=True)
    adversarial_loss(Discriminators(2, 4)(samples)).backward()
    assert torch.isfinite(samples.grad).all()
