"""The spectrogram that the separator hears: STFT settings, and bands that are fine where pitches lie.

At 22.05 kHz with 1024 samples and a hop of 256 the grid is, bin for bin and frame for frame, the lower half of one at
44.1 kHz with 2048 samples and a hop of 512: a mask for the one fits the other.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn import functional

from plugin_server.audio.spectral import hann_window

LINEAR_UP_TO_HZ = 1200.0
"""Below, every bin is a band of its own; above, bands grow wider with frequency."""


@dataclass(frozen=True, slots=True)
class StftSettings:
    """Settings of the short-time Fourier transform that masks are made for."""

    sample_rate: int = 22_050
    n_fft: int = 1024
    hop: int = 256
    n_bands: int = 160

    @property
    def n_bins(self) -> int:
        """Bins of one frame, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1


@cache
def band_edges(settings: StftSettings) -> np.ndarray:
    """Return the first bin of each band and the end of the last, int (n_bands + 1,).

    Raises:
        ValueError: When the transform has too few bins for so many bands.
    """
    n_linear = round(LINEAR_UP_TO_HZ * settings.n_fft / settings.sample_rate)
    n_wide = settings.n_bands - n_linear
    if not 0 < n_wide <= settings.n_bins - n_linear:
        raise ValueError(f"n_bands is {settings.n_bands}, expected {n_linear + 1} to {settings.n_bins}")
    edges = list(range(n_linear + 1))
    for left in range(n_wide, 0, -1):
        # Geometric as far as whole bins allow: what is left is divided anew after each band.
        width = edges[-1] * ((settings.n_bins / edges[-1]) ** (1 / left) - 1)
        edges.append(min(edges[-1] + max(1, round(width)), settings.n_bins - left + 1))
    return np.array(edges)


@cache
def band_matrix(settings: StftSettings) -> np.ndarray:
    """Return weights (n_bands, n_bins) that average the power of each band's bins, float32."""
    edges = band_edges(settings)
    bins = np.arange(settings.n_bins)
    inside = (bins >= edges[:-1, None]) & (bins < edges[1:, None])
    return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def bin_matrix(settings: StftSettings) -> np.ndarray:
    """Return weights (n_bins, n_bands) that interpolate a mask of bands linearly between their centres, float32."""
    edges = band_edges(settings)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    rows = [np.interp(np.arange(settings.n_bins), centres, row) for row in np.eye(settings.n_bands)]
    return np.stack(rows, axis=1).astype(np.float32)


def stft(samples: torch.Tensor, settings: StftSettings) -> torch.Tensor:
    """Return the spectrum, complex64 (batch, n_bins, n / hop), of samples (batch, n), n a multiple of the hop.

    Frame i is centred on hop * (i + 1/2), the ends are reflected: as `plugin_server.audio.spectral.stft` has it.
    """
    side = (settings.n_fft - settings.hop) // 2
    padded = functional.pad(samples[:, None], (side, side), mode="reflect")[:, 0]
    window = torch.from_numpy(hann_window(settings.n_fft).copy()).to(samples.device)
    return torch.stft(padded, settings.n_fft, settings.hop, window=window, center=False, return_complex=True)
