"""SoundNet's eight-layer network (Aytar, Vondrick and Torralba 2016), trained by the pictures of millions of videos.

It is a judge that was not trained here.

Weights are `sound8.npy` of the registry package `soundnet` 0.1.2, a dictionary of numpy arrays.
"""

import hashlib
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import nn

SAMPLE_RATE = 22050
SHA256 = "7bef691761d00a23b027751bb8e7bdadc603a03f3bbec5574e7cd54c98a850c5"
_LAYERS = ((16, 64, 32, 8), (32, 32, 16, 8), (64, 16, 8, 1), (128, 8, 4, 1), (256, 4, 2, 4), (512, 4, 2, 1))
"""Channels, kernel, padding and pooling of each convolution; every stride is 2."""
MIN_SAMPLES = 65536
"""Shorter sounds are repeated up to this length, so that the last layer has a few frames."""


class SoundNet(nn.Module):
    """The network from waveforms (batch, n) at 22,050 Hz, full scale 1, to features of the fifth and sixth layers."""

    def __init__(self) -> None:
        """Build the network with random weights."""
        super().__init__()
        stages, before = [], 1
        for channels, kernel, padding, pool in _LAYERS:
            layers = [nn.Conv1d(before, channels, kernel, 2, padding), nn.BatchNorm1d(channels, eps=1e-5), nn.ReLU()]
            stages.append(nn.Sequential(*layers, nn.MaxPool1d(pool) if pool > 1 else nn.Identity()))
            before = channels
        self.stages = nn.ModuleList(stages)

    def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (batch, 256, frames of 0.37 s) and (batch, 512, frames of 0.74 s)."""
        x = samples[:, None] * 256
        for stage in self.stages[:-1]:
            x = stage(x)
        return x, self.stages[-1](x)


def load_soundnet(path: Path) -> SoundNet:
    """Read the weights of sound8.npy.

    Raises:
        ValueError: When the file is not the one whose checksum is known: it is a pickle, and only that one was
            looked into.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{path}: sha256 is {found}, expected {SHA256}")
    weights = np.load(path, allow_pickle=True, encoding="latin1").item()
    network = SoundNet().eval()
    for number, stage in enumerate(network.stages, 1):
        _fill(stage, weights[f"conv{number}"])
    return network


@torch.no_grad()
def _fill(stage: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Fill the convolution, 0, and the norm, 1, of a stage."""
    state = stage.state_dict()
    state["0.weight"].copy_(torch.from_numpy(weights["weights"][:, 0].transpose(2, 1, 0).copy()))
    state["0.bias"].copy_(torch.from_numpy(weights["biases"]))
    state["1.weight"].copy_(torch.from_numpy(weights["gamma"]))
    state["1.bias"].copy_(torch.from_numpy(weights["beta"]))
    state["1.running_mean"].copy_(torch.from_numpy(weights["mean"]))
    state["1.running_var"].copy_(torch.from_numpy(weights["var"]))


@torch.no_grad()
def soundnet_frames(network: SoundNet, samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of one mono sound, float32 (frames, 256) and (frames, 512)."""
    low = soxr.resample(samples, sample_rate, SAMPLE_RATE).astype(np.float32)
    if len(low) < MIN_SAMPLES:
        low = np.resize(low, MIN_SAMPLES)
    fifth, sixth = network(torch.from_numpy(low)[None])
    return fifth[0].T.numpy(), sixth[0].T.numpy()
