"""Sampling of a diffusion prior in numpy: from an embedding of words to one of a picture (Ramesh et al. 2022)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plugin_server.engine.bundles.card import PriorSpec

Predict = Callable[[NDArray[np.float32], float], NDArray[np.float32]]
"""From the noised embedding (1, size) and the level of noise to the clean one."""


def alphas_cumprod(levels: int) -> NDArray[np.float64]:
    """Share of the signal's power that is left at each level, float64 (levels,): the cosine schedule (Nichol and
    Dhariwal 2021), whose steps take away 0.999 at most."""
    places = np.arange(levels + 1) / levels
    cosine = np.cos((places + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - cosine[1:] / cosine[:-1], 0.999))


def noise_levels(levels: int, steps: int) -> NDArray[np.intp]:
    """The levels of the steps, int (steps,), evenly from the highest down to 0; one step is at the highest."""
    if steps == 1:
        return np.array([levels - 1])
    return (np.arange(steps) * ((levels - 1) / (steps - 1))).round()[::-1].astype(int)


def sample_prior(predict: Predict, spec: PriorSpec, size: int, seed: int) -> NDArray[np.float32]:
    """An embedding, float32 (1, size) of unit length, drawn from the prior by ancestral sampling (Ho et al. 2020)."""
    # Apart from the noise that the clip itself begins with.
    rng = np.random.default_rng([seed, 2])
    kept = alphas_cumprod(spec.levels)
    levels = noise_levels(spec.levels, spec.steps)
    bound = spec.clip or np.inf
    x: NDArray[np.floating] = rng.standard_normal((1, size))
    for level, then in zip(levels, [*levels[1:], None], strict=True):
        clean = np.clip(predict(x.astype(np.float32), float(level)), -bound, bound)
        x = clean if then is None else _towards(clean, x, kept[level], kept[then], rng)
    mean = np.array(spec.mean or 0.0)
    std = np.array(spec.std or 1.0)
    found = x * std + mean
    unit: NDArray[np.float32] = (found / np.linalg.norm(found)).astype(np.float32)
    return unit


def _towards(
    clean: NDArray[np.float32], x: NDArray[np.floating], now: float, then: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The posterior of the less noised embedding, `now` and `then` being the signal kept before and after."""
    step = now / then
    of_clean = np.sqrt(then) * (1 - step) / (1 - now)
    of_noised = np.sqrt(step) * (1 - then) / (1 - now)
    spread = np.sqrt((1 - then) / (1 - now) * (1 - step))
    less: NDArray[np.float64] = of_clean * clean + of_noised * x + spread * rng.standard_normal(x.shape)
    return less


def slerp(a: NDArray[np.float32], b: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """The unit vector (1, size) at `share` of the way on the great circle from `a` to `b`."""
    angle = np.arccos(np.clip((a * b).sum(), -1, 1))
    if angle < 1e-4 or angle > np.pi - 1e-3:
        # Nearly the same, or opposite, where no way is the shortest.
        return a if share < 0.5 else b
    parts = np.sin((1 - share) * angle) * a + np.sin(share * angle) * b
    unit: NDArray[np.float32] = (parts / np.sin(angle)).astype(np.float32)
    return unit
