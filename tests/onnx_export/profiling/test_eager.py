"""The benchmark of eager PyTorch: what is called, and how often."""

import subprocess
import sys
from typing import ClassVar

import torch

from onnx_export.profiling import eager
from onnx_export.profiling.eager import benchmark_eager


class Counted(torch.nn.Module):
    """In place of the denoiser: notes the shapes of its inputs."""

    calls: ClassVar[list] = []

    def __init__(self, size):
        super().__init__()

    def forward(self, *inputs):
        self.calls.append([tuple(x.shape) for x in inputs])


def test_a_call_is_made_once_more_than_it_is_timed(monkeypatch):
    monkeypatch.setattr(eager, "Denoiser", Counted)
    monkeypatch.setattr(Counted, "calls", [])
    size = eager.DenoiserSize()
    assert benchmark_eager(10 * size.patch + 1, 3) >= 0
    assert len(Counted.calls) == 4
    # A batch of two, its length rounded down to whole patches.
    assert Counted.calls[0] == [(2, size.n_mels, 10 * size.patch), (2,), (2, size.n_embedding), (2,), (2,)]


def test_the_median_is_printed():
    command = [sys.executable, "-m", "onnx_export.profiling.eager", "8", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert 0 < float(ended.stdout) < 300
