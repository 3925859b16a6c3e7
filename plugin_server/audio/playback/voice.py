"""The voice: one clip as the mixer plays it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RELEASE_S = 0.008
"""Fade of a stopped voice unless it says otherwise, and duration of a change of volume."""


@dataclass(eq=False, slots=True)
class Voice:
    """One clip that sounds, or waits for its frame. The mixer owns it once it was given to `Mixer.play`.

    Raises ValueError when samples, loop or rate make no voice.
    """

    samples: NDArray[np.float32]
    """Float32 (2, frames), at least one frame."""
    tags: tuple[str, ...] = ()
    """Name it for `Mixer.stop`."""
    gain: float = 1.0
    """Linear."""
    pan: float = 0.0
    """-1 left to 1 right at constant power; 0 plays both channels as they are."""
    rate: float = 1.0
    """Frames of the clip per frame of output, above 0."""
    loop: tuple[int, int] | None = None
    """First frame of the loop and the one after its last."""
    start_frame: int = 0
    """Frame of the mixer's clock at which it starts; one that has passed means at once."""
    choke: str = ""
    """Name of a choke group: a voice silences older ones of its group when it starts."""
    attack_s: float = 0.0
    release_s: float = RELEASE_S
    """Fade when it is stopped; one that is silenced by another fades in RELEASE_S at most."""
    position: float = 0.0
    """Frame of `samples` that comes next; the mixer's, as what follows."""
    level: float = 0.0
    """Of the envelope, 0 to 1."""
    level_step: float = 0.0
    """Change of the level in a frame; below 0 the voice fades out, and is done once the level is 0."""
    is_started: bool = False

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.shape[0] != 2 or not self.samples.shape[1]:
            raise ValueError(f"samples: got {self.samples.shape}, expected (2, frames) with a frame or more")
        if self.loop is not None and not 0 <= self.loop[0] < self.loop[1] <= self.samples.shape[1]:
            raise ValueError(f"loop: got {self.loop}, expected points inside {self.samples.shape[1]} frames")
        if not self.rate > 0:
            raise ValueError(f"rate: got {self.rate}, expected a number above 0")

    @property
    def is_fading(self) -> bool:
        """True once it was stopped, or silenced by another; from any thread."""
        return self.level_step < 0

    @property
    def is_done(self) -> bool:
        """True when it is not heard any more; from any thread."""
        return self.position == math.inf or (self.level_step < 0 and self.level <= 0.0)


def to_stereo(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32 (frames, channels) as (2, frames): mono on both sides, of more channels the first two."""
    channels: Sequence[int] = (0, 0) if samples.shape[1] == 1 else (0, 1)
    return np.ascontiguousarray(samples.T[list(channels)])
