"""The clip: samples and their sample rate as one value."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLIP_ID_BITS = 24
"""Bits of a sample that fingerprints are made of."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound as a value: samples and their sample rate.

    Raises:
        ValueError: Samples or sample rate do not make a clip.
    """

    samples: NDArray[np.float32]
    """Float32 (frames, channels), C-contiguous, full scale at -1 and 1."""
    sample_rate: int
    """Hertz."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32 or not 1 <= self.samples.shape[1] <= 64:
            raise ValueError(
                f"samples: got {self.samples.dtype} {self.samples.shape}, expected float32 (frames, channels)"
            )
        if not self.samples.flags.c_contiguous:
            raise ValueError(f"samples: got strides {self.samples.strides}, expected a C-contiguous array")
        if not isinstance(self.sample_rate, int) or self.sample_rate <= 0:
            raise ValueError(f"sample_rate: got {self.sample_rate!r}, expected a whole number of Hertz above 0")

    @classmethod
    def mono(cls, samples: NDArray[np.floating], sample_rate: int) -> "Clip":
        """Return a clip of one channel from samples (frames,)."""
        return cls(np.ascontiguousarray(samples, np.float32)[:, None], sample_rate)

    @property
    def n_frames(self) -> int:
        """The number of samples in a channel."""
        return len(self.samples)

    @property
    def n_channels(self) -> int:
        """The number of channels: 1 for mono, 2 for stereo."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """The clip's length in seconds."""
        return self.n_frames / self.sample_rate

    def fingerprint(self, bits: int = CLIP_ID_BITS) -> str:
        """Return twelve hexadecimal digits of the sound at 24 bits: a 24-bit file of it has the same.

        With fewer `bits`, those of what a file of so many bits holds.
        """
        digest = hashlib.blake2s(f"{self.sample_rate} {self.n_channels}".encode(), digest_size=6)
        digest.update((to_integers(self.samples, bits) << (CLIP_ID_BITS - bits)).tobytes())
        return digest.hexdigest()


def finite(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float samples, as a file of floats has them, without NaN and infinities: silence and full scale."""
    if not np.isfinite(samples).all():
        return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return samples


def to_integers(samples: NDArray[np.floating], bits: int) -> NDArray[np.int32]:
    """Return float samples rounded to integers of `bits` bits.

    int32 of the same shape, clipped at full scale. 1.0 stands for 2 ** (bits - 1), as in libsndfile. Raises ValueError
    for other bits than 16 and 24.
    """
    if bits not in (16, 24):
        raise ValueError(f"bits: got {bits}, expected 16 or 24")
    scale = 2 ** (bits - 1)
    # float64: a float32 has 24 bits, and rounding in it would touch the last one.
    rounded = np.rint(samples.astype(np.float64) * scale)
    integers: NDArray[np.int32] = np.clip(rounded, -scale, scale - 1).astype(np.int32)
    return integers
