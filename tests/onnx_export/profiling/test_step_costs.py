"""Costs of a step: counted figures against arithmetic."""

from dataclasses import replace

import pytest
import torch

from onnx_export.profiling import step_costs
from onnx_export.profiling.step_costs import MEAN_CANVAS, activation_bytes, count_flops, mean_flops, measure_speed
from tests.onnx_export.profiling.conftest import FRAMES_PER_SECOND

CPU = torch.device("cpu")


def test_flops_are_those_of_the_matrices(config):
    forward, backward = count_flops(config, 1, 60)
    # 12 width² parameters a block, and two products of attention, for each of 64 tokens.
    blocks = 3 * 64 * (2 * 12 * 32**2 + 2 * 2 * 64 * 32)
    assert blocks < forward < 1.2 * blocks
    assert 1.9 * forward < backward < 2.6 * forward
    assert sum(count_flops(config, 3, 60)) == 3 * (forward + backward)


def test_more_tokens_and_blocks_keep_more(config):
    kept = activation_bytes(config, CPU)
    twice = activation_bytes(replace(config, training=replace(config.training, tokens=1000)), CPU)
    deeper = activation_bytes(replace(config, denoiser=replace(config.denoiser, depth=6)), CPU)
    assert 1.8 * kept < twice < 2.1 * kept and 1.5 * kept < deeper < 2 * kept
    # Of a block a residual, a norm and the feed-forward's inside at the least; not more than a hundred numbers each.
    n_tokens = 500 / 15 * 19
    assert 3 * 6 * 32 * n_tokens * 2 < kept < 3 * 100 * 32 * n_tokens * 4


def test_a_canvas_has_as_many_patches_as_its_length_needs(config):
    seconds, patch = 4.0, config.denoiser.patch
    expected = MEAN_CANVAS * seconds * FRAMES_PER_SECOND / patch
    assert step_costs._patches(config, seconds) == pytest.approx(expected, abs=0.5)
    assert step_costs._patches(config, 0.001) == 2


def test_a_batch_holds_the_tokens_of_the_configuration(config):
    assert step_costs._clips(config, 60) == 500 // 60
    assert step_costs._clips(config, 1000) == 1


def test_the_mean_lies_between_the_shortest_and_the_longest_canvas(config, monkeypatch):
    """Were a clip's cost its patches, a batch would cost its tokens whatever its canvas."""
    monkeypatch.setattr(step_costs, "count_flops", lambda _config, n_clips, patches: (n_clips * patches, 2 * patches))
    forward, backward = mean_flops(config)
    assert 0.7 * 500 < forward <= 500
    assert backward == pytest.approx(2 * forward)


def test_speed_is_measured_with_a_part_of_the_network_on_a_cpu(config, monkeypatch):
    depths = []
    counted = step_costs.count_flops

    def count(config, n_clips, patches):
        depths.append((config.denoiser.depth, n_clips))
        return counted(config, n_clips, patches)

    monkeypatch.setattr(step_costs, "count_flops", count)
    flops, parameters = measure_speed(config, CPU)
    assert flops > 0 and parameters > 0
    ((depth, n_clips),) = depths
    assert depth == step_costs.BLOCKS_ON_CPU and n_clips <= step_costs.CLIPS_ON_CPU


def test_a_batch_that_does_not_fit_is_halved_until_it_does(config, monkeypatch):
    sizes = []

    def step_times(model, optimiser, batch, config):
        sizes.append(len(batch.clean))
        if len(batch.clean) > 1:
            raise torch.OutOfMemoryError
        return 0.5, 0.25

    monkeypatch.setattr(step_costs, "_step_times", step_times)
    flops, _ = measure_speed(config, CPU)
    assert sizes[0] > 1 == sizes[-1] and len(sizes) == 1 + step_costs.RUNS
    patches = step_costs._patches(config, config.videos.clip_s)
    part = replace(config, denoiser=replace(config.denoiser, depth=step_costs.BLOCKS_ON_CPU))
    assert flops == pytest.approx(sum(count_flops(part, 1, patches)) / 0.5)


def test_one_clip_that_does_not_fit_is_an_error(config, monkeypatch):
    def step_times(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(step_costs, "_step_times", step_times)
    with pytest.raises(torch.OutOfMemoryError):
        measure_speed(config, CPU)
