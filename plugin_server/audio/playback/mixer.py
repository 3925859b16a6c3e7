"""Voices to one stereo stream, block by block, without a device, a lock or an array made on the way."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MAX_VOICES = 64
"""Voices that sound at once; one more makes the oldest fade."""
_MAX_FADING = MAX_VOICES
"""Voices beyond those that may still be fading out; more fade in QUICK_S."""
_CHUNK = 512
"""Frames mixed at a time; longer blocks are made of several."""
_KNEE = 0.9
"""The limiter leaves alone what is below: finished clips are, at -1 dBTP."""
RELEASE_S = 0.008
"""How long a stopped voice fades unless it says otherwise, and a change of volume takes."""
QUICK_S = 0.0015
"""How long voices fade for which there is no room."""


@dataclass(eq=False, slots=True)
class Voice:
    """One clip that sounds, or waits for its frame. Made by whoever asks, then left to the mixer."""

    samples: NDArray[np.float32]
    """Float32 (2, frames), at least one frame."""
    tag: str = ""
    """What `stop` knows it by."""
    gain: float = 1.0
    pan: float = 0.0
    """-1 left to 1 right at constant power; 0 plays both channels as they are."""
    rate: float = 1.0
    """Frames of the clip per frame of output, above 0."""
    loop: tuple[int, int] | None = None
    """First frame of the loop and the one after its last."""
    start: int = 0
    """Frame of the mixer's clock at which it starts; one that has passed means at once."""
    choke: str = ""
    """A voice silences older ones of its group when it starts."""
    attack_s: float = 0.0
    release_s: float = RELEASE_S
    """How long it fades when it is stopped; one that is silenced by another fades in RELEASE_S at most."""
    position: float = 0.0
    level: float = 0.0
    step: float = 0.0
    """What the level changes by in a frame; below 0 the voice fades out, at 0 it is done."""
    started: bool = False

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.shape[0] != 2 or not self.samples.shape[1]:
            raise ValueError(f"samples: got {self.samples.shape}, expected (2, frames) with a frame or more")
        if self.loop is not None and not 0 <= self.loop[0] < self.loop[1] <= self.samples.shape[1]:
            raise ValueError(f"loop: got {self.loop}, expected points inside {self.samples.shape[1]} frames")
        if not self.rate > 0:
            raise ValueError(f"rate: got {self.rate}, expected a number above 0")


@dataclass(frozen=True, slots=True)
class Levels:
    """What was heard since the last look: linear, 1 at full scale, left and right."""

    peak: tuple[float, float] = (0.0, 0.0)
    rms: tuple[float, float] = (0.0, 0.0)


_Command = tuple[Literal["play"], Voice] | tuple[Literal["stop"], str | None] | tuple[Literal["volume"], float]


class Mixer:
    """Renders voices. One thread sends commands, another calls `render`; a deque between them needs no lock."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        """Hertz."""
        self.frame = 0
        """The clock: frames rendered so far."""
        self._commands: deque[_Command] = deque()
        self._retired: deque[Voice] = deque()
        self._voices: list[Voice] = []
        self._volume = self._target = 1.0
        self._fade = 1.0 / max(1.0, RELEASE_S * sample_rate)
        self._ramp = np.arange(_CHUNK + 1, dtype=np.float64)
        self._mix = np.zeros((2, _CHUNK), np.float32)
        self._voice = np.zeros((2, _CHUNK), np.float32)
        self._next = np.zeros(_CHUNK, np.float32)
        self._fraction = np.zeros(_CHUNK, np.float32)
        self._level = np.zeros(_CHUNK, np.float32)
        self._places = np.zeros(_CHUNK, np.float64)
        self._floor = np.zeros(_CHUNK, np.float64)
        self._index = np.zeros(_CHUNK, np.intp)
        self._beyond = np.zeros(_CHUNK, np.bool_)
        self.metering = False
        """Whether levels are measured."""
        self._peaks = [0.0, 0.0]
        self._energies = [0.0, 0.0]
        self._n_measured = 0

    def play(self, voice: Voice) -> None:
        """Sound at `voice.start`."""
        # Voices are given back here: to free a clip's memory in the callback could take too long.
        self._retired.clear()
        self._commands.append(("play", voice))

    def stop(self, tag: str | None = None) -> None:
        """Fade voices of this tag out, or all, and forget those that wait."""
        self._commands.append(("stop", tag))

    def set_volume(self, volume: float) -> None:
        """Master volume, 0 to 1, reached within RELEASE_S for the whole way; in silence at once."""
        self._commands.append(("volume", volume))

    @property
    def n_voices(self) -> int:
        """Voices that sound, fade or wait."""
        return len(self._voices)

    def take_levels(self) -> Levels:
        """Levels since the last call, of which a block may be missing that is being rendered; from any thread."""
        n_measured = max(1, self._n_measured)
        left, right = (math.sqrt(energy / n_measured) for energy in self._energies)
        levels = Levels((self._peaks[0], self._peaks[1]), (left, right))
        self._n_measured = 0
        self._peaks[:] = self._energies[:] = (0.0, 0.0)
        return levels

    def render(self, block: NDArray[np.float32]) -> None:
        """Fill float32 (frames, 2) with what comes next, between -1 and 1."""
        self._obey()
        for begin in range(0, len(block), _CHUNK):
            part = block[begin : begin + _CHUNK]
            self._render_chunk(part)
            self.frame += len(part)

    def _obey(self) -> None:
        while self._commands:
            command = self._commands.popleft()
            if command[0] == "play":
                self._voices.append(command[1])
            elif command[0] == "stop":
                self._stop(command[1])
            else:
                self._target = command[1]
                if not self._voices:
                    self._volume = command[1]

    def _stop(self, tag: str | None) -> None:
        for voice in self._voices:
            if tag is None or voice.tag == tag:
                self._release(voice, voice.release_s)
        self._sweep()

    def _release(self, voice: Voice, seconds: float) -> None:
        """Let a voice fade, never slower than it does already; one that has not started is done at once, having the
        level 0."""
        voice.step = min(voice.step, -1.0 / max(1.0, seconds * self.sample_rate))

    def _render_chunk(self, out: NDArray[np.float32]) -> None:
        n = len(out)
        self._start_due(n)
        mix = self._mix[:, :n]
        mix.fill(0.0)
        for voice in self._voices:
            if voice.started:
                self._add(voice, mix, n)
        self._sweep()
        self._apply_volume(mix, n)
        self._limit(mix)
        if self.metering:
            self._measure(mix, n)
        np.copyto(out, mix.T)

    def _start_due(self, n: int) -> None:
        """Begin what is due in this chunk, choke its group, and keep to the number of voices."""
        for voice in self._voices:
            if voice.started or voice.step < 0 or voice.start >= self.frame + n:
                continue
            voice.started = True
            voice.start = max(voice.start, self.frame)
            voice.step = 1.0 / max(1.0, voice.attack_s * self.sample_rate)
            if voice.choke:
                self._choke(voice)
        self._thin_out(False, MAX_VOICES, RELEASE_S)
        self._thin_out(True, _MAX_FADING, QUICK_S)

    def _thin_out(self, fading: bool, most: int, seconds: float) -> None:
        """Let the oldest voices fade where more than `most` are held, or are fading."""
        surplus = -most
        for voice in self._voices:
            surplus += voice.started and (voice.step < 0) == fading
        for voice in self._voices:
            if surplus <= 0:
                return
            if voice.started and (voice.step < 0) == fading:
                self._release(voice, seconds)
                surplus -= 1

    def _choke(self, newer: Voice) -> None:
        for voice in self._voices:
            if voice is not newer and voice.started and voice.choke == newer.choke:
                self._release(voice, min(voice.release_s, RELEASE_S))

    def _add(self, voice: Voice, mix: NDArray[np.float32], n: int) -> None:
        offset = max(0, voice.start - self.frame)
        n -= offset
        n = self._read(voice, n)
        self._shape(voice, n)
        angle = (voice.pan + 1.0) * math.pi / 4
        scale = voice.gain * math.sqrt(2.0)
        for channel, gain in enumerate((scale * math.cos(angle), scale * math.sin(angle))):
            row = self._voice[channel, :n]
            # Exactly 1 in the middle, where rounding would say 0.9999999999999999 or more.
            row *= np.float32(voice.gain if voice.pan == 0 else gain)
            mix[channel, offset : offset + n] += row

    def _read(self, voice: Voice, n: int) -> int:
        """Next samples of a voice into `_voice`, linearly interpolated; how many there were."""
        length = voice.samples.shape[1]
        first = int(voice.position)
        end = voice.loop[1] if voice.loop else length
        if voice.rate == 1.0 and voice.position == first and first + n <= end:
            np.copyto(self._voice[:, :n], voice.samples[:, first : first + n])
            self._advance(voice, n)
            return n
        if not voice.loop:
            n = min(n, max(0, math.ceil((length - voice.position) / voice.rate)))
        self._find_places(voice, n)
        index, beyond, following = self._index[:n], self._beyond[:n], self._next[:n]
        for channel in (0, 1):
            row = self._voice[channel, :n]
            samples = voice.samples[channel]
            samples.take(index, out=row, mode="clip")
            index += 1
            np.greater_equal(index, end, out=beyond)
            # What follows the end of a loop is its start; what follows the end of a clip is its last sample.
            np.copyto(following, 0.0)
            samples.take(index, out=following, mode="clip")
            if voice.loop:
                np.copyto(following, samples[voice.loop[0]], where=beyond)
            index -= 1
            following -= row
            following *= self._fraction[:n]
            row += following
        self._advance(voice, n)
        return n

    def _find_places(self, voice: Voice, n: int) -> None:
        """Whole and fractional places of the next `n` frames."""
        places, floor = self._places[:n], self._floor[:n]
        np.multiply(self._ramp[:n], voice.rate, out=places)
        places += voice.position
        if voice.loop:
            begin, end = voice.loop
            np.greater_equal(places, end, out=self._beyond[:n])
            places -= begin
            np.fmod(places, end - begin, out=floor)
            np.copyto(places, floor, where=self._beyond[:n])
            places += begin
        np.floor(places, out=floor)
        np.copyto(self._index[:n], floor, casting="unsafe")
        places -= floor
        np.copyto(self._fraction[:n], places, casting="same_kind")

    def _advance(self, voice: Voice, n: int) -> None:
        voice.position += n * voice.rate
        if voice.loop:
            begin, end = voice.loop
            if voice.position >= end:
                voice.position = begin + (voice.position - begin) % (end - begin)
        elif voice.position >= voice.samples.shape[1]:
            # Swept away after this chunk, in which its last samples are heard.
            voice.position = math.inf

    def _shape(self, voice: Voice, n: int) -> None:
        """Attack or release."""
        if voice.step > 0 and voice.level >= 1.0:
            return
        if voice.step >= 1.0:
            voice.level = 1.0
            return
        level, places = self._level[:n], self._places[:n]
        np.multiply(self._ramp[1 : n + 1], voice.step, out=places)
        places += voice.level
        np.clip(places, 0.0, 1.0, out=places)
        np.copyto(level, places, casting="same_kind")
        self._voice[:, :n] *= level
        voice.level = min(1.0, max(0.0, voice.level + n * voice.step))

    def _sweep(self) -> None:
        for i in range(len(self._voices) - 1, -1, -1):
            voice = self._voices[i]
            if voice.position == math.inf or (voice.step < 0 and voice.level <= 0.0):
                self._retired.append(self._voices.pop(i))

    def _apply_volume(self, mix: NDArray[np.float32], n: int) -> None:
        if self._volume == self._target:
            if self._volume != 1.0:
                mix *= np.float32(self._volume)
            return
        step = math.copysign(self._fade, self._target - self._volume)
        low, high = sorted((self._volume, self._target))
        places, level = self._places[:n], self._level[:n]
        np.multiply(self._ramp[1 : n + 1], step, out=places)
        places += self._volume
        np.clip(places, low, high, out=places)
        np.copyto(level, places, casting="same_kind")
        mix *= level
        self._volume = float(places[-1])

    def _measure(self, mix: NDArray[np.float32], n: int) -> None:
        for channel in (0, 1):
            row = mix[channel]
            self._peaks[channel] = max(self._peaks[channel], float(row.max()), -float(row.min()))
            self._energies[channel] += float(np.dot(row, row))
        self._n_measured += n

    def _limit(self, mix: NDArray[np.float32]) -> None:
        """Bend what is above the knee towards 1 without a kink: at once, so without delay, and without state."""
        for row in mix:
            if max(row.max(), -row.min()) <= _KNEE:
                continue
            over = self._next[: len(row)]
            np.abs(row, out=over)
            over -= np.float32(_KNEE)
            np.maximum(over, 0.0, out=over)
            # The part below the knee, with its sign, and what tanh makes of the rest.
            np.clip(row, -_KNEE, _KNEE, out=self._fraction[: len(row)])
            over /= np.float32(1 - _KNEE)
            np.tanh(over, out=over)
            over *= np.float32(1 - _KNEE)
            np.copysign(over, row, out=over)
            np.add(over, self._fraction[: len(row)], out=row)
            np.clip(row, -1.0, 1.0, out=row)


def to_stereo(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 (frames, channels) as (2, frames): mono on both sides, of more channels the first two."""
    channels: Sequence[int] = (0, 0) if samples.shape[1] == 1 else (0, 1)
    return np.ascontiguousarray(samples.T[list(channels)])
