"""What the engine is started with and asked for, and how it says how far it is. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ProgressCallback = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and the name of the stage."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine process is started with."""

    bundle_folders: tuple[Path, ...]
    device: str = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """One clip, every choice made."""

    prompt: str
    negative: str
    seconds: float
    seed: int
    steps: int
    guidance: float
    loop: bool = False
    """The end flows into the start."""
    stereo: float = 0.0
    """0 for one channel; above, two that share less of their noise the higher it is, up to 1."""
    images: tuple[str, ...] = ()
    """Absolute paths of pictures or videos."""
    frames: int = 1
    """Of each video: 1 is its first, more are spread over its length."""
    blend: float = 0.0
    """0 for the words alone, 1 for the pictures alone."""
    via: str = "text"
    """The way of the words, one of the card's."""
