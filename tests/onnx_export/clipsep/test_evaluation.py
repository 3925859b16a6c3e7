from dataclasses import replace

import numpy as np
import pytest
import torch

from onnx_export.clipsep.evaluation import EXAM, Improvement, area_under_curve, evaluate_separator, si_sdr
from onnx_export.clipsep.mixtures import MixtureSampler, SeparationData
from onnx_export.clipsep.spectrum import StftSettings


def test_ratio_ignores_scale_and_mean():
    reference = torch.sin(torch.arange(1000.0))
    noise = torch.cos(torch.arange(1000.0))
    assert si_sdr(reference * 3 + 0.7, reference) > 60
    assert si_sdr(reference + 0.1 * noise, reference).item() == pytest.approx(20, abs=0.2)


def test_area_under_the_curve():
    assert area_under_curve(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert area_under_curve(np.array([0.0, 2.0]), np.array([1.0, 1.0])) == 0.5
    assert area_under_curve(np.ones(3), np.ones(4)) == 0.5


def test_disasters_are_clipped():
    assert Improvement.of([-50, 10, 10]) == Improvement(-10, 10, pytest.approx(10 / 3), pytest.approx(2 / 3))


def test_a_mask_of_one_improves_nothing_and_the_ideal_one_much(tones, words):
    training = replace(EXAM, batch=3, frames=64)
    sampler = MixtureSampler(SeparationData(tones, words), training, StftSettings(), torch.device("cpu"), "test")

    def pass_through(magnitude, level, queries):
        n = queries.shape[1]
        return magnitude.new_ones(len(magnitude), n, *magnitude.shape[1:]), torch.zeros(len(magnitude), n, 4)

    figures = evaluate_separator(pass_through, sampler, {"bell": words["bell"]}, {}, n_batches=2)
    assert figures.improvements["label"].mean == pytest.approx(0, abs=1e-3)
    assert figures.improvements["ideal mask"].median > 10
    assert figures.absent_db == pytest.approx(0, abs=0.1) and figures.presence_auc == 0.5
    assert "picture" not in figures.improvements
