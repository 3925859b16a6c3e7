"""Fine structure of log-mels: what distinguishes rain from a smooth hiss of the same colour."""

import numpy as np

LOWEST_BAND = 40
"""Of 128. Below it single harmonics are bands apart, and are no grain."""
NEIGHBOURHOOD = 5
"""Bands, and frames, over which a local mean is taken."""
FLOOR = -9.0
"""Log-mel below which nothing is heard: silence has no grain."""
WINDOW = 64
"""Frames of a window of the modulation spectrum: 0.74 s."""
BANDS_PER_GROUP = 8
LEAST_POWER = 1e-2
"""Power of modulations below which differences do not count."""


def grain(log_mel: np.ndarray) -> float:
    """Return the deviation of a log-mel (n_mels, frames) from its local means above band 40, where it is no silence."""
    side = NEIGHBOURHOOD // 2
    padded = np.pad(log_mel.astype(np.float64), side, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    means = windows.mean(axis=(2, 3))
    low = len(log_mel) * LOWEST_BAND // 128
    heard = means[low:] > FLOOR
    difference = (log_mel - means)[low:][heard]
    return float(np.sqrt((difference**2).mean())) if heard.any() else 0.0


def modulation_spectrum(log_mel: np.ndarray) -> np.ndarray:
    """Return the logarithm of the power of each band's changes in time: (groups of bands, modulation frequencies).

    A log-mel (n_mels, frames) shorter than a window is repeated.
    """
    frames = log_mel.shape[1]
    whole = np.tile(log_mel, -(-WINDOW // frames)) if frames < WINDOW else log_mel
    windows = np.lib.stride_tricks.sliding_window_view(np.maximum(whole, FLOOR), WINDOW, axis=1)[:, :: WINDOW // 2]
    levelled = (windows - windows.mean(axis=2, keepdims=True)) * np.hanning(WINDOW)
    power = (np.abs(np.fft.rfft(levelled)[..., 1:]) ** 2).mean(axis=1) / WINDOW
    groups = power[: len(power) // BANDS_PER_GROUP * BANDS_PER_GROUP]
    return np.log(groups.reshape(-1, BANDS_PER_GROUP, power.shape[1]).mean(axis=1) + LEAST_POWER)


def modulation_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of the modulation spectra of two log-mels (n_mels, frames), in nepers of power."""
    return float(np.abs(modulation_spectrum(first) - modulation_spectrum(second)).mean())
