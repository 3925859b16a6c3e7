"""The estimate of a training: its sums and its table."""

from dataclasses import replace

import pytest
import torch

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.profiling.estimate import Estimate, estimate

GIGA, TERA = 1e9, 1e12


def known(config):
    """An estimate in round numbers."""
    return Estimate(
        config,
        device="cpu",
        n_parameters=2_000_000,
        plain_flops=1 * TERA,
        guided_flops=2 * TERA,
        activation_bytes=3 * GIGA,
        device_flops=4 * TERA,
        optimiser_speed=1e6,
        tflops=100,
    )


def test_guidance_costs_its_share(config):
    figures = estimate(config, torch.device("cpu"), 300)
    assert figures.n_parameters == sum(p.numel() for p in Denoiser(figures.config.denoiser).parameters())
    assert figures.total_flops == pytest.approx(40 * figures.plain_flops + 60 * figures.guided_flops)
    # Two thirds of the clips twice forward, beside a step of about three times that.
    assert 1.3 < figures.guided_flops / figures.plain_flops < 1.5
    assert figures.bytes == figures.n_parameters * 24 + figures.activation_bytes


def test_steps_before_guidance_are_plain(config):
    figures = known(config)
    # Forty plain steps of a hundred.
    assert figures.total_flops == (40 * 1 + 60 * 2) * TERA
    short = replace(figures, config=replace(config, training=replace(config.training, steps=30)))
    assert short.total_flops == 30 * TERA


def test_memory_is_twenty_four_bytes_a_parameter_and_activations(config):
    assert known(config).bytes == 24 * 2e6 + 3 * GIGA


def test_the_table_holds_every_figure(config):
    lines = {line[:20].strip(): line[21:] for line in known(config).table().splitlines()}
    assert lines["parameters"] == "2.0 million"
    assert lines["a step"] == "1 TFLOP, 2 with guidance"
    assert lines["all steps"] == "0.00016 EFLOP in 100"
    assert lines["AdamW's two moments"] == "0.02 GB"
    assert lines["activations"] == "3.00 GB at 500 tokens"
    assert lines["memory in all"] == "3.05 GB"
    # 160 TFLOP at 4 a second, and 100 steps of 2 s for the optimiser.
    assert lines["on this cpu"] == f"4 TFLOP/s measured: {240 / 3600:.3g} hours"
    assert lines["at 100 TFLOP/s"] == f"{1.6 / 3600:.3g} hours"


def test_long_trainings_are_told_in_days(config):
    slow = replace(known(config), tflops=160 / 86400 / 3)
    assert slow.table().splitlines()[-1].endswith("3.0 days")
