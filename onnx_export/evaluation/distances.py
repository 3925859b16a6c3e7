"""Distances between sets of sounds, and confidence intervals of what is measured on few of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_COMPONENTS = 64
"""Principal components that Fréchet distances are taken in: a few hundred windows cannot fill more dimensions."""
N_RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """A mean, its 95 % interval, and the number of sounds behind it."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return the text of a table's cell, as in '0.50 (0.42 to 0.58)'."""
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def bootstrap_mean(values: Sequence[float] | np.ndarray) -> ConfidenceInterval:
    """Return the mean of some numbers with its percentile bootstrap interval (Efron 1979).

    Raises:
        ValueError: When there are no values.
    """
    x = np.asarray(values, np.float64)
    if not len(x):
        raise ValueError("values: got none, expected one or more")
    draws = np.random.default_rng(0).integers(0, len(x), (N_RESAMPLES, len(x)))
    low, high = np.percentile(x[draws].mean(axis=1), [2.5, 97.5])
    return ConfidenceInterval(float(x.mean()), float(low), float(high), len(x))


@dataclass(frozen=True, slots=True)
class PrincipalComponents:
    """The directions in which sounds differ most."""

    mean: np.ndarray
    """(m,), the mean of the rows that were fitted."""
    axes: np.ndarray
    """(m, N_COMPONENTS), orthonormal, the direction of largest variance first."""

    @classmethod
    def fit(cls, rows: np.ndarray) -> "PrincipalComponents":
        """Fit the components to rows (n, m); fewer than `N_COMPONENTS` where n or m is smaller."""
        mean = rows.mean(axis=0)
        _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
        return cls(mean, axes[:N_COMPONENTS].T)

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return the coordinates (n, N_COMPONENTS) of rows (n, m)."""
        return (rows - self.mean) @ self.axes


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Fréchet distance of Gaussians fitted to rows (n, d) and (m, d), as in FAD (Kilgour et al. 2019)."""
    (mean_a, cov_a), (mean_b, cov_b) = ((rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in (a, b))
    # The trace of a matrix's root is the sum of its eigenvalues' roots; the product of covariances has none below 0.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0))
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())


def frechet_audio_distance(
    clips: Sequence[np.ndarray], references: Sequence[np.ndarray], n_resamples: int = 20
) -> ConfidenceInterval:
    """Return the Fréchet distance between the windows of two sets of clips, with its interval.

    Whole clips are drawn again for the interval. Sets drawn with repeats lie further apart than the sets themselves
    do, so the interval is centred on the value.

    Args:
        clips: The windows (n, d) of each clip that is measured.
        references: The windows (m, d) of each recording that it is compared with.
        n_resamples: How often both sets are drawn again.
    """
    rng, value = np.random.default_rng(0), frechet_distance(np.concatenate(clips), np.concatenate(references))
    distances = []
    for _ in range(n_resamples):
        sets = [[part[i] for i in rng.integers(0, len(part), len(part))] for part in (clips, references)]
        distances.append(frechet_distance(*(np.concatenate(part) for part in sets)))
    margin = 1.96 * float(np.std(distances))
    return ConfidenceInterval(value, max(0.0, value - margin), value + margin, len(clips))


def nearest_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance (n,) of each row (n, d) to the nearest of the others (m, d)."""
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * rows @ others.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0))


def mean_pairwise_distances(groups: Sequence[np.ndarray]) -> list[float]:
    """Return the mean distance between the rows (n, d) of each group that has two or more."""
    return [
        float(np.mean([np.linalg.norm(a - b) for k, a in enumerate(rows) for b in rows[:k]]))
        for rows in groups
        if len(rows) > 1
    ]
