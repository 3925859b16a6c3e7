"""An output without a device: its mixer is rendered by whoever tests."""

import numpy as np

from plugin_server.audio.mixer import Mixer


class HandOutput:
    """Stands where PortAudio's stream does."""

    def __init__(self, name: str = "", sample_rate: int = 48000) -> None:
        self.name, self.alive, self.closed = name or "by hand", True, False
        self.mixer = Mixer(sample_rate)
        self.n_underruns = 0

    @property
    def frame_heard(self) -> float:
        return self.mixer.frame

    def close(self) -> None:
        self.closed = True

    def render(self, n: int) -> np.ndarray:
        out = np.empty((n, 2), np.float32)
        for begin in range(0, n, 256):
            self.mixer.render(out[begin : begin + 256])
        return out
