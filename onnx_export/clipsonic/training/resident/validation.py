"""Errors of estimates at fixed noise levels, with words and without, and the share of grain that they keep."""

import torch
from torch.nn import functional

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.training.denoiser_dataset import GRAIN_NEIGHBOURS
from onnx_export.clipsonic.training.resident.examples import ResidentExamples
from onnx_export.training.loop import precision

LEVELS = (0.2, 0.5, 0.8, 0.95)
GRAIN_LEVELS = (0.05, 0.3)
MAX_CLIPS = 192
SECONDS = 2.5
HIGH_BAND = 40
"""Band from which grain is measured; below, frames share their windows."""


def take_clips(examples: ResidentExamples) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the beginnings of some clips, (n, n_mels, frames) normalised, and the first embedding of each."""
    table, indices = examples.table, examples.indices[:: -(-len(examples.indices) // MAX_CLIPS)]
    n_frames = round(SECONDS * examples.rate) // examples.patch * examples.patch
    at = torch.arange(n_frames, device=examples.device)[None]
    start, length = table.starts[0, indices][:, None], table.lengths[0, indices][:, None]
    mels = table.frames[torch.where(at < length, start + at, table.silence)].float()
    embeddings = examples.embeddings
    kind = (embeddings.counts[0, indices] == 0).long()
    clean = ((mels - examples.mean) / examples.std).transpose(1, 2).contiguous()
    return clean, embeddings.vectors[embeddings.starts[kind, indices]]


@torch.no_grad()
def validation_errors(model: Denoiser, examples: ResidentExamples) -> dict[str, float]:
    """Return mean squared errors by level, 'error_0.8' with words and 'unconditional_0.8' without, and 'grain_0.05'."""
    clean, embedding = take_clips(examples)
    generator = torch.Generator(clean.device).manual_seed(0)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    ones = torch.ones(len(clean), device=clean.device)
    seconds = ones * clean.shape[2] * examples.mel.hop / examples.mel.sample_rate
    results = {}
    for level in (*LEVELS, *GRAIN_LEVELS):
        noised = (1 - level) * clean + level * noise
        with precision(clean.device):
            estimate = model(noised, ones * level, embedding, seconds, ones).float()
            if level in LEVELS:
                without = model(noised, ones * level, torch.zeros_like(embedding), seconds, ones).float()
                results[f"error_{level}"] = float((estimate - clean).square().mean())
                results[f"unconditional_{level}"] = float((without - clean).square().mean())
        if level in GRAIN_LEVELS:
            results[f"grain_{level}"] = float(_grain(estimate).std() / _grain(clean).std())
    return results


def _grain(mel: torch.Tensor) -> torch.Tensor:
    """Return how far each number above the lowest bands is from the mean of its neighbours."""
    smooth = functional.avg_pool2d(mel[:, None], GRAIN_NEIGHBOURS, 1, GRAIN_NEIGHBOURS // 2, count_include_pad=False)
    high = min(HIGH_BAND, mel.shape[1] // 2)
    return (mel - smooth[:, 0])[:, high:]
