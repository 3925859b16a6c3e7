"""The vocoder, log-mel spectrogram to waveform, in the manner of Vocos (Siuzdak 2024).

ConvNeXt blocks at frame rate, then one inverse STFT. No upsampling layers, so it costs little on a CPU.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from plugin_server.audio.spectral import LOG_FLOOR, MelSettings, hann_window, mel_filterbank


@dataclass(frozen=True, slots=True)
class VocoderSize:
    """Shape of the network."""

    width: int = 256
    depth: int = 8
    hidden: int = 768
    kernel: int = 7


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
        # About zero mean and unit deviation for ordinary sounds; part of the graph, so that the input stays log-mel.
        x = self.embed((log_mel + 5.0) / 2.5)
        x = self.norm_in(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        log_magnitude, phase = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2).float().chunk(2, dim=1)
        # Keeps a first bad step finite. e^6 is 2 dB under a full-scale sine at this window; training peaks are lower.
        magnitude = torch.exp(torch.clamp(log_magnitude, max=6.0))
        return torch.stack([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=1)

    def waveform(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return samples (batch, frames * hop) for a log-mel (batch, n_mels, frames)."""
        return inverse_stft(self(log_mel), self.mel)


def inverse_stft(spectrum: torch.Tensor, mel: MelSettings) -> torch.Tensor:
    """Return the samples (batch, frames * hop) of a spectrum (batch, 2, n_bins, frames).

    It is `plugin_server.audio.spectral.istft`, differentiable.
    """
    window = torch.from_numpy(hann_window(mel.n_fft).copy()).to(spectrum.device)
    frames = torch.fft.irfft(torch.complex(spectrum[:, 0], spectrum[:, 1]), n=mel.n_fft, dim=1) * window[:, None]
    n_frames = spectrum.shape[-1]
    length = (n_frames - 1) * mel.hop + mel.n_fft
    weights = (window**2)[None, :, None].expand(1, mel.n_fft, n_frames)
    total, weight = (
        functional.fold(part, (1, length), (1, mel.n_fft), stride=(1, mel.hop))[:, 0, 0] for part in (frames, weights)
    )
    side = (mel.n_fft - mel.hop) // 2
    return (total / weight.clamp_min(1e-8))[:, side : side + n_frames * mel.hop]


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
