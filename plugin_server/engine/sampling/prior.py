"""Sampling of a diffusion prior in numpy: from an embedding of words to one of a picture (Ramesh et al. 2022)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plugin_server.engine.bundles.card import PriorSpec

Predict = Callable[[NDArray[np.float32], float], NDArray[np.float32]]
"""Maps the noised embedding (1, size) and the timestep to the clean embedding."""


def alphas_cumprod(levels: int) -> NDArray[np.float64]:
    """Return the share of the signal's power that is left at each noise level, float64 (levels,).

    This is the cosine schedule (Nichol and Dhariwal 2021), whose steps take away 0.999 at most.
    """
    t = np.arange(levels + 1) / levels
    cosine = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - cosine[1:] / cosine[:-1], 0.999))


def timesteps(levels: int, steps: int) -> NDArray[np.intp]:
    """Return the noise level of each step, int (steps,), evenly from the highest down to 0.

    A single step is at the highest.
    """
    if steps == 1:
        return np.array([levels - 1])
    return (np.arange(steps) * ((levels - 1) / (steps - 1))).round()[::-1].astype(int)


def sample_prior(predict: Predict, spec: PriorSpec, size: int, seed: int) -> NDArray[np.float32]:
    """Return an embedding, float32 (1, size) of unit length, by ancestral sampling of the prior (Ho et al. 2020)."""
    # Independent of the noise that the clip itself begins with.
    rng = np.random.default_rng([seed, 2])
    alphas = alphas_cumprod(spec.levels)
    steps = timesteps(spec.levels, spec.steps)
    bound = spec.clip or np.inf
    x: NDArray[np.floating] = rng.standard_normal((1, size))
    for t, t_next in zip(steps, [*steps[1:], None], strict=True):
        clean = np.clip(predict(x.astype(np.float32), float(t)), -bound, bound)
        x = clean if t_next is None else _sample_posterior(clean, x, alphas[t], alphas[t_next], rng)
    mean = np.array(spec.mean or 0.0)
    std = np.array(spec.std or 1.0)
    embedding = x * std + mean
    unit: NDArray[np.float32] = (embedding / np.linalg.norm(embedding)).astype(np.float32)
    return unit


def _sample_posterior(
    clean: NDArray[np.float32], x: NDArray[np.floating], alpha: float, alpha_next: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a sample of the less noised embedding; `alpha` and `alpha_next` are `alphas_cumprod` before and after."""
    ratio = alpha / alpha_next
    clean_weight = np.sqrt(alpha_next) * (1 - ratio) / (1 - alpha)
    noised_weight = np.sqrt(ratio) * (1 - alpha_next) / (1 - alpha)
    std = np.sqrt((1 - alpha_next) / (1 - alpha) * (1 - ratio))
    sample: NDArray[np.float64] = clean_weight * clean + noised_weight * x + std * rng.standard_normal(x.shape)
    return sample


def slerp(a: NDArray[np.float32], b: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return the unit vector (1, size) at `share` of the way on the great circle from `a` to `b`."""
    angle = np.arccos(np.clip((a * b).sum(), -1, 1))
    if angle < 1e-4 or angle > np.pi - 1e-3:
        # Nearly the same, or opposite, where no way is the shortest.
        return a if share < 0.5 else b
    parts = np.sin((1 - share) * angle) * a + np.sin(share * angle) * b
    unit: NDArray[np.float32] = (parts / np.sin(angle)).astype(np.float32)
    return unit
