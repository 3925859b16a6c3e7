"""What the engine is asked for, and how it says how far it is."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and the name of the stage."""


@dataclass(frozen=True, slots=True)
class TakeOrder:
    """One clip, every choice made."""

    prompt: str
    negative: str
    seconds: float
    seed: int
    steps: int
    guidance: float
