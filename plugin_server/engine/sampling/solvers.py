"""Sampling in numpy: a schedule of noise levels, a guided denoiser, and a loop over both.

A level sigma means (1 - sigma) * clean + sigma * noise (rectified flow, Liu et al. 2023). `denoise(x, sigma)`
estimates the clean array; solvers know nothing else of the model.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Denoise = Callable[[NDArray[np.float32], float], NDArray[np.float32]]
"""Maps the noised array and its noise level to an estimate of the clean array."""
OnStep = Callable[[int], None]
"""Called after each step with its number, counted from 1."""


def flow_sigmas(n_steps: int, shift: float = 1.0) -> NDArray[np.float64]:
    """Return noise levels from 1 down to 0, float64 (n_steps + 1,). `shift` above 1 spends more steps at high noise."""
    sigmas = np.linspace(1.0, 0.0, n_steps + 1)
    shifted: NDArray[np.float64] = shift * sigmas / (1 + (shift - 1) * sigmas)
    return shifted


def listed_sigmas(n_steps: int, levels: Sequence[float]) -> NDArray[np.float64]:
    """Return noise levels from a list that falls from 1 to 0, float64 (n_steps + 1,): itself, or read between."""
    places = np.linspace(0, len(levels) - 1, n_steps + 1)
    read: NDArray[np.float64] = np.interp(places, np.arange(len(levels)), levels)
    return read


def classifier_free_guidance(
    denoise_pair: Callable[[NDArray[np.float32], float], tuple[NDArray[np.float32], NDArray[np.float32]]],
    guidance: float,
) -> Denoise:
    """Return a denoiser with classifier-free guidance (Ho and Salimans 2022).

    `denoise_pair` gives estimates with the prompt and without; 1 is the prompt alone, more follows it further.
    """

    def denoise(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        conditional, unconditional = denoise_pair(x, sigma)
        return unconditional + np.float32(guidance) * (conditional - unconditional)

    return denoise


def circular_shift(denoise: Denoise, frame_multiple: int, seed: int) -> Denoise:
    """Return a denoiser for loops, which sees the circle of frames shifted by another offset at every step.

    So no frame is an end, and the seam is closed by construction. The circle may have any number of frames; it is read
    on past its end to fill a multiple of `frame_multiple`.
    """
    rng = np.random.default_rng(seed)

    def denoise_circle(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        frames = x.shape[-1]
        canvas = -(-frames // frame_multiple) * frame_multiple
        start = int(rng.integers(frames))
        shifted = np.take(x, range(start, start + canvas), axis=-1, mode="wrap")
        return np.roll(denoise(shifted, sigma)[..., :frames], start, axis=-1)

    return denoise_circle


def channel_noise(shape: tuple[int, ...], stereo: float, seed: int) -> NDArray[np.float32]:
    """Return unit noise, float32 (1, *shape), or (2, *shape) where `stereo` is above 0.

    The two channels correlate by 1 - `stereo`.
    """
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((1, *shape), np.float32)
    if stereo == 0:
        return shared
    own = rng.standard_normal((2, *shape), np.float32)
    return np.float32((1 - stereo) ** 0.5) * shared + np.float32(stereo**0.5) * own


def sample_euler(
    denoise: Denoise, noise: NDArray[np.float32], sigmas: NDArray[np.float64], on_step: OnStep
) -> NDArray[np.float32]:
    """Sample with Euler's method, first order: straight towards each estimate."""
    x = noise
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(sigmas)):
        ratio = np.float32(sigma_next / sigma)
        x = ratio * x + (1 - ratio) * denoise(x, float(sigma))
        on_step(i + 1)
    return x


def sample_dpmpp_2m(
    denoise: Denoise, noise: NDArray[np.float32], sigmas: NDArray[np.float64], on_step: OnStep
) -> NDArray[np.float32]:
    """Sample with DPM-Solver++(2M), second order with one call a step (Lu et al. 2022, algorithm 2).

    First order where the half logarithmic signal-to-noise ratio is infinite: at the first two steps and the last.
    """
    x, previous, previous_step = noise, None, 0.0
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(sigmas)):
        clean = denoise(x, float(sigma))
        step = _half_log_snr(sigma_next) - _half_log_snr(sigma)
        estimate = clean
        if previous is not None and np.isfinite(step) and np.isfinite(previous_step):
            estimate = clean + np.float32(step / previous_step / 2) * (clean - previous)
        ratio = np.float32(sigma_next / sigma)
        x = ratio * x + np.float32(1 - sigma_next - ratio * (1 - sigma)) * estimate
        previous, previous_step = clean, step
        on_step(i + 1)
    return x


def _half_log_snr(sigma: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log1p(-sigma) - np.log(sigma))


SOLVERS = {"euler": sample_euler, "dpmpp_2m": sample_dpmpp_2m}
"""By the names that cards use, `SOLVER_NAMES`."""
