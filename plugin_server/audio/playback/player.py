"""The player: clips decoded, cached and given to the mixer, in a thread of its own."""

import math
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

from plugin_server.audio.names import name_key
from plugin_server.audio.playback.bounded_thread import BoundedThread
from plugin_server.audio.playback.clip_cache import ClipCache
from plugin_server.audio.playback.device import BLOCK_FRAMES, OpenOutput, Output, PortAudioOutput, list_outputs
from plugin_server.audio.playback.link import BEATS, LinkSession
from plugin_server.audio.playback.live_output import WATCH_S, DeviceChange, Interrupted, LiveOutput
from plugin_server.audio.playback.mixer import MAX_VOICES, Levels
from plugin_server.audio.playback.voice import RELEASE_S, Voice
from plugin_server.errors import BadArgument, BadFile, QueueFull

MAX_QUEUED = 512
"""Pieces of work that may wait for the player; twice what commands may."""
MAX_PREPARED = 128
"""Clips that wait to be decoded before they are needed: those of one bank."""
CLOSE_S = 0.5
"""Seconds that the player's thread has for the end of what it is at."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cue:
    """A clip and how it is to be played; `Voice` tells the ranges."""

    path: Path
    gain: float = 1.0
    pan: float = 0.0
    rate: float = 1.0
    loop: bool | tuple[float, float] = False
    """Whether the whole clip is looped, or the seconds from and to which it is."""
    attack: float = 0.0
    """Seconds."""
    release: float = RELEASE_S
    """Seconds of fade when it is stopped."""
    at: str = "now"
    """'now', 'beat' or 'bar': when it starts."""
    choke: str = ""
    """Name of a choke group."""
    clip_id: str = ""
    """Id of the clip, by which it can be stopped as by its path."""
    slot: str = ""
    """Names the slot that it belongs to, by which it can be stopped, too. Of one slot, one clip waits for its time."""
    group: str = ""
    """Names all that it can be stopped together with."""
    is_toggle: bool = False
    """Whether it stops its slot where that sounds, in place of starting it."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The names by which it can be stopped."""
        return tuple(tag for tag in (str(self.path), self.clip_id, self.slot, self.group) if tag)


class Player:
    """A player of clips on one device, which is opened when first needed and again after it was unplugged.

    Every method but `submit`, `prepare_soon`, `set_metering`, `take_levels` and `close` runs in the player's thread:
    files, resampling and PortAudio may take long.
    """

    def __init__(self, open_output: OpenOutput = PortAudioOutput) -> None:
        self._live: LiveOutput[Cue] = LiveOutput(open_output, self._resume)
        self._thread = BoundedThread("player", MAX_QUEUED, self._live.watch, WATCH_S)
        self._clips = ClipCache()
        self._to_prepare: OrderedDict[Path, None] = OrderedDict()
        self._prepare_lock = Lock()
        self._bpm = 120.0
        self._link: LinkSession | None = None
        self._anchor = 0.0
        """Frame of the mixer's clock at which a bar begins."""
        self._n_opened = 0

    @property
    def bpm(self) -> float:
        """The tempo in beats a minute, that of the Link session where one is joined."""
        return self._link.bpm if self._link else self._bpm

    @property
    def volume(self) -> float:
        """The master volume, 0 to 1."""
        return self._live.volume

    @property
    def device(self) -> str:
        """The name of the output that is open, else of the one that was chosen; '' for the system's default."""
        return self._live.output.name if self._live.output else self._live.device

    def on_device_change(self, listener: Callable[[DeviceChange], None]) -> None:
        """Have a function called, in the player's thread, when the device was lost or is open again."""
        self._live.on_change = listener

    def submit(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Run one of the methods below in the player's thread, after those submitted before; from any thread.

        Raises QueueFull when too many wait, RuntimeError after `close`.
        """
        return self._thread.submit(work, *arguments, **named)

    def close(self) -> None:
        """Fall silent and close the device, without what still waits. Waits for what the thread is at, CLOSE_S long."""
        self._thread.close(self._close, CLOSE_S)

    def play(self, cue: Cue) -> bool:
        """Play a clip on the device; return False when it was stopped in place of that, being a toggle.

        Raises BadFile, DeviceUnavailable, QueueFull when too many wait or sound, or BadArgument for a loop outside of
        the clip.
        """
        if cue.is_toggle and self._live.is_sounding(cue.slot):
            self.stop(cue.slot)
            return False
        self._start(self._live.require(), cue)
        return True

    def is_sounding(self, tag: str) -> bool:
        """Return whether a clip of this path, id or slot sounds, or waits to."""
        return self._live.is_sounding(tag)

    def prepare(self, path: Path) -> None:
        """Decode a clip that may be played soon, where a device is open. Errors are left for `play` to raise."""
        output = self._live.output
        if output and output.is_alive:
            with suppress(BadFile, QueueFull):
                self._clips.load(path, output.mixer.sample_rate)

    def prepare_soon(self, path: Path) -> None:
        """Have `prepare` done when nothing else waits for long; from any thread. Of too many the first are left out."""
        with self._prepare_lock:
            is_first = not self._to_prepare
            self._to_prepare[path] = None
            self._to_prepare.move_to_end(path)
            if len(self._to_prepare) > MAX_PREPARED:
                self._to_prepare.popitem(last=False)
        if is_first:
            self._submit_prepare()

    def stop(self, tag: str | Path | None = None) -> None:
        """Fade out what has this path, id or slot, or all."""
        self._live.stop(None if tag is None else str(tag))

    def set_metering(self, *, enabled: bool) -> None:
        """Measure levels, or no longer; also on another device. From any thread."""
        self._live.set_metering(enabled=enabled)

    def take_levels(self) -> tuple[Levels, int, int]:
        """Return the levels since the last call, the voices, and the open device's underruns; from any thread."""
        output = self._live.output
        if output is None:
            return Levels(), 0, 0
        return output.mixer.take_levels(), output.mixer.n_voices, output.n_underruns

    def set_volume(self, volume: float) -> None:
        """Set the master volume, 0 to 1; also of another device."""
        self._live.set_volume(volume)

    def set_tempo(self, bpm: float) -> None:
        """Set the tempo in beats a minute; in a Link session for all who take part.

        From now on: the beat that sounds now keeps its position in the bar.
        """
        self._follow_clock()
        if self._live.output:
            now = self._live.output.mixer.frame
            self._anchor = now - (now - self._anchor) * self._bpm / bpm
        self._bpm = bpm
        if self._link:
            self._link.bpm = bpm

    def link(self, *, join: bool | None) -> tuple[bool, int, float]:
        """Join or leave the Link session, None for neither. Raises LinkUnavailable.

        Returns:
            Whether it is joined, the other peers in it, and the tempo in beats a minute.
        """
        if join and not self._link:
            self._link = LinkSession(self._bpm)
        elif join is False and self._link:
            link, self._link = self._link, None
            # Goes on at the session's tempo.
            self.set_tempo(link.bpm)
            link.close()
        return self._link is not None, self._link.n_peers if self._link else 0, self.bpm

    def set_device(self, name: str) -> str:
        """Open the output of this name, the system's default for ""; return its name. Raises DeviceUnavailable."""
        return self._live.set_device(name)

    def devices(self) -> list[tuple[str, int, int, bool]]:
        """Return name, channels, sample rate and whether it is in use, of each output. Raises DeviceUnavailable."""
        output = self._live.output
        in_use = output.name if output and output.is_alive else None
        return [(*row, row[0] == in_use) for row in list_outputs(rescan=output is None)]

    def _follow_clock(self) -> None:
        """Let a bar begin with the output's clock, where another output was opened: each has a clock of its own."""
        if self._live.n_opened != self._n_opened:
            self._n_opened, self._anchor = self._live.n_opened, 0.0

    def _start(self, output: Output, cue: Cue, from_s: float = 0.0) -> None:
        self._follow_clock()
        mixer = output.mixer
        samples = self._clips.load(cue.path, mixer.sample_rate)
        loop = loop_points(cue, samples.shape[1], mixer.sample_rate)
        start = 0
        if cue.at in BEATS:
            if cue.slot:
                self._live.stop_waiting(cue.slot)
            if self._live.n_waiting >= MAX_VOICES:
                raise QueueFull(f"{MAX_VOICES} clips wait for their beat already; try again later")
            start = self._next_start(output, BEATS[cue.at])
        voice = Voice(
            samples,
            tags=cue.tags,
            gain=cue.gain,
            pan=cue.pan,
            rate=cue.rate,
            loop=loop,
            start_frame=start,
            choke=name_key(cue.choke),
            attack_s=cue.attack,
            release_s=cue.release,
            position=min(from_s * mixer.sample_rate, float(samples.shape[1] - 1)),
        )
        mixer.play(voice)
        self._live.add(voice, cue)

    def _resume(self, output: Output, interrupted: Interrupted[Cue]) -> None:
        self._start(output, interrupted.cue, interrupted.seconds)

    def _submit_prepare(self) -> None:
        try:
            self._thread.submit(self._prepare_next)
        except (QueueFull, RuntimeError):
            # What is left out is decoded when it is played.
            with self._prepare_lock:
                self._to_prepare.clear()

    def _prepare_next(self) -> None:
        """Prepare one clip, and go on after those who wait: a clip that is played now must not wait for a bank."""
        with self._prepare_lock:
            path = next(iter(self._to_prepare), None)
        if path is None:
            return
        self.prepare(path)
        with self._prepare_lock:
            self._to_prepare.pop(path, None)
            is_last = not self._to_prepare
        if not is_last:
            self._submit_prepare()

    def _close(self) -> None:
        self.link(join=False)
        self._live.close()

    def _next_start(self, output: Output, beats: int) -> int:
        sample_rate = output.mixer.sample_rate
        # A block ahead: what lies in the one that is being rendered would come late.
        ahead, spacing = output.mixer.frame + BLOCK_FRAMES, beats * 60 * sample_rate / self.bpm
        anchor = _link_anchor(output, self._link) if self._link else self._anchor
        return next_on_grid(ahead, anchor, spacing)


def _link_anchor(output: Output, link: LinkSession) -> float:
    """Return the frame of the mixer's clock that is, or was, heard at the session's beat 0, where a bar begins."""
    return output.audible_frame - link.beat * 60 * output.mixer.sample_rate / link.bpm


def loop_points(cue: Cue, n_frames: int, sample_rate: int) -> tuple[int, int] | None:
    """Return the first frame of a cue's loop and the one after its last, None for no loop.

    `n_frames` and `sample_rate` are those of the decoded clip. Raises BadArgument when a point lies outside of it.
    """
    if isinstance(cue.loop, bool):
        return (0, n_frames) if cue.loop else None
    begin, end = (round(second * sample_rate) for second in cue.loop)
    if not 0 <= begin < end <= n_frames:
        came = f"{cue.loop[0]:g} to {cue.loop[1]:g} s"
        raise BadArgument(f"loop: got {came}, expected two points in order within {n_frames / sample_rate:g} s")
    return begin, end


def next_on_grid(frame: int, anchor: float, spacing: float) -> int:
    """Return the first frame after `frame` on a grid of lines `spacing` frames apart, of which one is at `anchor`."""
    line = math.floor((frame - anchor) / spacing) + 1
    return round(anchor + line * spacing)
