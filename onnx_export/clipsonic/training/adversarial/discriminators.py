"""Discriminators of sound: by periods (HiFi-GAN, Kong et al. 2020) and by bands of complex spectrograms (DAC)."""

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (2048, 1024, 512)
"""Lengths of the windows of the spectrograms; hops are a quarter."""
BANDS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Edges of the bands as shares of the spectrum: each has convolutions of its own, so that highs are judged as lows are
(Kumar et al. 2023)."""
SLOPE = 0.1
"""Slope of the leaky rectifiers below 0."""


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    """Return the same numbers with the channels of a place side by side, as tensor cores read them."""
    return x.contiguous(memory_format=torch.channels_last)


class PeriodDiscriminator(nn.Module):
    """Scores samples that lie one period apart, each phase of the period as a row of its own."""

    def __init__(self, period: int, channels: int):
        super().__init__()
        self.period = period
        widths = (1, channels, 4 * channels, 16 * channels, 16 * channels, 16 * channels)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (3 if i < 4 else 1, 1), padding=(2, 0)))
            for i, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every layer for samples (batch, n), the score last."""
        whole = functional.pad(samples[:, None], (0, -samples.shape[1] % self.period), mode="reflect")
        x = whole.unflatten(-1, (-1, self.period))
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(_channels_last(x)), SLOPE)
            features.append(x)
        return [*features, self.score(x)]


class SpectrogramDiscriminator(nn.Module):
    """Scores the complex spectrogram at one resolution, band by band."""

    window: torch.Tensor

    def __init__(self, n_fft: int, channels: int):
        super().__init__()
        self.n_fft = n_fft
        self.edges = [round(edge * (n_fft // 2 + 1)) for edge in BANDS]
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.bands = nn.ModuleList(self._band(channels) for _ in BANDS[1:])
        self.score = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    @staticmethod
    def _band(channels: int) -> nn.ModuleList:
        """Return convolutions over (batch, 2, frames, bins), which halve the bins three times."""
        shapes = [
            (2, (3, 9), 1),
            (channels, (3, 9), 2),
            (channels, (3, 9), 2),
            (channels, (3, 9), 2),
            (channels, (3, 3), 1),
        ]
        return nn.ModuleList(
            weight_norm(nn.Conv2d(before, channels, kernel, (1, stride), padding=(1, kernel[1] // 2)))
            for before, kernel, stride in shapes
        )

    def forward(self, samples: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every layer and band for samples (batch, n), the score last."""
        with torch.autocast(samples.device.type, enabled=False):
            spectrum = torch.stft(samples.float(), self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
            # A compressed magnitude with the phase kept: quiet bins count, and so do phase errors.
            parts = torch.view_as_real(spectrum)
            power = (parts**2).sum(dim=-1, keepdim=True)
            x = (parts * (power + 1e-9) ** -0.25).permute(0, 3, 2, 1)
        features, tops = [], []
        for i, layers in enumerate(self.bands):
            band = x[..., self.edges[i] : self.edges[i + 1]]
            stack: Iterable[nn.Module] = layers.children()
            for layer in stack:
                band = functional.leaky_relu(layer(_channels_last(band)), SLOPE)
                features.append(band)
            tops.append(band)
        return [*features, self.score(torch.cat(tops, dim=-1))]


class Discriminators(nn.Module):
    """All discriminators: a smaller one a period, and one a resolution."""

    def __init__(self, period_channels: int, spectrogram_channels: int):
        """Build them; the layers of a period have up to sixteen times `period_channels`, HiFi-GAN's up to 1024."""
        super().__init__()
        periods = [PeriodDiscriminator(period, period_channels) for period in PERIODS]
        spectrograms = [SpectrogramDiscriminator(n_fft, spectrogram_channels) for n_fft in RESOLUTIONS]
        self.each = nn.ModuleList([*periods, *spectrograms])

    def forward(self, samples: torch.Tensor) -> list[list[torch.Tensor]]:
        """Return the features and the score of each for samples (batch, n)."""
        return [discriminator(samples) for discriminator in self.each]


Judgement = Sequence[Sequence[torch.Tensor]]
"""Of each discriminator the features of its layers, and last its scores."""


def discriminator_loss(real: Judgement, output: Judgement) -> torch.Tensor:
    """Return the hinge loss of the discriminators, from their features of real sound and of the vocoder's."""
    losses = [
        functional.relu(1 - r[-1].float()).mean() + functional.relu(1 + o[-1].float()).mean()
        for r, o in zip(real, output, strict=True)
    ]
    return torch.stack(losses).sum()


def adversarial_loss(output: Judgement) -> torch.Tensor:
    """Return the hinge loss of the vocoder: how far its sound is from being scored as real."""
    return torch.stack([functional.relu(1 - o[-1].float()).mean() for o in output]).sum()


def feature_loss(real: Judgement, output: Judgement) -> torch.Tensor:
    """Return the distance of the features that the discriminators find in both, those of a layer relative to its size.

    Without that, what counts is which of their layers happen to have large numbers.
    """
    losses = []
    for r, o in zip(real, output, strict=True):
        layers = [
            (a.detach().float() - b.float()).abs().mean() / a.detach().float().abs().mean().clamp_min(1e-4)
            for a, b in zip(r[:-1], o[:-1], strict=True)
        ]
        losses.append(torch.stack(layers).mean())
    return torch.stack(losses).sum()
