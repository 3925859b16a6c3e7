"""The mixer: voices to one stereo stream, block by block, without a device, a lock or an allocated array."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.playback.voice import RELEASE_S, Voice
from plugin_server.errors import QueueFull

MAX_VOICES = 64
"""Voices that sound at once; one more makes the oldest fade out."""
_MAX_FADING = MAX_VOICES
"""Voices beyond those that may still be fading out; more fade in QUICK_RELEASE_S."""
_CHUNK_FRAMES = 512
"""Frames mixed at a time; longer blocks are made of several."""
_KNEE = 0.9
"""Linear level below which the limiter changes nothing: finished clips are, at -1 dBTP."""
QUICK_RELEASE_S = 0.0015
"""Fade of voices for which there is no room."""
MAX_COMMANDS = 128
"""Voices and stops that may wait for the next block."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels since the last reading: linear, 1 at full scale, left and right."""

    peak: tuple[float, float] = (0.0, 0.0)
    rms: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Play:
    voice: Voice


@dataclass(frozen=True, slots=True)
class _Stop:
    tag: str | None
    """None for all voices."""
    only_waiting: bool = False


_Command = _Play | _Stop


class Mixer:
    """A renderer of voices. One thread sends commands, another calls `render`; a deque between them needs no lock."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        """Hertz."""
        self.frame = 0
        """The mixer's clock: frames rendered so far."""
        self._commands: deque[_Command] = deque()
        self._retired: deque[Voice] = deque()
        self._voices: list[Voice] = []
        self._volume = self._target_volume = self._asked_volume = 1.0
        self._volume_step = 1.0 / max(1.0, RELEASE_S * sample_rate)
        self._ramp = np.arange(_CHUNK_FRAMES + 1, dtype=np.float64)
        self._mixed = np.zeros((2, _CHUNK_FRAMES), np.float32)
        self._scratch = np.zeros((2, _CHUNK_FRAMES), np.float32)
        self._following = np.zeros(_CHUNK_FRAMES, np.float32)
        self._fraction = np.zeros(_CHUNK_FRAMES, np.float32)
        self._level = np.zeros(_CHUNK_FRAMES, np.float32)
        self._positions = np.zeros(_CHUNK_FRAMES, np.float64)
        self._floor = np.zeros(_CHUNK_FRAMES, np.float64)
        self._index = np.zeros(_CHUNK_FRAMES, np.intp)
        self._is_past_end = np.zeros(_CHUNK_FRAMES, np.bool_)
        self.is_metering = False
        """Whether levels are measured; may be set from any thread."""
        self._peaks = [0.0, 0.0]
        self._energies = [0.0, 0.0]
        self._n_measured = 0

    def play(self, voice: Voice) -> None:
        """Start a voice at its `start_frame`. Raises QueueFull when too many commands wait for the next block."""
        self.free_finished()
        self._append(_Play(voice))

    def stop(self, tag: str | None = None) -> None:
        """Fade voices of this tag out, or all, and drop those that wait. Raises QueueFull as `play` does."""
        if tag is None:
            # None of what was to start would be heard.
            self._commands.clear()
        self._append(_Stop(tag))

    def stop_waiting(self, tag: str) -> None:
        """Drop voices of this tag that have not started. Raises QueueFull as `play` does."""
        self._append(_Stop(tag, only_waiting=True))

    def set_volume(self, volume: float) -> None:
        """Set the master volume, 0 to 1, reached within RELEASE_S from one end to the other; in silence at once."""
        self._asked_volume = volume

    def free_finished(self) -> None:
        """Release what has sounded to its end: to free a clip's memory in the callback could take too long."""
        self._retired.clear()

    @property
    def n_voices(self) -> int:
        """The number of voices that sound, fade or wait."""
        return len(self._voices)

    def take_levels(self) -> Levels:
        """Return the levels since the last call and begin anew; from any thread.

        A block that is being rendered meanwhile may be missing in them.
        """
        n_measured = max(1, self._n_measured)
        left, right = (math.sqrt(energy / n_measured) for energy in self._energies)
        levels = Levels((self._peaks[0], self._peaks[1]), (left, right))
        self._n_measured = 0
        self._peaks[:] = self._energies[:] = (0.0, 0.0)
        return levels

    def render(self, block: NDArray[np.float32]) -> None:
        """Fill a block, float32 (frames, 2), with what comes next, between -1 and 1."""
        self.run_commands()
        for begin in range(0, len(block), _CHUNK_FRAMES):
            part = block[begin : begin + _CHUNK_FRAMES]
            self._render_chunk(part)
            self.frame += len(part)

    def run_commands(self) -> None:
        """Do what waits for the next block; from outside only when nothing renders any more."""
        if self._asked_volume != self._target_volume:
            self._target_volume = self._asked_volume
            if not self._voices:
                self._volume = self._target_volume
        while True:
            try:
                command = self._commands.popleft()
            except IndexError:
                return
            match command:
                case _Play(voice):
                    self._voices.append(voice)
                case _Stop() as stop:
                    self._stop_voices(stop)

    def _append(self, command: _Command) -> None:
        if len(self._commands) >= MAX_COMMANDS:
            raise QueueFull(f"{MAX_COMMANDS} commands wait for the device's next block already; try again later")
        self._commands.append(command)

    def _stop_voices(self, stop: _Stop) -> None:
        for voice in self._voices:
            if (stop.tag is None or stop.tag in voice.tags) and not (stop.only_waiting and voice.is_started):
                self._release(voice, voice.release_s)
        self._remove_finished()

    def _release(self, voice: Voice, seconds: float) -> None:
        """Let a voice fade out, never slower than it does already.

        One that has not started is done at once, having the level 0.
        """
        voice.level_step = min(voice.level_step, -1.0 / max(1.0, seconds * self.sample_rate))

    def _render_chunk(self, out: NDArray[np.float32]) -> None:
        n = len(out)
        self._start_due(n)
        mix = self._mixed[:, :n]
        mix.fill(0.0)
        for voice in self._voices:
            if voice.is_started:
                self._add(voice, mix, n)
        self._remove_finished()
        self._apply_volume(mix, n)
        self._limit(mix)
        if self.is_metering:
            self._measure(mix, n)
        np.copyto(out, mix.T)

    def _start_due(self, n: int) -> None:
        """Start the voices that are due in this chunk, choke their groups, and keep to the number of voices."""
        for voice in self._voices:
            if voice.is_started or voice.level_step < 0 or voice.start_frame >= self.frame + n:
                continue
            voice.is_started = True
            voice.start_frame = max(voice.start_frame, self.frame)
            voice.level_step = 1.0 / max(1.0, voice.attack_s * self.sample_rate)
            if voice.choke:
                self._choke(voice)
        self._limit_voices(_is_held, MAX_VOICES, RELEASE_S)
        self._limit_voices(_is_fading, _MAX_FADING, QUICK_RELEASE_S)

    def _limit_voices(self, is_counted: Callable[[Voice], bool], limit: int, seconds: float) -> None:
        """Let the oldest of the counted voices fade where there are more than `limit`."""
        surplus = -limit
        for voice in self._voices:
            surplus += is_counted(voice)
        for voice in self._voices:
            if surplus <= 0:
                return
            if is_counted(voice):
                self._release(voice, seconds)
                surplus -= 1

    def _choke(self, newer: Voice) -> None:
        for voice in self._voices:
            if voice is not newer and voice.is_started and voice.choke == newer.choke:
                self._release(voice, min(voice.release_s, RELEASE_S))

    def _add(self, voice: Voice, mix: NDArray[np.float32], n: int) -> None:
        offset = max(0, voice.start_frame - self.frame)
        n -= offset
        n = self._read_samples(voice, n)
        self._apply_envelope(voice, n)
        angle = (voice.pan + 1.0) * math.pi / 4
        scale = voice.gain * math.sqrt(2.0)
        for channel, gain in enumerate((scale * math.cos(angle), scale * math.sin(angle))):
            row = self._scratch[channel, :n]
            # Exactly 1 in the middle, where rounding would say 0.9999999999999999 or more.
            row *= np.float32(voice.gain if voice.pan == 0 else gain)
            mix[channel, offset : offset + n] += row

    def _read_samples(self, voice: Voice, n: int) -> int:
        """Read the next `n` samples of a voice into `_scratch`, linearly interpolated; return how many there were."""
        length = voice.samples.shape[1]
        first = int(voice.position)
        end = voice.loop[1] if voice.loop else length
        if voice.rate == 1.0 and voice.position == first and first + n <= end:
            np.copyto(self._scratch[:, :n], voice.samples[:, first : first + n])
            self._advance(voice, n)
            return n
        if not voice.loop:
            n = min(n, max(0, math.ceil((length - voice.position) / voice.rate)))
        self._find_positions(voice, n)
        index, is_past_end, following = self._index[:n], self._is_past_end[:n], self._following[:n]
        for channel in (0, 1):
            row = self._scratch[channel, :n]
            samples = voice.samples[channel]
            samples.take(index, out=row, mode="clip")
            index += 1
            np.greater_equal(index, end, out=is_past_end)
            # What follows the end of a loop is its start; what follows the end of a clip is its last sample.
            np.copyto(following, 0.0)
            samples.take(index, out=following, mode="clip")
            if voice.loop:
                np.copyto(following, samples[voice.loop[0]], where=is_past_end)
            index -= 1
            following -= row
            following *= self._fraction[:n]
            row += following
        self._advance(voice, n)
        return n

    def _find_positions(self, voice: Voice, n: int) -> None:
        """Compute the whole and fractional positions of the next `n` frames into `_index` and `_fraction`."""
        positions, floor = self._positions[:n], self._floor[:n]
        np.multiply(self._ramp[:n], voice.rate, out=positions)
        positions += voice.position
        if voice.loop:
            begin, end = voice.loop
            np.greater_equal(positions, end, out=self._is_past_end[:n])
            positions -= begin
            np.fmod(positions, end - begin, out=floor)
            np.copyto(positions, floor, where=self._is_past_end[:n])
            positions += begin
        np.floor(positions, out=floor)
        np.copyto(self._index[:n], floor, casting="unsafe")
        positions -= floor
        np.copyto(self._fraction[:n], positions, casting="same_kind")

    def _advance(self, voice: Voice, n: int) -> None:
        voice.position += n * voice.rate
        if voice.loop:
            begin, end = voice.loop
            if voice.position >= end:
                voice.position = begin + (voice.position - begin) % (end - begin)
        elif voice.position >= voice.samples.shape[1]:
            # Removed after this chunk, in which its last samples are heard.
            voice.position = math.inf

    def _apply_envelope(self, voice: Voice, n: int) -> None:
        """Apply attack or release to the first `n` frames of `_scratch`."""
        if voice.level_step > 0 and voice.level >= 1.0:
            return
        if voice.level_step >= 1.0:
            voice.level = 1.0
            return
        level, positions = self._level[:n], self._positions[:n]
        np.multiply(self._ramp[1 : n + 1], voice.level_step, out=positions)
        positions += voice.level
        np.clip(positions, 0.0, 1.0, out=positions)
        np.copyto(level, positions, casting="same_kind")
        self._scratch[:, :n] *= level
        voice.level = min(1.0, max(0.0, voice.level + n * voice.level_step))

    def _remove_finished(self) -> None:
        for i in range(len(self._voices) - 1, -1, -1):
            voice = self._voices[i]
            if voice.is_done:
                self._retired.append(self._voices.pop(i))

    def _apply_volume(self, mix: NDArray[np.float32], n: int) -> None:
        if self._volume == self._target_volume:
            if self._volume != 1.0:
                mix *= np.float32(self._volume)
            return
        step = math.copysign(self._volume_step, self._target_volume - self._volume)
        low, high = sorted((self._volume, self._target_volume))
        positions, level = self._positions[:n], self._level[:n]
        np.multiply(self._ramp[1 : n + 1], step, out=positions)
        positions += self._volume
        np.clip(positions, low, high, out=positions)
        np.copyto(level, positions, casting="same_kind")
        mix *= level
        self._volume = float(positions[-1])

    def _measure(self, mix: NDArray[np.float32], n: int) -> None:
        for channel in (0, 1):
            row = mix[channel]
            self._peaks[channel] = max(self._peaks[channel], float(row.max()), -float(row.min()))
            self._energies[channel] += float(np.dot(row, row))
        self._n_measured += n

    def _limit(self, mix: NDArray[np.float32]) -> None:
        """Saturate what is above the knee, smoothly towards 1: sample by sample, so without delay or state."""
        for row in mix:
            if max(row.max(), -row.min()) <= _KNEE:
                continue
            over = self._following[: len(row)]
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


def _is_held(voice: Voice) -> bool:
    return voice.is_started and voice.level_step >= 0


def _is_fading(voice: Voice) -> bool:
    return voice.is_started and voice.level_step < 0
