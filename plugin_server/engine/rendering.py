"""What a model makes of an order. Apart from the order, which the daemon reads and which imports nothing heavy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What a model makes of an order."""

    samples: NDArray[np.float32]
    """Float32 (frames, channels). For a loop whole frames of the model, nearest to the length; else at least it."""
    confidence: float = 1.0
    """0 to 1: how near the prompt lies to a sound that the model knows."""
    nearest: str = ""
    """That sound's name, empty where the bundle does not say."""
