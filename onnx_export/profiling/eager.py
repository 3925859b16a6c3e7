"""The benchmark of one call of the denoiser in eager PyTorch, which the server's benchmark compares itself with.

`python -m onnx_export.profiling.eager FRAMES ROUNDS` prints the median seconds of a call.
"""

import statistics
import sys
import time

import torch

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize

BATCH_SIZE = 2
"""One clip with its condition and without it, as classifier-free guidance needs them."""


@torch.inference_mode()
def benchmark_eager(n_frames: int, rounds: int) -> float:
    """Return the median seconds of a call with a batch of two, after one call to warm up.

    The weights are random: they do not matter for it.

    Args:
        n_frames: Length of the mel, rounded down to whole patches.
        rounds: Calls that are timed.
    """
    size = DenoiserSize()
    model = Denoiser(size).eval()
    frames = n_frames // size.patch * size.patch
    noised, sigma = torch.zeros(BATCH_SIZE, size.n_mels, frames), torch.full((BATCH_SIZE,), 0.5)
    embedding = torch.zeros(BATCH_SIZE, size.n_embedding)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        model(noised, sigma, embedding, torch.full((BATCH_SIZE,), 10.0), torch.ones(BATCH_SIZE))
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    print(benchmark_eager(int(sys.argv[1]), int(sys.argv[2])))
