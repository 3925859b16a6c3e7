"""The colour of a sound: how strong each mel band is while it sounds, and how much it varies.

A small denoiser settles these late and poorly, though they tell more of what a sound is than anything else of the same
size (after the marginal statistics of McDermott and Simoncelli, *Sound texture perception via statistics of the
auditory periphery*, Neuron 2011). They are measured of the known sounds, a prompt's own are drawn from those it is most
like, and every estimate of the sampler is moved to them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_server.engine.sampling.solvers import Denoise

AUDIBLE_NEPERS = 4.5
"""Frames softer than the loud ones by more than this have no colour: they are the silence around a sound."""
MOST_STRETCH = 2.0
"""A band's variation is at most doubled or halved at once: an estimate from pure noise hardly varies yet."""
LEAST_DEVIATION = 0.1


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """Of one sound, each float32 (n_mels, 1), in the unit of log-mels."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BandStatisticsDistribution:
    """Of many sounds."""

    usual: NDArray[np.float32]
    """Float32 (n_sounds, 2 * n_mels): means, then deviations."""
    axes: NDArray[np.float32]
    """Float32 (n_axes, 2 * n_mels): how recordings of one sound differ, each as long as one deviation."""

    def draw(self, weights: NDArray[np.floating], spread: float, seed: int) -> BandStatistics:
        """One recording's colour from those of the sounds weighted by `weights` (n_sounds,), which sum to one.

        `spread` 0 is the usual colour, 1 varies as recordings do.
        """
        z = np.random.default_rng([seed, 1]).standard_normal(len(self.axes))
        drawn = weights @ self.usual + spread * (z @ self.axes)
        mean, deviation = np.split(drawn.astype(np.float32)[:, None], 2)
        return BandStatistics(mean, np.maximum(deviation, LEAST_DEVIATION))


def audible(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weight of each frame, (..., 1, frames) for (..., n_mels, frames): near 1 where it sounds, 0 in silence."""
    loudness = log_mel.mean(axis=-2, keepdims=True)
    loud = np.quantile(loudness, 0.95, axis=-1, keepdims=True)
    weight: NDArray[np.float32] = 1 / (1 + np.exp(np.clip(2 * (loud - AUDIBLE_NEPERS - loudness), -60, 60)))
    return weight


def measure_colour(log_mel: NDArray[np.float32]) -> BandStatistics:
    """Of a log-mel (..., n_mels, frames); both parts are (..., n_mels, 1)."""
    weights = audible(log_mel)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    mean = (weights * log_mel).sum(axis=-1, keepdims=True)
    return BandStatistics(mean, np.sqrt((weights * (log_mel - mean) ** 2).sum(axis=-1, keepdims=True)))


def tint(log_mel: NDArray[np.float32], colour: BandStatistics) -> NDArray[np.float32]:
    """`log_mel` (..., n_mels, frames) with its audible frames moved to `colour`; silence stays silence."""
    own = measure_colour(log_mel)
    stretch = np.clip(colour.deviation / np.maximum(own.deviation, LEAST_DEVIATION / 2), 1 / MOST_STRETCH, MOST_STRETCH)
    moved = colour.mean + stretch * (log_mel - own.mean)
    tinted: NDArray[np.float32] = (log_mel + audible(log_mel) * (moved - log_mel)).astype(np.float32)
    return tinted


def tinted(
    denoise: Denoise, colour: BandStatistics, mel_mean: NDArray[np.float32], mel_std: NDArray[np.float32]
) -> Denoise:
    """A denoiser whose estimates have the colour; it works on log-mels normalised by (n_mels, 1)."""

    def denoise_tinted(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        normal: NDArray[np.float32] = (tint(denoise(x, sigma) * mel_std + mel_mean, colour) - mel_mean) / mel_std
        return normal

    return denoise_tinted
