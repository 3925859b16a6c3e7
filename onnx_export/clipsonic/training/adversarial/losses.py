"""Losses between a waveform and the one it should be."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.vocoder import LogMel
from plugin_server.audio.spectral import MelSettings

RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512), (256, 64))
"""(n_fft, hop) of the spectra that are compared."""
MEL_SCALES = ((64, 10), (128, 20), (256, 40), (512, 80), (1024, 80), (4096, 160))
"""(n_fft, bands) of the mels that are compared beside the vocoder's own: short windows have few bands, since what a
noise does in one of their bins cannot be known (Kumar et al. 2023)."""


def spectral_loss(output: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return the multi-resolution STFT loss (Yamamoto et al. 2020): log-magnitude L1 and spectral convergence.

    Both arguments are samples (batch, n).
    """
    total = output.new_zeros(())
    for n_fft, hop in RESOLUTIONS:
        window = torch.hann_window(n_fft, device=output.device)
        a, b = (
            torch.sqrt(s.real**2 + s.imag**2 + 1e-9)
            for s in (torch.stft(x, n_fft, hop, window=window, return_complex=True) for x in (output, real))
        )
        convergence = torch.linalg.vector_norm(a - b, dim=(1, 2)) / torch.linalg.vector_norm(b, dim=(1, 2)).clamp_min(1)
        total = total + functional.l1_loss(torch.log(a + 1e-3), torch.log(b + 1e-3)) + convergence.mean()
    return total / len(RESOLUTIONS)


class MultiScaleMelLoss(nn.Module):
    """L1 of log-mels at several lengths of the window (BigVGAN-v2), the mean over the scales."""

    def __init__(self, mel: MelSettings, scales: Sequence[tuple[int, int]] = MEL_SCALES):
        super().__init__()
        self.mels = nn.ModuleList(
            LogMel(MelSettings(mel.sample_rate, n_fft, n_fft // 4, n_mels, mel.f_min_hz, mel.f_max_hz))
            for n_fft, n_mels in scales
        )

    def forward(self, output: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Return the loss of samples (batch, n)."""
        return torch.stack([functional.l1_loss(mel(output), mel(real)) for mel in self.mels]).mean()
