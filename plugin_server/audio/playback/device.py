"""One stereo output of PortAudio."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.playback.mixer import Mixer
from plugin_server.errors import DeviceUnavailable, shown

if TYPE_CHECKING:
    from sounddevice import CallbackFlags

BLOCK = 256
"""Frames a callback is asked for."""


LATENCY_S = 0.015
"""Asked of the device. Where it is much longer, sound servers ask for several blocks at once, and so a clip comes late;
where it is much shorter, they run out of samples on a busy machine."""
STALL_S = 1.0
"""A device that has asked for nothing for so long is gone."""
RT_PRIORITY = 5
"""Below those of sound servers."""
PROBE_S = 20.0
"""How long PortAudio may take to look for devices."""


class Output(Protocol):
    """A stream that runs."""

    mixer: Mixer
    name: str
    n_underruns: int
    """Times at which the device ran out of samples."""

    @property
    def alive(self) -> bool:
        """False once the device is gone."""
        ...

    @property
    def frame_heard(self) -> float:
        """Frame of the mixer's clock that is heard now, as well as the device tells."""
        ...

    def close(self) -> None:
        """Stop it; no harm when the device is gone."""
        ...


OpenOutput = Callable[[str], Output]
"""Opens the device of a name, the system's default for ""; raises DeviceUnavailable."""


class PortAudioOutput:
    """A sounddevice stream whose callback renders a mixer.

    It has the rate that is wanted, that of the clips, where the device can have it, and else the device's own.
    """

    def __init__(self, name: str, sample_rate: int = 0, latency_s: float = LATENCY_S) -> None:
        sounddevice = _fresh_sounddevice()
        try:
            # By its number: a name that is part of another one would be called ambiguous.
            number = _number_of(name) if name else None
            device = sounddevice.query_devices(number, "output")
            self.name = str(device["name"])
            self.mixer = Mixer(_rate(sounddevice, device, sample_rate))
            self.n_underruns = 0
            self._seen = (0, time.monotonic())
            self._rendered = (0, time.monotonic())
            self._stream = sounddevice.OutputStream(
                samplerate=self.mixer.sample_rate,
                blocksize=BLOCK,
                device=device["index"],
                channels=2,
                dtype="float32",
                latency=latency_s,
                callback=self._callback,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise DeviceUnavailable(f"device: {name or 'the default output'} cannot be opened: {error}") from error

    @property
    def alive(self) -> bool:
        """False once PortAudio has ended the stream, or the device asks for nothing any more."""
        frame, since = self._seen
        if self.mixer.frame != frame:
            self._seen = (self.mixer.frame, time.monotonic())
        elif time.monotonic() - since > STALL_S:
            return False
        return bool(self._stream.active)

    @property
    def frame_heard(self) -> float:
        """From the last callback: what it rendered is heard when all before it has been."""
        frame, when = self._rendered
        return frame + (time.monotonic() - when - float(self._stream.latency)) * self.mixer.sample_rate

    def close(self) -> None:
        """Give the device back, with what it has not played yet."""
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _callback(self, out: NDArray[np.float32], n_frames: int, when: object, status: "CallbackFlags") -> None:
        if status and status.output_underflow:
            self.n_underruns += 1
        if not self._rendered[0]:
            _hurry()
        self._rendered = (self.mixer.frame, time.monotonic())
        self.mixer.render(out)


def _hurry() -> None:
    """Give this thread real-time priority, as macOS and Windows do for audio, where Linux lets the person have it."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RT_PRIORITY))


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


def _rate(sounddevice: ModuleType, device: dict[str, Any], wanted: int) -> int:
    own: int = round(device["default_samplerate"])
    try:
        sounddevice.check_output_settings(device["index"], channels=2, dtype="float32", samplerate=wanted or own)
    except sounddevice.PortAudioError:
        return own
    return wanted or own


def _number_of(name: str) -> int:
    outputs = [device for device in _sounddevice().query_devices() if device["max_output_channels"] > 0]
    for device in outputs:
        if device["name"] == name:
            return int(device["index"])
    known = ", ".join(str(device["name"]) for device in outputs) or "none, for there is no output"
    raise DeviceUnavailable(f"device: got {shown(name)}, expected one of {known}")


def _sounddevice() -> ModuleType:
    # Imported late: without the library of PortAudio the import fails, and only playing needs it.
    _probe()
    try:
        import sounddevice
    except OSError as error:
        raise DeviceUnavailable(f"device: PortAudio is not installed, so nothing can be played: {error}") from error
    module: ModuleType = sounddevice
    return module


@lru_cache(maxsize=1)
def _probe() -> None:
    """Let another process start PortAudio first: on a system without ALSA's configuration it ends the one it is in.

    Raises DeviceUnavailable, and then asks again the next time.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        command = [sys.executable, "-c", "import sounddevice"]
        ended = subprocess.run(command, capture_output=True, timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceUnavailable(f"device: PortAudio does not start: {error}") from error
    # A Python error is told by the import that follows.
    if ended.returncode < 0:
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DeviceUnavailable(f"device: PortAudio crashes here (signal {-ended.returncode}): {last[:200]}")


def _fresh_sounddevice() -> ModuleType:
    """PortAudio lists devices when it starts and never again: started anew it sees what was plugged in since."""
    sounddevice = _sounddevice()
    try:
        sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise DeviceUnavailable(f"device: PortAudio does not start: {error}") from error
    return sounddevice
