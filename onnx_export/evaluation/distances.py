"""Distances between sets of sounds, and intervals of what is measured on few of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_COMPONENTS = 64
"""Principal components that Fréchet distances are taken in: a few hundred windows cannot fill more dimensions."""
N_RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Value:
    """A mean, its 95 % interval, and the number of sounds behind it."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def mean_of(values: Sequence[float] | np.ndarray) -> Value:
    """Percentile bootstrap (Efron 1979) of a mean. Raises ValueError for no values."""
    x = np.asarray(values, np.float64)
    if not len(x):
        raise ValueError("values: got none, expected one or more")
    draws = np.random.default_rng(0).integers(0, len(x), (N_RESAMPLES, len(x)))
    low, high = np.percentile(x[draws].mean(axis=1), [2.5, 97.5])
    return Value(float(x.mean()), float(low), float(high), len(x))


@dataclass(frozen=True, slots=True)
class Components:
    """The directions in which sounds differ most."""

    mean: np.ndarray
    axes: np.ndarray
    """(m, N_COMPONENTS)."""

    @classmethod
    def measure(cls, rows: np.ndarray) -> "Components":
        """Of rows (n, m)."""
        mean = rows.mean(axis=0)
        _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
        return cls(mean, axes[:N_COMPONENTS].T)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(n, N_COMPONENTS)."""
        return (rows - self.mean) @ self.axes


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two Gaussians fitted to rows (n, d) and (m, d), as in FAD (Kilgour et al. 2019)."""
    (mean_a, cov_a), (mean_b, cov_b) = ((rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in (a, b))
    # The trace of a matrix's root is the sum of its eigenvalues' roots; the product of covariances has none below 0.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0))
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())


def frechet_of_clips(made: Sequence[np.ndarray], real: Sequence[np.ndarray], n_resamples: int = 20) -> Value:
    """Fréchet distance between the windows (n, d) of two sets of clips; whole clips are drawn again for the interval.

    Sets drawn with repeats lie further apart than the sets themselves do, so the interval is centred on the value.
    """
    rng, value = np.random.default_rng(0), frechet(np.concatenate(made), np.concatenate(real))
    drawn = []
    for _ in range(n_resamples):
        sets = [[part[i] for i in rng.integers(0, len(part), len(part))] for part in (made, real)]
        drawn.append(frechet(*(np.concatenate(part) for part in sets)))
    spread = 1.96 * float(np.std(drawn))
    return Value(value, max(0.0, value - spread), value + spread, len(made))


def nearest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance (n,) of each row (n, d) to the nearest of the others (m, d)."""
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * rows @ others.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0))


def spread(groups: Sequence[np.ndarray]) -> list[float]:
    """Mean distance between the rows (n, d) of each group that has two or more."""
    return [
        float(np.mean([np.linalg.norm(a - b) for k, a in enumerate(rows) for b in rows[:k]]))
        for rows in groups
        if len(rows) > 1
    ]
