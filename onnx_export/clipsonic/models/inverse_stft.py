"""The inverse STFT of `plugin_server.audio.spectral`: differentiable, and as matrix products for graphs."""

import torch
from torch import nn
from torch.nn import functional

from plugin_server.audio.spectral import MelSettings, hann_window


def inverse_stft(spectrum: torch.Tensor, mel: MelSettings) -> torch.Tensor:
    """Return the samples (batch, frames * hop) of a spectrum (batch, 2, n_bins, frames).

    It is `plugin_server.audio.spectral.istft`, differentiable.
    """
    window = torch.from_numpy(hann_window(mel.n_fft).copy()).to(spectrum.device)
    frames = torch.fft.irfft(torch.complex(spectrum[:, 0], spectrum[:, 1]).transpose(1, 2), n=mel.n_fft)
    return overlap_add(frames * window, window**2, mel)


def overlap_add(frames: torch.Tensor, weights: torch.Tensor, mel: MelSettings) -> torch.Tensor:
    """Return samples (batch, n_frames * hop) of windowed frames (batch, n_frames, n_fft), divided by summed weights.

    Args:
        frames: The frames, each one hop later than the one before.
        weights: The window's square, (n_fft,).
        mel: The settings of both.
    """
    overlap = mel.n_fft // mel.hop
    total = _shifted_sum(frames.unflatten(2, (overlap, mel.hop)))
    # How often each part of the window lies on a row: all of them but at the ends.
    rows = _shifted_sum(torch.eye(overlap, device=frames.device).expand(1, frames.shape[1], overlap, overlap))
    weight = rows @ weights.reshape(overlap, mel.hop)
    side = (mel.n_fft - mel.hop) // 2
    return (total / weight.clamp_min(1e-8)).flatten(1)[:, side : side + frames.shape[1] * mel.hop]


def _shifted_sum(pieces: torch.Tensor) -> torch.Tensor:
    """Return the sum of frames cut in pieces, (batch, n_frames, overlap, size), each frame one piece later."""
    overlap = pieces.shape[2]
    shifted = [functional.pad(pieces[:, :, k], (0, 0, k, overlap - 1 - k)) for k in range(overlap)]
    return torch.stack(shifted).sum(dim=0)


class InverseSTFT(nn.Module):
    """The inverse STFT as four matrix products, for graphs: onnxruntime has no inverse real FFT.

    Cosines and sines repeat themselves: bins of even and of odd number each give a quarter of a frame, whose sums and
    differences are the four quarters. So a quarter of the products of a whole inverse DFT is enough. The matrices are
    computed by the graph when it is opened: its file stays small.
    """

    bins: torch.Tensor
    window: torch.Tensor

    def __init__(self, mel: MelSettings):
        """Prepare for `n_fft` samples in a frame, a multiple of four."""
        super().__init__()
        self.mel = mel
        self.register_buffer("bins", torch.arange(mel.n_bins), persistent=False)
        self.register_buffer("window", torch.from_numpy(hann_window(mel.n_fft).copy()), persistent=False)

    def forward(self, real: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
        """Return samples (batch, frames * hop) of the parts of a spectrum, (batch, frames, n_bins) each."""
        n_fft = self.mel.n_fft
        angles = (self.bins[:, None] * self.bins[None, : n_fft // 4 + 1] % n_fft).float() * (2 * torch.pi / n_fft)
        # Bins between the first and the last stand for two.
        scale = (1 + (self.bins % (n_fft // 2) > 0).float())[:, None] / n_fft
        cosines, sines = torch.cos(angles) * scale, torch.sin(angles) * scale
        even, odd = real[..., 0::2] @ cosines[0::2], real[..., 1::2] @ cosines[1::2]
        even_sines, odd_sines = imaginary[..., 0::2] @ sines[0::2], imaginary[..., 1::2] @ sines[1::2]
        outer, inner = even + odd, even - odd
        outer_sines, inner_sines = even_sines + odd_sines, even_sines - odd_sines
        quarters = [
            outer - outer_sines,
            torch.flip((inner + inner_sines)[..., :-1], [2]),
            (inner - inner_sines)[..., 1:],
            torch.flip((outer + outer_sines)[..., 1:-1], [2]),
        ]
        return overlap_add(torch.cat(quarters, dim=2) * self.window, self.window**2, self.mel)
