"""What a step of a configured training costs: FLOPs by counting, memory and time by small batches."""

import time
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.training.denoiser import CANVAS_ODDS, CANVASES_S, Batch, flow_loss
from onnx_export.config import Config

MEAN_CANVAS = 0.9
"""Canvases are drawn between 0.8 and 1 of their length."""
CLIPS_ON_CPU = 2
"""Enough to keep a CPU busy; a GPU gets a whole batch, or what fits."""
BLOCKS_ON_CPU = 2
"""Of the network, when its speed is measured on a CPU: all blocks are alike."""
RUNS = 3
SMALL = (2, 6)
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
    """Of forward and of backward; nothing is computed."""
    with torch.device("meta"):
        model, batch = Denoiser(config.denoiser), _batch(config, n_clips, patches, "meta")
    with FlopCounterMode(display=False) as counter:
        made = model(batch.clean, batch.seconds, batch.embedding, batch.seconds, batch.guidance)
    forward = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        made.sum().backward()
    return forward, counter.get_total_flops()


def mean_flops(config: Config) -> tuple[float, float]:
    """Of a step's forward and backward, over the canvases that are drawn."""
    forward = backward = 0.0
    for canvas_s, odds in zip(CANVASES_S, CANVAS_ODDS, strict=True):
        patches = _patches(config, canvas_s)
        there, back = count_flops(config, 1, patches)
        n_clips = _clips(config, patches)
        forward, backward = forward + odds * n_clips * there, backward + odds * n_clips * back
    return forward, backward


def activation_bytes(config: Config, device: torch.device) -> float:
    """What a batch of the shortest canvases keeps, by small batches through one block and through two.

    These batches are the largest there are: tokens of the context stand before every clip.
    """
    patches, depth = _patches(config, CANVASES_S[0]), config.denoiser.depth
    kept = []
    for n_clips in SMALL:
        one, two = (_kept_bytes(_cut(config, blocks), n_clips, patches, device) for blocks in (1, 2))
        kept.append(one + (two - one) * (depth - 1))
    return kept[0] + (kept[1] - kept[0]) / (SMALL[1] - SMALL[0]) * (_clips(config, patches) - SMALL[0])


def _cut(config: Config, depth: int) -> Config:
    return replace(config, denoiser=replace(config.denoiser, depth=depth))


def _kept_bytes(config: Config, n_clips: int, patches: int, device: torch.device) -> int:
    model, batch = Denoiser(config.denoiser).to(device), _batch(config, n_clips, patches, device)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # The loss holds what was kept: until all of it is counted, no two share an address.
        loss = flow_loss(model, batch, config.training)
    n_bytes = sum(size for place, size in kept.items() if place not in own)
    del loss
    return n_bytes


def measure_speed(config: Config, device: torch.device) -> tuple[float, float]:
    """FLOPs a second of forward and backward, and parameters a second of the optimiser, at clips as long as videos'.

    A CPU is measured with a part of the network.
    """
    patches = _patches(config, config.videos.clip_s)
    n_clips = _clips(config, patches)
    if device.type == "cpu":
        config, n_clips = _cut(config, min(BLOCKS_ON_CPU, config.denoiser.depth)), min(CLIPS_ON_CPU, n_clips)
    model = Denoiser(config.denoiser).to(device)
    optimiser = torch.optim.AdamW(model.parameters())
    while True:
        try:
            # The first steps are slower: memory is asked for.
            times = [_times(model, optimiser, _batch(config, n_clips, patches, device), config) for _ in range(RUNS)]
            break
        except torch.OutOfMemoryError:
            if n_clips == 1:
                raise
            n_clips //= 2
    flops, n_parameters = sum(count_flops(config, n_clips, patches)), sum(p.numel() for p in model.parameters())
    return flops / min(t for t, _ in times), n_parameters / min(t for _, t in times)


def _times(model: Denoiser, optimiser: torch.optim.Optimizer, batch: Batch, config: Config) -> tuple[float, float]:
    """Seconds of forward and backward, and of the optimiser's step."""
    began = _now(batch.clean.device)
    flow_loss(model, batch, config.training).backward()
    middle = _now(batch.clean.device)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return middle - began, _now(batch.clean.device) - middle


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
