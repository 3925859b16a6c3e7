"""One call of the denoiser in eager PyTorch, timed: what the server's benchmark compares itself with."""

import statistics
import sys
import time

import torch

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize


@torch.inference_mode()
def time_call(n_frames: int, rounds: int) -> float:
    """Median seconds of a call with a batch of two; weights do not matter for it."""
    size = DenoiserSize()
    model = Denoiser(size).eval()
    frames = n_frames // size.patch * size.patch
    inputs = (torch.zeros(2, size.n_mels, frames), torch.full((2,), 0.5), torch.zeros(2, size.n_embedding))
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        model(*inputs, torch.full((2,), 10.0), torch.ones(2))
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


if __name__ == "__main__":
    print(time_call(int(sys.argv[1]), int(sys.argv[2])))
