"""Errors at fixed levels, of networks whose estimates are known."""

import pytest
import torch

from onnx_export.clipsonic.training.resident.validation import take_clips, validation_errors
from tests.onnx_export.clipsonic.training.resident.test_examples import examples


def test_errors_are_squared_and_grain_is_a_share():
    data = examples()
    clean, embedding = take_clips(data)
    assert clean.shape == (3, 4, 214) and embedding.tolist() == torch.eye(3, 6).tolist()
    target = iter([clean] * 99)

    def network(noised, _sigma, embedding, *_):
        return next(target) * 0.5 + embedding.sum(dim=1)[:, None, None]

    errors = validation_errors(network, data)
    assert errors["grain_0.05"] == pytest.approx(0.5, abs=1e-4)
    assert errors["error_0.8"] == pytest.approx(float((0.5 * clean - 1).square().mean()), rel=1e-4)
    assert errors["unconditional_0.8"] == pytest.approx(float((0.5 * clean).square().mean()), rel=1e-4)
