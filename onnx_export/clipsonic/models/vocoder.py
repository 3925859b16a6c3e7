"""The vocoder, log-mel spectrogram to waveform, in the manner of Vocos (Siuzdak 2024).

ConvNeXt blocks at frame rate, then one inverse STFT. No upsampling layers, so it costs little on a CPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.inverse_stft import InverseSTFT, inverse_stft
from plugin_server.audio.spectral import LOG_FLOOR, MelSettings, hann_window, mel_filterbank


@dataclass(frozen=True, slots=True)
class VocoderSize:
    """Shape of the network."""

    width: int = 512
    depth: int = 8
    hidden: int = 768
    kernel: int = 7

    @classmethod
    def of_weights(cls, weights: Mapping[str, torch.Tensor | np.ndarray]) -> "VocoderSize":
        """Return the shape of the network that has these weights."""
        width, _, kernel = weights["embed.weight"].shape
        depth = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
        return cls(width, depth, len(weights["blocks.0.up.bias"]), kernel)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, then a pointwise network (Liu et al. 2022): (batch, width, frames) in and out."""

    def __init__(self, size: VocoderSize):
        super().__init__()
        self.mix_time = nn.Conv1d(size.width, size.width, size.kernel, padding=size.kernel // 2, groups=size.width)
        self.norm = nn.LayerNorm(size.width, eps=1e-6)
        self.up = nn.Linear(size.width, size.hidden)
        self.down = nn.Linear(size.hidden, size.width)
        self.scale = nn.Parameter(torch.full((size.width,), 1 / size.depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features (batch, width, frames) after the block."""
        y = self.norm(self.mix_time(x).transpose(1, 2))
        y = self.down(functional.gelu(self.up(y))) * self.scale
        return x + y.transpose(1, 2)


class Vocoder(nn.Module):
    """Log-mel (batch, n_mels, frames) to a spectrum (batch, 2, n_bins, frames): real and imaginary parts."""

    def __init__(self, mel: MelSettings, size: VocoderSize):
        super().__init__()
        self.mel = mel
        self.size = size
        self.embed = nn.Conv1d(mel.n_mels, size.width, size.kernel, padding=size.kernel // 2)
        self.norm_in = nn.LayerNorm(size.width, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXtBlock(size) for _ in range(size.depth))
        self.norm_out = nn.LayerNorm(size.width, eps=1e-6)
        self.head = nn.Linear(size.width, 2 * mel.n_bins)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the spectrum (batch, 2, n_bins, frames) for a log-mel (batch, n_mels, frames)."""
        return self.spectrum(self.features(log_mel))

    def features(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return what the blocks make of a log-mel (batch, n_mels, frames): (batch, frames, width)."""
        # About zero mean and unit deviation for ordinary sounds; part of the graph, so that the input stays log-mel.
        x = self.embed((log_mel + 5.0) / 2.5)
        x = self.norm_in(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.norm_out(x.transpose(1, 2))

    def spectrum(self, features: torch.Tensor) -> torch.Tensor:
        """Return the spectrum (batch, 2, n_bins, frames) of features (batch, frames, width)."""
        return torch.stack(self.parts(features), dim=1).transpose(2, 3)

    def parts(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return real and imaginary part of the spectrum, (batch, frames, n_bins) each."""
        log_magnitude, phase = self.head(features).float().chunk(2, dim=2)
        # Keeps a first bad step finite. e^6 is 2 dB under a full-scale sine at this window; training peaks are lower.
        magnitude = torch.exp(torch.clamp(log_magnitude, max=6.0))
        return magnitude * torch.cos(phase), magnitude * torch.sin(phase)

    def waveform(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return samples (batch, frames * hop) for a log-mel (batch, n_mels, frames)."""
        return inverse_stft(self(log_mel), self.mel)


class SampleVocoder(nn.Module):
    """A vocoder with its inverse STFT as one graph, log-mel to samples."""

    def __init__(self, vocoder: Vocoder):
        super().__init__()
        self.vocoder = vocoder
        self.inverse = InverseSTFT(vocoder.mel)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the samples (batch, frames * hop) of a log-mel (batch, n_mels, frames)."""
        return self.inverse(*self.vocoder.parts(self.vocoder.features(log_mel)))


class LogMel(nn.Module):
    """The log-mel of `plugin_server.audio.spectral.log_mel`, differentiable."""

    window: torch.Tensor
    bank: torch.Tensor

    def __init__(self, mel: MelSettings):
        super().__init__()
        self.mel = mel
        self.register_buffer("window", torch.from_numpy(hann_window(mel.n_fft).copy()), persistent=False)
        self.register_buffer("bank", torch.from_numpy(mel_filterbank(mel).copy()), persistent=False)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the log-mel (batch, n_mels, frames) of samples (batch, n)."""
        side = (self.mel.n_fft - self.mel.hop) // 2
        padded = functional.pad(samples[:, None], (side, side), mode="reflect")[:, 0]
        spectrum = torch.stft(
            padded, self.mel.n_fft, self.mel.hop, window=self.window, center=False, return_complex=True
        )
        magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
        return torch.log(torch.clamp(self.bank @ magnitude, min=LOG_FLOOR))
