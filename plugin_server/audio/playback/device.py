"""The sound device: one stereo output stream of PortAudio."""

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

from plugin_server.audio.names import same_name
from plugin_server.audio.playback.mixer import Mixer
from plugin_server.errors import DeviceUnavailable, short_repr

if TYPE_CHECKING:
    from sounddevice import CallbackFlags

BLOCK_FRAMES = 256
"""Frames that a callback is asked for."""
LATENCY_S = 0.015
"""Latency asked of the device. Where it is much longer, sound servers ask for several blocks at once, and so a clip
comes late; where it is much shorter, they run out of samples on a busy machine."""
STALL_S = 2.5
"""A device that has asked for nothing for so long is gone. Sound servers that nobody listens to, or on a busy machine,
pause for two seconds and go on."""
REALTIME_PRIORITY = 5
"""Below those of sound servers."""
START_TIMEOUT_S = 20.0
"""The time that PortAudio may take to look for devices."""
NO_OUTPUT = "there is no sound output here; connect one, or start the sound server, then play again"
INSTALL = "; on Debian and Ubuntu `apt install libportaudio2` brings it" if sys.platform.startswith("linux") else ""


class Output(Protocol):
    """An output stream that runs."""

    mixer: Mixer
    name: str
    n_underruns: int
    """Times at which the device ran out of samples."""

    @property
    def is_alive(self) -> bool:
        """False once the device is gone."""
        ...

    @property
    def audible_frame(self) -> float:
        """The frame of the mixer's clock that is heard now, as well as the device tells."""
        ...

    def close(self) -> None:
        """Stop the stream; no harm when the device is gone."""
        ...


OpenOutput = Callable[[str], Output]
"""Opens the device of a name, the system's default for ""; raises DeviceUnavailable."""


class PortAudioOutput:
    """A sounddevice stream whose callback renders a mixer. Raises DeviceUnavailable when it cannot be opened.

    It has the sample rate that is asked for, that of the clips, where the device supports it, and else the device's
    default.
    """

    def __init__(self, name: str, sample_rate: int = 0, latency_s: float = LATENCY_S) -> None:
        sounddevice = _restarted_sounddevice()
        try:
            # By its index: a name that is part of another one would be called ambiguous.
            index = _index_of(name) if name else None
            device = sounddevice.query_devices(index, "output")
            self.name = str(device["name"])
            self.mixer = Mixer(_supported_rate(sounddevice, device, sample_rate))
            self.n_underruns = 0
            self._rendered = (0, time.monotonic())
            """First frame of the last block, and when it was rendered; at first when the device was opened."""
            self._stream = sounddevice.OutputStream(
                samplerate=self.mixer.sample_rate,
                blocksize=BLOCK_FRAMES,
                device=device["index"],
                channels=2,
                dtype="float32",
                latency=latency_s,
                callback=self._callback,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise DeviceUnavailable(_problem_of(name, error)) from error

    @property
    def is_alive(self) -> bool:
        """False once PortAudio has ended the stream, or the device has asked for nothing for STALL_S."""
        return time.monotonic() - self._rendered[1] <= STALL_S and bool(self._stream.active)

    @property
    def audible_frame(self) -> float:
        """The frame that is heard now, by the last callback: what it rendered is heard when all before it has been."""
        frame, when = self._rendered
        return frame + (time.monotonic() - when - float(self._stream.latency)) * self.mixer.sample_rate

    def close(self) -> None:
        """Close the device, without what it has not played yet."""
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _callback(self, out: NDArray[np.float32], _n_frames: int, _time: object, status: "CallbackFlags") -> None:
        if status and status.output_underflow:
            self.n_underruns += 1
        if not self.mixer.frame:
            _request_realtime_priority()
        self._rendered = (self.mixer.frame, time.monotonic())
        self.mixer.render(out)


def _request_realtime_priority() -> None:
    """Give this thread real-time priority, as macOS and Windows do for audio, where Linux lets the person have it."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REALTIME_PRIORITY))


def list_outputs(*, rescan: bool = True) -> list[tuple[str, int, int]]:
    """Return name, channels and sample rate in Hertz of each output. Raises DeviceUnavailable without PortAudio.

    `rescan` looks for devices anew, which must not be while a stream is open.
    """
    sounddevice = _restarted_sounddevice() if rescan else _sounddevice()
    try:
        outputs = _outputs()
    except sounddevice.PortAudioError as error:
        raise DeviceUnavailable(f"device: the outputs cannot be listed: {error}") from error
    return [
        (str(device["name"]), device["max_output_channels"], round(device["default_samplerate"])) for device in outputs
    ]


def _supported_rate(sounddevice: ModuleType, device: dict[str, Any], sample_rate: int) -> int:
    """Return `sample_rate` where the device supports it, else its default; the default for 0."""
    default: int = round(device["default_samplerate"])
    rate = sample_rate or default
    try:
        sounddevice.check_output_settings(device["index"], channels=2, dtype="float32", samplerate=rate)
    except sounddevice.PortAudioError:
        return default
    return rate


def _index_of(name: str) -> int:
    outputs = _outputs()
    known = same_name(name, (str(device["name"]) for device in outputs))
    for device in outputs:
        if device["name"] == known:
            return int(device["index"])
    if not outputs:
        raise DeviceUnavailable(f"device: got {short_repr(name)}, expected one of none: {NO_OUTPUT}")
    raise DeviceUnavailable(f"device: got {short_repr(name)}, expected one of {_names(outputs)}")


def _problem_of(name: str, error: Exception) -> str:
    """Return why no stream was opened, and what to do: PortAudio itself only says 'Error querying device -1'."""
    try:
        outputs = _outputs()
    except Exception:
        outputs = []
    if not outputs:
        return f"device: {NO_OUTPUT}"
    if name:
        return f"device: {name} cannot be opened ({error}): another program may hold it; /device/set chooses another"
    return (
        f"device: the system's default output cannot be opened ({error}); "
        f"/device/set chooses another one, of {_names(outputs)}"
    )


def _outputs() -> list[dict[str, Any]]:
    return [device for device in _sounddevice().query_devices() if device["max_output_channels"] > 0]


def _names(outputs: list[dict[str, Any]]) -> str:
    return ", ".join(str(device["name"]) for device in outputs)


def _sounddevice() -> ModuleType:
    # Imported late: without the library of PortAudio the import fails, and only playing needs it.
    _check_portaudio_starts()
    try:
        import sounddevice
    except OSError as error:
        raise DeviceUnavailable(
            f"device: PortAudio is not installed, so nothing can be played: {error}{INSTALL}"
        ) from error
    module: ModuleType = sounddevice
    return module


@lru_cache(maxsize=1)
def _check_portaudio_starts() -> None:
    """Let another process start PortAudio first: on a system without ALSA's configuration it ends the one it is in.

    Raises DeviceUnavailable, and then asks again the next time.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        command = [sys.executable, "-c", "import sounddevice"]
        ended = subprocess.run(command, capture_output=True, timeout=START_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceUnavailable(f"device: PortAudio does not start: {error}") from error
    # A Python error is reported by the import that follows.
    if ended.returncode < 0:
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DeviceUnavailable(f"device: PortAudio crashes here (signal {-ended.returncode}): {last[:200]}")


def _restarted_sounddevice() -> ModuleType:
    """Return sounddevice with PortAudio started anew. Raises DeviceUnavailable.

    PortAudio lists devices when it starts and never again: started anew it sees what was plugged in since.
    """
    sounddevice = _sounddevice()
    try:
        sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise DeviceUnavailable(
            f"device: PortAudio does not start ({error}); start the sound server, then play again"
        ) from error
    return sounddevice
