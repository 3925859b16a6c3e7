"""The output in use: opened when it is needed, watched, and opened again with what sounded when its device was lost."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from plugin_server.audio.playback.device import OpenOutput, Output
from plugin_server.audio.playback.voice import Voice
from plugin_server.errors import ClipsonicError, DeviceUnavailable

WATCH_S = 0.5
"""Seconds from one look at the device to the next."""
RETRY_S = 1.0
"""Seconds for which a device that could not be opened is not tried again."""
RUN_S = 1.0
"""Seconds after which a device is one that runs: a sound server may ask for its first buffers, and never again."""
RESUME_S = 10.0
"""Seconds for which what sounded waits for a device to come back."""
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """The device was lost, or is open again."""

    name: str
    sample_rate: int
    """Hertz."""
    problem: str = ""
    """A sentence when it was lost."""


@dataclass(frozen=True, slots=True)
class Interrupted(Generic[C]):
    """A voice that would have gone on when its device was lost."""

    cue: C
    """What it was made from."""
    is_loop: bool
    seconds: float
    """Where in its clip it was."""
    tags: tuple[str, ...]


@dataclass(slots=True)
class _Loss(Generic[C]):
    name: str
    sample_rate: int
    since: float
    is_told: bool = False
    interrupted: list[Interrupted[C]] = field(default_factory=list)


class LiveOutput(Generic[C]):
    """The output, its voices and what each was made from. All methods but the setters belong to one thread."""

    def __init__(self, open_output: OpenOutput, resume: Callable[[Output, Interrupted[C]], None]) -> None:
        """`resume` starts an interrupted voice anew on another output, where a ClipsonicError leaves it out."""
        self._open, self._resume = open_output, resume
        self.on_change: Callable[[DeviceChange], None] = lambda _change: None
        """Called when the device was lost or is open again."""
        self.output: Output | None = None
        """The output that is open, though its device may be gone."""
        self.device = ""
        """Name of the device that was chosen; '' for the system's default."""
        self.n_opened = 0
        """Times that an output was opened: each has a clock of its own."""
        self._voices: list[tuple[Voice, C]] = []
        self.volume, self._is_metering = 1.0, False
        self._failure = ("", "", 0.0)
        """A device that could not be opened, why, and until when it is not tried again."""
        self._loss: _Loss[C] | None = None

    @property
    def n_waiting(self) -> int:
        """The number of voices that wait for their frame."""
        return sum(not (voice.is_started or voice.is_done) for voice, _ in self._voices)

    def require(self) -> Output:
        """Return the output, opened where none runs. Raises DeviceUnavailable."""
        if self.output and self.output.is_alive:
            return self.output
        if self.output:
            self._lose()
        try:
            output = self._open_device()
        except DeviceUnavailable as error:
            self._tell_loss(str(error))
            raise
        if self._loss:
            self._go_on(output, self._loss)
        return output

    def add(self, voice: Voice, cue: C) -> None:
        """Remember a voice that was given to the output's mixer."""
        self._voices = [(other, cue) for other, cue in self._voices if not other.is_done]
        self._voices.append((voice, cue))

    def is_sounding(self, tag: str) -> bool:
        """Return whether a voice of this tag sounds or waits, and does not fade out."""
        voices = (voice.tags for voice, _ in self._voices if not (voice.is_fading or voice.is_done))
        interrupted = (each.tags for each in (self._loss.interrupted if self._loss else ()))
        return any(tag in tags for tags in (*voices, *interrupted))

    def stop(self, tag: str | None) -> None:
        """Fade voices of this tag out, or all, also those that wait for a device. Raises QueueFull."""
        if self._loss:
            kept = [each for each in self._loss.interrupted if tag is not None and tag not in each.tags]
            self._loss.interrupted = kept
        if self.output:
            self.output.mixer.stop(tag)
        # Known at once: the mixer itself does it in its next block, which may be long in coming.
        self._voices = [(voice, cue) for voice, cue in self._voices if tag is not None and tag not in voice.tags]

    def stop_waiting(self, tag: str) -> None:
        """Drop voices of this tag that have not started. Raises QueueFull."""
        if self.output:
            self.output.mixer.stop_waiting(tag)
        self._voices = [(voice, cue) for voice, cue in self._voices if voice.is_started or tag not in voice.tags]

    def set_volume(self, volume: float) -> None:
        """Set the master volume, 0 to 1; also of another device."""
        self.volume = volume
        if output := self.output:
            output.mixer.set_volume(volume)

    def set_metering(self, *, enabled: bool) -> None:
        """Measure levels, or no longer; also on another device. From any thread."""
        self._is_metering = enabled
        if output := self.output:
            output.mixer.is_metering = enabled

    def set_device(self, name: str) -> str:
        """Open another device; return its name. Raises DeviceUnavailable; then the old one is used again."""
        old, self.device = self.device, name
        if self.output:
            self._lose()
        if self._loss:
            self._loss.is_told = True
        try:
            output = self._open_device()
        except DeviceUnavailable:
            self.device = old
            raise
        self._loss = None
        return output.name

    def watch(self) -> None:
        """Look after the device while nothing is asked for."""
        self._voices = [(voice, cue) for voice, cue in self._voices if not voice.is_done]
        if self.output:
            self.output.mixer.free_finished()
            has_run = _has_run(self.output)
            if self.output.is_alive:
                if has_run:
                    self._loss = None
                return
            self._lose()
        elif not self._loss:
            return
        else:
            has_run = False
        loss = self._loss
        if loss and (has_run or loss.interrupted) and time.monotonic() - loss.since <= RESUME_S:
            with suppress(DeviceUnavailable):
                self.require()
            # Only loops are worth to be heard late.
            loss.interrupted = [each for each in loss.interrupted if each.is_loop]
        else:
            self._give_up()

    def close(self) -> None:
        """Close the device; nothing goes on."""
        self._loss, self._voices = None, []
        if self.output:
            output, self.output = self.output, None
            output.close()

    def _open_device(self) -> Output:
        name, problem, until = self._failure
        if problem and name == self.device and time.monotonic() < until:
            raise DeviceUnavailable(problem)
        try:
            output = self._open(self.device)
        except DeviceUnavailable as error:
            self._failure = (self.device, str(error), time.monotonic() + RETRY_S)
            raise
        self._failure = ("", "", 0.0)
        output.mixer.set_volume(self.volume)
        self.output = output
        output.mixer.is_metering = self._is_metering
        self._voices = []
        self.n_opened += 1
        return output

    def _lose(self) -> None:
        """Close a device that is gone, and keep what would have gone on."""
        output, self.output = self.output, None
        if output is None:
            return
        output.close()
        mixer = output.mixer
        # A stop that still waited has been done then.
        mixer.run_commands()
        interrupted = [
            Interrupted(cue, voice.loop is not None, voice.position / mixer.sample_rate, voice.tags)
            for voice, cue in self._voices
            if not (voice.is_fading or voice.is_done) and (voice.loop or not voice.is_started)
        ]
        self._voices = []
        if self._loss is None or _has_run(output):
            self._loss = _Loss(output.name, mixer.sample_rate, time.monotonic())
        self._loss.interrupted += interrupted

    def _go_on(self, output: Output, loss: _Loss[C]) -> None:
        # The loss itself is over when the device has asked for samples.
        interrupted, loss.interrupted = loss.interrupted, []
        for each in interrupted:
            with suppress(ClipsonicError):
                self._resume(output, each)
        self.on_change(DeviceChange(output.name, output.mixer.sample_rate))

    def _give_up(self) -> None:
        """Wait for the device no longer: the next clip that is played opens one again."""
        loss, self._loss = self._loss, None
        if loss and (loss.interrupted or not loss.is_told):
            ended = f", and {len(loss.interrupted)} that sounded end" if loss.interrupted else ""
            problem = f"device: {loss.name} asks for no samples{ended}; what is played next opens it again"
            self.on_change(DeviceChange(loss.name, loss.sample_rate, problem))

    def _tell_loss(self, problem: str) -> None:
        if self._loss and not self._loss.is_told:
            self._loss.is_told = True
            self.on_change(DeviceChange(self._loss.name, self._loss.sample_rate, problem))


def _has_run(output: Output) -> bool:
    return output.mixer.frame > RUN_S * output.mixer.sample_rate
