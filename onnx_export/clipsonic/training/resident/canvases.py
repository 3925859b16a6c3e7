"""Canvases as `denoiser_dataset` draws them, for a whole batch at once: rows of the mel table for each frame."""

import torch

from onnx_export.clipsonic.training.denoiser_dataset import (
    LONGER_REPEATED,
    MEAN_PAUSE_S,
    ONE_SHOT_REPEATED,
    ONE_SHOT_S,
    RANDOM_CROP,
    START_AT_ONCE,
)
from onnx_export.clipsonic.training.resident.mel_table import MelTable

MAX_REPEATS = 128
"""Times that a short sound stands on a canvas; the rest is silent."""


def draw_canvases(
    table: MelTable, clips: torch.Tensor, n_frames: int, rate: int, copies_share: float = 0.0
) -> torch.Tensor:
    """Return the rows (batch, n_frames) of frames: a crop, or a whole sound once or repeated with silence around it.

    Args:
        table: The mels.
        clips: Clips (batch,) by their index.
        n_frames: Length of the canvas.
        rate: Frames in a second.
        copies_share: Probability that a clip is one of its faster or slower copies.
    """
    copy = _draw_copy(table, clips, copies_share)
    start, length = table.starts[copy, clips][:, None], table.lengths[copy, clips][:, None]
    at = torch.arange(n_frames, device=clips.device)[None]
    crop = start + _below(length - n_frames + 1, RANDOM_CROP) + at
    placed = _places(length, n_frames, rate)
    which = (torch.searchsorted(placed, at.expand(len(clips), -1).contiguous(), right=True) - 1).clamp_min(0)
    offset = at - placed.gather(1, which)
    sounds = (offset >= 0) & (offset < length)
    whole = torch.where(sounds, start + offset, table.silence)
    return torch.where(length >= n_frames, crop, whole)


def _draw_copy(table: MelTable, clips: torch.Tensor, share: float) -> torch.Tensor:
    n_copies = len(table.starts) - 1
    if not n_copies:
        return torch.zeros_like(clips)
    copy = 1 + _random_below(torch.full_like(clips, n_copies))
    return torch.where(torch.rand(len(clips), device=clips.device) < share, copy, 0)


def _random_below(limit: torch.Tensor) -> torch.Tensor:
    """Return whole numbers from 0 to each limit, without it; 0 where the limit is not positive."""
    drawn = (torch.rand(limit.shape, device=limit.device) * limit).long()
    return torch.minimum(drawn, limit - 1).clamp_min(0)


def _below(limit: torch.Tensor, probability: float) -> torch.Tensor:
    """Return whole numbers below each limit with some probability, else 0."""
    chosen = torch.rand(limit.shape, device=limit.device) < probability
    return torch.where(chosen, _random_below(limit), 0)


def _places(length: torch.Tensor, n_frames: int, rate: int) -> torch.Tensor:
    """Return the frames (batch, MAX_REPEATS) that a sound begins at, rising; behind the canvas where it does not."""
    first = _below(n_frames - length + 1, 1 - START_AT_ONCE)
    probability = torch.where(length < ONE_SHOT_S * rate, ONE_SHOT_REPEATED, LONGER_REPEATED)
    is_repeated = torch.rand(length.shape, device=length.device) < probability
    pauses = torch.empty(len(length), MAX_REPEATS - 1, device=length.device).exponential_(1 / MEAN_PAUSE_S)
    # A pause far behind the canvas stands for none to come.
    steps = torch.where(is_repeated, length + (pauses * rate).long(), n_frames)
    return torch.cat([first, first + steps.cumsum(1)], dim=1)
