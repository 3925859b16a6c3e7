"""What a training takes: counted figures against arithmetic, and the command."""

from dataclasses import replace

import pytest
import torch

from onnx_export.cli import main
from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.config import read_config
from onnx_export.profiling.estimate import estimate
from onnx_export.profiling.step_costs import activation_bytes, count_flops

CONFIG = """
[embedding]
tag = "clipsonic-mini"
size = 16
[mel]
n_mels = 16
[denoiser]
n_mels = 16
n_embedding = 16
width = 32
depth = 3
heads = 2
[training]
steps = 100
guidance_distillation_from = 40
tokens = 500
condition_dropout = 0
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


def test_flops_are_those_of_the_matrices(path):
    config = read_config(path)
    forward, backward = count_flops(config, 1, 60)
    # 12 width² parameters a block, and two products of attention, for each of 64 tokens.
    blocks = 3 * 64 * (2 * 12 * 32**2 + 2 * 2 * 64 * 32)
    assert blocks < forward < 1.2 * blocks
    assert 1.9 * forward < backward < 2.6 * forward
    assert sum(count_flops(config, 3, 60)) == 3 * (forward + backward)


def test_more_tokens_and_blocks_keep_more(path):
    config = read_config(path)
    kept = activation_bytes(config, torch.device("cpu"))
    twice = activation_bytes(replace(config, training=replace(config.training, tokens=1000)), torch.device("cpu"))
    deeper = activation_bytes(replace(config, denoiser=replace(config.denoiser, depth=6)), torch.device("cpu"))
    assert 1.8 * kept < twice < 2.1 * kept and 1.5 * kept < deeper < 2 * kept
    # Of a block a residual, a norm and the feed-forward's inside at the least; not more than a hundred numbers each.
    n_tokens = 500 / 15 * 19
    assert 3 * 6 * 32 * n_tokens * 2 < kept < 3 * 100 * 32 * n_tokens * 4


def test_guidance_costs_its_share(path):
    made = estimate(read_config(path), torch.device("cpu"), 300)
    assert made.n_parameters == sum(p.numel() for p in Denoiser(made.config.denoiser).parameters())
    assert made.total_flops == pytest.approx(40 * made.plain_flops + 60 * made.guided_flops)
    # Two thirds of the clips twice forward, beside a step of about three times that.
    assert 1.3 < made.guided_flops / made.plain_flops < 1.5
    assert made.bytes == made.n_parameters * 24 + made.activation_bytes


def test_the_command_tells_memory_and_time(path, capsys):
    assert main(["estimate", "--config", str(path), "--tflops", "100"]) == 0
    told = capsys.readouterr().out
    for word in ("parameters", "activations", "memory in all", "on this cpu", "at 100 TFLOP/s"):
        assert word in told
    assert main(["estimate", "--config", str(path), "--tflops", "0"]) == 1
    assert "--tflops is 0" in capsys.readouterr().err
