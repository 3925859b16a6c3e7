"""One stereo output of PortAudio."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from plugin_server.audio.mixer import Mixer
from plugin_server.errors import DeviceUnavailable, shown

BLOCK = 256
"""Frames a callback is asked for."""


LATENCY_S = 0.05
"""Asked of the device; its lowest one stumbled on PulseAudio while every processor was busy."""


class Output(Protocol):
    """A stream that runs."""

    mixer: Mixer
    name: str

    @property
    def alive(self) -> bool:
        """False once the device is gone."""
        ...

    def close(self) -> None:
        """Stop it; no harm when the device is gone."""
        ...


OpenOutput = Callable[[str], Output]
"""Opens the device of a name, the system's default for ""; raises DeviceUnavailable."""


class PortAudioOutput:
    """A sounddevice stream whose callback renders a mixer of the device's own rate."""

    def __init__(self, name: str) -> None:
        sounddevice = _fresh_sounddevice()
        try:
            # By its number: a name that is part of another one would be called ambiguous.
            number = _number_of(name) if name else None
            device = sounddevice.query_devices(number, "output")
            self.name = str(device["name"])
            self.mixer = Mixer(round(device["default_samplerate"]))
            self._stream = sounddevice.OutputStream(
                samplerate=self.mixer.sample_rate,
                blocksize=BLOCK,
                device=device["index"],
                channels=2,
                dtype="float32",
                latency=LATENCY_S,
                callback=self._callback,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise DeviceUnavailable(f"device: {name or 'the default output'} cannot be opened: {error}") from error

    @property
    def alive(self) -> bool:
        """False once PortAudio has ended the stream."""
        return bool(self._stream.active)

    def close(self) -> None:
        """Give the device back."""
        self._stream.close(ignore_errors=True)

    def _callback(self, out: np.ndarray, n_frames: int, time: object, status: object) -> None:
        self.mixer.render(out)


def list_outputs(fresh: bool = True) -> list[tuple[str, int, int]]:
    """Name, channels and rate in Hertz of each output. Raises DeviceUnavailable without a PortAudio library.

    `fresh` looks for devices anew, which must not be while a stream is open.
    """
    sounddevice = _fresh_sounddevice() if fresh else _sounddevice()
    try:
        devices = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        raise DeviceUnavailable(f"device: the outputs cannot be listed: {error}") from error
    return [
        (str(device["name"]), device["max_output_channels"], round(device["default_samplerate"]))
        for device in devices
        if device["max_output_channels"] > 0
    ]


def _number_of(name: str) -> int:
    outputs = [device for device in _sounddevice().query_devices() if device["max_output_channels"] > 0]
    for device in outputs:
        if device["name"] == name:
            return int(device["index"])
    known = ", ".join(str(device["name"]) for device in outputs) or "none, for there is no output"
    raise DeviceUnavailable(f"device: got {shown(name)}, expected one of {known}")


def _sounddevice():  # noqa: ANN202
    # Imported late: without the library of PortAudio the import fails, and only playing needs it.
    try:
        import sounddevice
    except OSError as error:
        raise DeviceUnavailable(f"device: PortAudio is not installed, so nothing can be played: {error}") from error
    return sounddevice


def _fresh_sounddevice():  # noqa: ANN202
    """PortAudio lists devices when it starts and never again: started anew it sees what was plugged in since."""
    sounddevice = _sounddevice()
    try:
        sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise DeviceUnavailable(f"device: PortAudio does not start: {error}") from error
    return sounddevice
