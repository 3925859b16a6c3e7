"""The samples of a file as its header describes them, and the bounds within which it is believed."""

from dataclasses import dataclass
from pathlib import Path

from plugin_server.errors import BadFile

MAX_SAMPLES = 2**27
"""Samples of all channels of a file that is decoded: 23 minutes of stereo at 48 kHz, 512 MiB as float32."""
MAX_CHANNELS = 64
MIN_RATE, MAX_RATE = 1000, 768_000
"""Hertz."""
MAX_CHUNKS = 1000
"""Chunks or blocks of a file before the one that is looked for."""


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """The samples of a file, as its header describes them."""

    n_frames: int
    n_channels: int
    sample_rate: int
    """Hertz."""
    bits: int
    """Bits of a sample; 0 where it is no whole number."""

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.n_frames / self.sample_rate

    def checked(self, path: Path) -> "SampleFormat":
        """Return the same when a clip can have it. Raises BadFile that names the path."""
        if not 1 <= self.n_channels <= MAX_CHANNELS or not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise BadFile(f"{path}: {self.n_channels} channels at {self.sample_rate} Hz cannot be read")
        if self.n_frames < 0:
            raise BadFile(f"{path}: its header names {self.n_frames} samples")
        return self

    def check_size(self, path: Path) -> None:
        """Raise BadFile that names the path where there are more samples than are decoded."""
        n_samples = self.n_frames * self.n_channels
        if n_samples > MAX_SAMPLES:
            raise BadFile(f"{path}: too long: it has {n_samples} samples, expected at most {MAX_SAMPLES}")
