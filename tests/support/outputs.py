"""An output without a device: its mixer is rendered by whoever tests."""

import numpy as np

from plugin_server.audio.playback.mixer import Mixer
from plugin_server.audio.playback.player import Player
from plugin_server.errors import DeviceUnavailable


class HandOutput:
    """Stands where PortAudio's stream does."""

    def __init__(self, name: str = "", sample_rate: int = 48000) -> None:
        self.name, self.is_alive, self.closed = name or "by hand", True, False
        self.mixer = Mixer(sample_rate)
        self.n_underruns = 0

    @property
    def audible_frame(self) -> float:
        return self.mixer.frame

    def close(self) -> None:
        self.closed = True

    def render(self, n: int) -> np.ndarray:
        out = np.empty((n, 2), np.float32)
        for begin in range(0, n, 256):
            self.mixer.render(out[begin : begin + 256])
        return out


def player_on(devices: list[HandOutput]) -> Player:
    """A player that finds the first of these outputs, or none when the list is empty."""

    def open_output(name: str) -> HandOutput:
        if not devices:
            raise DeviceUnavailable("device: the default output cannot be opened: there is none")
        return devices[0]

    return Player(open_output)
