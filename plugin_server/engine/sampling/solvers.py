"""Sampling in numpy: a schedule of noise levels, a guided denoiser, and a loop over both.

A level sigma means (1 - sigma) * clean + sigma * noise (rectified flow, Liu et al. 2023). `denoise(x, sigma)`
estimates the clean array; solvers know nothing else of the model.
"""

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Denoise = Callable[[NDArray[np.float32], float], NDArray[np.float32]]
OnStep = Callable[[int], None]


def flow_sigmas(n_steps: int, shift: float = 1.0) -> NDArray[np.float64]:
    """Noise levels from 1 down to 0, float64 (n_steps + 1,). `shift` above 1 spends more steps at high noise."""
    sigmas = np.linspace(1.0, 0.0, n_steps + 1)
    shifted: NDArray[np.float64] = shift * sigmas / (1 + (shift - 1) * sigmas)
    return shifted


def classifier_free_guidance(
    denoise_pair: Callable[[NDArray[np.float32], float], tuple[NDArray[np.float32], NDArray[np.float32]]],
    guidance: float,
) -> Denoise:
    """Classifier-free guidance (Ho and Salimans 2022).

    `denoise_pair` gives estimates with the prompt and without; 1 is the prompt alone, more follows it further.
    """

    def denoise(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        wanted, plain = denoise_pair(x, sigma)
        return plain + np.float32(guidance) * (wanted - plain)

    return denoise


def circular_shift(denoise: Denoise, frame_multiple: int, seed: int) -> Denoise:
    """A denoiser for loops: it hears the canvas from another place of the circle at every step, so that no place
    is an end, and the seam is closed by construction.

    The circle may have any number of frames; it is read on past its end to fill a multiple of `frame_multiple`.
    """
    rng = np.random.default_rng(seed)

    def denoise_circle(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        frames = x.shape[-1]
        canvas = -(-frames // frame_multiple) * frame_multiple
        start = int(rng.integers(frames))
        heard = np.take(x, range(start, start + canvas), axis=-1, mode="wrap")
        return np.roll(denoise(heard, sigma)[..., :frames], start, axis=-1)

    return denoise_circle


def channel_noise(shape: tuple[int, ...], stereo: float, seed: int) -> NDArray[np.float32]:
    """Unit noise, float32: (1, *shape) for `stereo` 0, else (2, *shape) whose channels correlate by 1 - `stereo`."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((1, *shape), np.float32)
    if stereo == 0:
        return shared
    own = rng.standard_normal((2, *shape), np.float32)
    return np.float32((1 - stereo) ** 0.5) * shared + np.float32(stereo**0.5) * own


def sample_euler(
    denoise: Denoise, noise: NDArray[np.float32], sigmas: NDArray[np.float64], on_step: OnStep
) -> NDArray[np.float32]:
    """First order: straight towards each estimate. `on_step(i)` is called after each step, counted from 1."""
    x = noise
    for i, (now, then) in enumerate(itertools.pairwise(sigmas)):
        ratio = np.float32(then / now)
        x = ratio * x + (1 - ratio) * denoise(x, float(now))
        on_step(i + 1)
    return x


def sample_dpmpp_2m(
    denoise: Denoise, noise: NDArray[np.float32], sigmas: NDArray[np.float64], on_step: OnStep
) -> NDArray[np.float32]:
    """DPM-Solver++(2M), second order with one call a step (Lu et al. 2022, algorithm 2).

    First order where the half logarithmic signal-to-noise ratio is infinite: at the first two steps and the last.
    """
    x, before, step_before = noise, None, 0.0
    for i, (now, then) in enumerate(itertools.pairwise(sigmas)):
        clean = denoise(x, float(now))
        step = _half_log_snr(then) - _half_log_snr(now)
        estimate = clean
        if before is not None and np.isfinite(step) and np.isfinite(step_before):
            estimate = clean + np.float32(step / step_before / 2) * (clean - before)
        ratio = np.float32(then / now)
        x = ratio * x + np.float32(1 - then - ratio * (1 - now)) * estimate
        before, step_before = clean, step
        on_step(i + 1)
    return x


def _half_log_snr(sigma: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log1p(-sigma) - np.log(sigma))


SOLVERS = {"euler": sample_euler, "dpmpp_2m": sample_dpmpp_2m}
