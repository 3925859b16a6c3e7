"""The denoiser with and without a skip: estimates, shapes read from weights, dropout."""

from dataclasses import replace

import pytest
import torch

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize

SIZE = DenoiserSize(n_mels=4, n_embedding=6, patch=2, width=16, depth=2, heads=2, expansion=3, context=5, skip=True)


def estimate(model, noised, level):
    n = len(noised)
    return model(noised, torch.full((n,), level), torch.zeros(n, 6), torch.ones(n), torch.ones(n))


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def scrambled(size):
    torch.manual_seed(0)
    model = Denoiser(size).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False)


def test_a_fresh_network_gives_the_linear_estimate():
    noised, level = torch.randn(2, 4, 6), 0.4
    torch.testing.assert_close(estimate(Denoiser(SIZE), noised, level), noised * 0.6 / (0.36 + 0.16))
    assert not estimate(Denoiser(replace(SIZE, skip=False)), noised, level).any()


def test_little_noise_leaves_the_grain():
    """Whatever the weights are."""
    model = scrambled(SIZE)
    model.grain_variance.fill_(0.05)
    clean = torch.randn(3, 4, 40)
    torch.testing.assert_close(estimate(model, clean, 0.0), clean)
    noised = 0.995 * clean + 0.005 * torch.randn_like(clean)
    assert correlation(estimate(model, noised, 0.005), clean) > 0.98
    assert correlation(estimate(scrambled(replace(SIZE, skip=False)), clean, 0.0), clean) < 0.9


def test_a_filter_gives_back_the_grain_that_a_network_lost():
    model = scrambled(replace(SIZE, skip=False, filter=True))
    model.filter_variance.fill_(0.05)
    clean = torch.randn(3, 4, 40)
    assert correlation(estimate(model, clean + 0.005 * torch.randn_like(clean), 0.005), clean) > 0.98
    noise, ones = torch.randn(3, 4, 40), torch.ones(3)
    smooth = model.predict(noise, ones, torch.zeros(3, 6), ones, ones)
    torch.testing.assert_close(estimate(model, noise, 1.0), smooth)


@pytest.mark.parametrize("skip", [True, False])
def test_the_shape_is_read_from_the_weights(skip):
    size = replace(SIZE, skip=skip)
    state = Denoiser(size).state_dict()
    assert DenoiserSize.of_weights(state, 2) == size
    assert DenoiserSize.of_weights(state, None) == replace(size, heads=1)
    assert ("grain_variance" in state) == skip
    filtered = replace(SIZE, skip=False, filter=True)
    assert DenoiserSize.of_weights(Denoiser(filtered).state_dict(), 2) == filtered


def test_dropout_is_of_training_alone():
    model = scrambled(SIZE)
    noised = torch.randn(2, 4, 6)
    plain = estimate(model, noised, 0.5)
    model.set_dropout(0.5)
    torch.testing.assert_close(estimate(model, noised, 0.5), plain)
    assert not torch.allclose(estimate(model.train(), noised, 0.5), plain)
