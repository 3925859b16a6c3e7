"""How videos are cut into clips: settings alone, which need nothing that reads videos."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cutting:
    """Settings of how videos are cut into clips."""

    clip_s: float = 10.0
    """Longest clip; longer videos are cut into several."""
    n_frames: int = 8
    """Frames taken of a whole clip, evenly spaced."""
    least_s: float = 2.0
    """Shortest clip."""
    longest_s: float = 600.0
    """Longest part of a video that is read."""
