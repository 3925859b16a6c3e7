"""The finishing of raw model output: length, sample rate, loudness and fades. Pure functions from clip to clip."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

from plugin_server.audio.clip import Clip

SILENCE_LUFS = -70.0
"""BS.1770's absolute gate: nothing quieter counts."""
OVERSAMPLING = 4
"""Of the true-peak meter."""
PEAK_MARGIN_DB = 0.05
"""Headroom under the peak: rounding to 24 bits, or another meter's filter, must not reach it."""


@dataclass(frozen=True, slots=True)
class FinishSettings:
    """The settings with which every clip is finished."""

    sample_rate: int = 48000
    """Hertz."""
    loudness_lufs: float = -18.0
    """Target of the integrated loudness."""
    peak_db: float = -1.0
    """True peak that is not reached, dBTP."""
    fade_in_s: float = 0.003
    fade_out_s: float = 0.012


def finish(clip: Clip, seconds: float, settings: FinishSettings) -> Clip:
    """Return a clip of exactly `seconds` at the host's rate, without DC, with faded ends, at its loudness."""
    n_frames = round(seconds * settings.sample_rate)
    fitted = fit(resample(remove_dc(clip), settings.sample_rate), n_frames)
    faded = fade(fitted, settings.fade_in_s, settings.fade_out_s)
    # Loudness last: neither a fade nor a resampler can lift a peak again.
    return set_loudness(faded, settings.loudness_lufs, settings.peak_db)


def finish_loop(clip: Clip, seconds: float, settings: FinishSettings) -> Clip:
    """FinishSettings a clip whose end flows into its start: like `finish`, but nothing is cut or faded.

    The length is reached by a change of speed of a few thousandths.
    """
    resampled = resample_loop(remove_dc(clip), settings.sample_rate, seconds)
    return set_loudness(resampled, settings.loudness_lufs, settings.peak_db)


def resample_loop(clip: Clip, sample_rate: int, seconds: float) -> Clip:
    """Return exactly `seconds` at `sample_rate`, resampled as a periodic signal: by its Fourier series."""
    n_frames = max(1, round(seconds * sample_rate))
    spectrum = np.fft.rfft(clip.samples, axis=0)
    n_bins = min(len(spectrum), n_frames // 2 + 1)
    # Cut just below the lower of both Nyquist frequencies, where a lone bin would have no partner.
    spectrum = np.pad(spectrum[: n_bins - 1], ((0, n_frames // 2 + 2 - n_bins), (0, 0)))
    samples = np.fft.irfft(spectrum, n_frames, axis=0) * (n_frames / clip.n_frames)
    return Clip(samples.astype(np.float32), sample_rate)


def remove_dc(clip: Clip) -> Clip:
    """Subtract each channel's mean from it."""
    if not clip.n_frames:
        return clip
    mean = clip.samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Clip(clip.samples - mean, clip.sample_rate)


def resample(clip: Clip, sample_rate: int) -> Clip:
    """Resample to another rate by soxr's high quality; the same clip where it has that rate already."""
    if clip.sample_rate == sample_rate:
        return clip
    return Clip(soxr.resample(clip.samples, clip.sample_rate, sample_rate, quality="HQ"), sample_rate)


def fit(clip: Clip, n_frames: int) -> Clip:
    """Return a clip of exactly `n_frames`: cut, or silence added, at the end."""
    missing = max(0, n_frames - clip.n_frames)
    return Clip(np.pad(clip.samples[:n_frames], ((0, missing), (0, 0))), clip.sample_rate)


def fade(clip: Clip, in_s: float, out_s: float) -> Clip:
    """Apply raised-cosine fades whose first and last samples are exactly zero; 0 s leaves an end as it is.

    Each takes a quarter of the clip at most, and one sample at least.
    """
    samples = clip.samples.copy()
    for seconds, part in ((in_s, samples), (out_s, samples[::-1])):
        n = min(max(1, min(round(seconds * clip.sample_rate), clip.n_frames // 4)), clip.n_frames)
        if seconds > 0 and n > 0:
            part[:n] *= (0.5 - 0.5 * np.cos(np.pi * np.arange(n) / n)).astype(np.float32)[:, None]
    return Clip(samples, clip.sample_rate)


def set_loudness(clip: Clip, lufs: float, peak_db: float) -> Clip:
    """Apply the gain that brings a clip to `lufs`, or to a true peak just under `peak_db` where that comes first.

    One gain for the whole clip: a limiter would change the sound. So a clip of few peaks ends up quieter than
    `lufs`. Silence stays silence, and what is too quiet to measure is never raised.
    """
    peak = true_peak_db(clip)
    if peak == -np.inf:
        return clip
    loudness = loudness_lufs(clip)
    gain_db = lufs - loudness if loudness > SILENCE_LUFS else 0.0
    gain = np.float32(10 ** (min(gain_db, peak_db - PEAK_MARGIN_DB - peak) / 20))
    return Clip(clip.samples * gain, clip.sample_rate)


def true_peak_db(clip: Clip) -> float:
    """Return the highest level, between the samples too, in dBTP; -inf for silence.

    By fourfold oversampling (ITU-R BS.1770-4, annex 2).
    """
    if not clip.samples.any():
        return -np.inf
    over = soxr.resample(clip.samples, clip.sample_rate, OVERSAMPLING * clip.sample_rate, quality="MQ")
    peak = max(float(bound) for part in (over, clip.samples) for bound in (part.max(), -part.min()))
    return 20 * float(np.log10(peak))


def loudness_lufs(clip: Clip) -> float:
    """Return the integrated loudness of ITU-R BS.1770-4 in LUFS; -inf for silence.

    K-weighting, blocks of 400 ms every 100 ms, two gates. A clip shorter than a block is measured as one block.
    """
    weighted = _k_weighted(clip)
    hop = round(0.1 * clip.sample_rate)
    n_hops = weighted.shape[0] // hop
    if n_hops < 4:
        return _lufs(float(np.sum(weighted**2)) / max(1, clip.n_frames))
    power = (weighted[: n_hops * hop].reshape(n_hops, hop, -1) ** 2).mean(axis=1).sum(axis=1)
    blocks = np.convolve(power, np.full(4, 0.25), "valid")
    audible = blocks[blocks > _power(SILENCE_LUFS)]
    if not len(audible):
        return -np.inf
    return _lufs(audible[audible > audible.mean() / 10].mean())


def _lufs(power: float) -> float:
    return -0.691 + 10 * float(np.log10(power)) if power > 0 else -np.inf


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)


def _k_weighted(clip: Clip) -> NDArray[np.float32]:
    """Return the samples through the K-weighting filter, float32 (frames, channels), by their spectrum.

    The filter's memory is a few hundredths of a second; half a second of padding keeps its tail from the start.
    """
    n = fast_length(clip.n_frames + clip.sample_rate // 2)
    response = _k_response(n, clip.sample_rate)
    # numpy 2.4 takes 12.0 ms for 512,000 float32 with the default scale and 3.3 ms with this one.
    spectrum = np.fft.rfft(clip.samples, n, axis=0, norm="ortho") * response[:, None]
    return np.fft.irfft(spectrum, n, axis=0, norm="ortho")[: clip.n_frames].astype(np.float32, copy=False)


def fast_length(n: int) -> int:
    """Return the next length with no prime factor above 5, for which Fourier transforms are fast."""
    best = 1 << (n - 1).bit_length()
    for threes in (1, 3, 9, 27):
        for fives in (1, 5, 25, 125):
            odd = threes * fives
            best = min(best, odd << max(0, (-(-n // odd) - 1).bit_length()))
    return best


@lru_cache(maxsize=4)
def _k_response(n: int, sample_rate: int) -> NDArray[np.complex64]:
    """Return the response of both K-weighting stages at the bins of `n` samples' transform, complex64 (n // 2 + 1,)."""
    z = np.exp(-2j * np.pi * np.arange(n // 2 + 1) / n)
    shelf, high_pass = k_weighting(sample_rate)
    stages = [np.polyval(b[::-1], z) / np.polyval(a[::-1], z) for b, a in (shelf, high_pass)]
    response = (stages[0] * stages[1]).astype(np.complex64)
    response.setflags(write=False)
    return response


Coefficients = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The coefficients of a second-order filter: (b, a), three numbers each."""


def k_weighting(sample_rate: int) -> tuple[Coefficients, Coefficients]:
    """Return the coefficients (b, a) of the high shelf and the high pass at any sample rate.

    The analogue prototypes are those whose bilinear transform at 48 kHz gives BS.1770's table (De Man 2014).
    """
    k, q, gain = (
        np.tan(np.pi * 1681.9744509555319 / sample_rate),
        0.7071752369554193,
        10 ** (3.99984385397 / 20),
    )
    root = gain**0.499666774155
    a0 = 1 + k / q + k * k
    shelf_b = np.array([gain + root * k / q + k * k, 2 * (k * k - gain), gain - root * k / q + k * k]) / a0
    shelf_a = np.array([a0, 2 * (k * k - 1), 1 - k / q + k * k]) / a0
    k, q = np.tan(np.pi * 38.13547087613982 / sample_rate), 0.5003270373253953
    a0 = 1 + k / q + k * k
    pass_a = np.array([a0, 2 * (k * k - 1), 1 - k / q + k * k]) / a0
    return (shelf_b, shelf_a), (np.array([1.0, -2.0, 1.0]), pass_a)
