"""The band statistics of a sound: how strong each mel band is while it sounds, and how much it varies.

A small denoiser settles these late and poorly, though they tell more of what a sound is than anything else of the same
size (after the marginal statistics of McDermott and Simoncelli, *Sound texture perception via statistics of the
auditory periphery*, Neuron 2011). They are measured for the label anchors, a prompt's own are sampled from those it is
most similar to, and every estimate of the sampler is matched to them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_server.engine.sampling.solvers import Denoise

AUDIBLE_NEPERS = 4.5
"""Frames softer than the loud ones by more than this do not count: they are the silence around a sound."""
MAX_STRETCH = 2.0
"""A band's variation is at most doubled or halved at once: an estimate from pure noise hardly varies yet."""
MIN_DEVIATION = 0.1


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """Mean and deviation per band of one sound, each float32 (n_mels, 1), in the unit of log-mels."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BandStatisticsDistribution:
    """The band statistics of several labels, and how recordings of one label differ."""

    centres: NDArray[np.float32]
    """Float32 (n_labels, 2 * n_mels): means, then deviations."""
    axes: NDArray[np.float32]
    """Float32 (n_axes, 2 * n_mels): principal differences of recordings of one label, each as long as one deviation."""

    def sample(self, weights: NDArray[np.floating], spread: float, seed: int) -> BandStatistics:
        """Return one recording's statistics, sampled around the labels' mean.

        The labels are weighted by `weights` (n_labels,), which sum to one.
        `spread` 0 gives that mean itself, 1 varies as recordings do.
        """
        z = np.random.default_rng([seed, 1]).standard_normal(len(self.axes))
        sampled = weights @ self.centres + spread * (z @ self.axes)
        mean, deviation = np.split(sampled.astype(np.float32)[:, None], 2)
        return BandStatistics(mean, np.maximum(deviation, MIN_DEVIATION))


def audibility(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weight of each frame: near 1 where it sounds, 0 in silence.

    It is (..., 1, frames) for a log-mel (..., n_mels, frames).
    """
    loudness = log_mel.mean(axis=-2, keepdims=True)
    loud = np.quantile(loudness, 0.95, axis=-1, keepdims=True)
    weight: NDArray[np.float32] = 1 / (1 + np.exp(np.clip(2 * (loud - AUDIBLE_NEPERS - loudness), -60, 60)))
    return weight


def compute_band_statistics(log_mel: NDArray[np.float32]) -> BandStatistics:
    """Return the statistics of a log-mel (..., n_mels, frames); both parts are (..., n_mels, 1)."""
    weights = audibility(log_mel)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    mean = (weights * log_mel).sum(axis=-1, keepdims=True)
    return BandStatistics(mean, np.sqrt((weights * (log_mel - mean) ** 2).sum(axis=-1, keepdims=True)))


def match_band_statistics(log_mel: NDArray[np.float32], target: BandStatistics) -> NDArray[np.float32]:
    """Return a log-mel whose audible frames have the `target` statistics; silence stays silence.

    Both log-mels are float32 (..., n_mels, frames).
    """
    own = compute_band_statistics(log_mel)
    stretch = np.clip(target.deviation / np.maximum(own.deviation, MIN_DEVIATION / 2), 1 / MAX_STRETCH, MAX_STRETCH)
    moved = target.mean + stretch * (log_mel - own.mean)
    matched: NDArray[np.float32] = (log_mel + audibility(log_mel) * (moved - log_mel)).astype(np.float32)
    return matched


def with_band_statistics(
    denoise: Denoise,
    target: BandStatistics,
    mel_mean: NDArray[np.float32],
    mel_std: NDArray[np.float32],
    share: float = 1.0,
) -> Denoise:
    """Return a denoiser whose estimates have the `target` statistics, or are moved a `share` of the way there.

    It works on log-mels that are normalised by `mel_mean` and `mel_std`, (n_mels, 1) each.
    """

    def denoise_and_match(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        estimate = denoise(x, sigma)
        matched: NDArray[np.float32] = (
            match_band_statistics(estimate * mel_std + mel_mean, target) - mel_mean
        ) / mel_std
        return matched if share == 1 else estimate + np.float32(share) * (matched - estimate)

    return denoise_and_match
