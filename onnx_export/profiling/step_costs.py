"""The costs of a step of a configured training: FLOPs by counting, memory and time by small batches."""

import time
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.training.denoiser import Batch, flow_loss
from onnx_export.clipsonic.training.denoiser_dataset import CANVASES
from onnx_export.config import Config

MEAN_CANVAS = 0.9
"""Canvases are drawn between 0.8 and 1 of their length."""
CLIPS_ON_CPU = 2
"""Clips that keep a CPU busy; a GPU gets a whole batch, or what fits."""
BLOCKS_ON_CPU = 2
"""Blocks of the network when its speed is measured on a CPU: all blocks are alike."""
RUNS = 3
SMALL_BATCHES = (2, 6)
"""Clips of the batches whose memory is counted."""


def _patches(config: Config, canvas_s: float) -> int:
    return max(2, round(MEAN_CANVAS * canvas_s * config.mel.sample_rate / config.mel.hop / config.denoiser.patch))


def _clips(config: Config, patches: int) -> int:
    return max(1, config.training.tokens // patches)


def _batch(config: Config, n_clips: int, patches: int, device: str | torch.device) -> Batch:
    size = config.denoiser
    clean = torch.randn(n_clips, size.n_mels, patches * size.patch, device=device)
    embedding = torch.randn(n_clips, size.n_embedding, device=device)
    ones = torch.ones(n_clips, device=device)
    return Batch(clean, embedding, ones, ones)


def count_flops(config: Config, n_clips: int, patches: int) -> tuple[int, int]:
    """Return the FLOPs of forward and of backward of one batch; nothing is computed.

    Args:
        config: The network.
        n_clips: Clips in the batch.
        patches: Length of each clip, in patches.
    """
    with torch.device("meta"):
        model, batch = Denoiser(config.denoiser), _batch(config, n_clips, patches, "meta")
    with FlopCounterMode(display=False) as counter:
        clean = model(batch.clean, batch.seconds, batch.embedding, batch.seconds, batch.guidance)
    forward = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        clean.sum().backward()
    return forward, counter.get_total_flops()


def mean_flops(config: Config) -> tuple[float, float]:
    """Return the mean FLOPs of a step's forward and backward, over the canvas lengths that are drawn."""
    forward = backward = 0.0
    for canvas in CANVASES:
        patches = _patches(config, canvas.seconds)
        forward_flops, backward_flops = count_flops(config, 1, patches)
        n_clips = _clips(config, patches)
        forward, backward = (
            forward + canvas.odds * n_clips * forward_flops,
            backward + canvas.odds * n_clips * backward_flops,
        )
    return forward, backward


def activation_bytes(config: Config, device: torch.device) -> float:
    """Return the bytes that a batch of the shortest canvases keeps from forward to backward.

    They are extrapolated from small batches through one block and through two.
    Batches of the shortest canvases are the largest there are: tokens of the context stand before every clip.
    """
    patches, depth = _patches(config, CANVASES[0].seconds), config.denoiser.depth
    n_bytes = []
    for n_clips in SMALL_BATCHES:
        one, two = (_saved_bytes(_with_depth(config, blocks), n_clips, patches, device) for blocks in (1, 2))
        n_bytes.append(one + (two - one) * (depth - 1))
    bytes_per_clip = (n_bytes[1] - n_bytes[0]) / (SMALL_BATCHES[1] - SMALL_BATCHES[0])
    return n_bytes[0] + bytes_per_clip * (_clips(config, patches) - SMALL_BATCHES[0])


def _with_depth(config: Config, depth: int) -> Config:
    return replace(config, denoiser=replace(config.denoiser, depth=depth))


def _saved_bytes(config: Config, n_clips: int, patches: int, device: torch.device) -> int:
    """Return the bytes of all tensors that autograd saves for backward, parameters aside."""
    model, batch = Denoiser(config.denoiser).to(device), _batch(config, n_clips, patches, device)
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        # The loss holds what was saved: until all of it is counted, no two share an address.
        loss = flow_loss(model, batch, config.training)
    n_bytes = sum(size for address, size in saved.items() if address not in parameters)
    del loss
    return n_bytes


def measure_speed(config: Config, device: torch.device) -> tuple[float, float]:
    """Return FLOPs a second of forward and backward, and parameters a second of the optimiser.

    They are measured at clips as long as videos'. A CPU is measured with a part of the network.
    """
    patches = _patches(config, config.videos.clip_s)
    n_clips = _clips(config, patches)
    if device.type == "cpu":
        config, n_clips = _with_depth(config, min(BLOCKS_ON_CPU, config.denoiser.depth)), min(CLIPS_ON_CPU, n_clips)
    model = Denoiser(config.denoiser).to(device)
    optimiser = torch.optim.AdamW(model.parameters())
    while True:
        try:
            # The first steps are slower: memory is asked for.
            times = [
                _step_times(model, optimiser, _batch(config, n_clips, patches, device), config) for _ in range(RUNS)
            ]
            break
        except torch.OutOfMemoryError:
            if n_clips == 1:
                raise
            n_clips //= 2
    flops, n_parameters = sum(count_flops(config, n_clips, patches)), sum(p.numel() for p in model.parameters())
    return flops / min(t for t, _ in times), n_parameters / min(t for _, t in times)


def _step_times(model: Denoiser, optimiser: torch.optim.Optimizer, batch: Batch, config: Config) -> tuple[float, float]:
    """Return the seconds of forward and backward, and of the optimiser's step."""
    start = _now(batch.clean.device)
    flow_loss(model, batch, config.training).backward()
    middle = _now(batch.clean.device)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return middle - start, _now(batch.clean.device) - middle


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
