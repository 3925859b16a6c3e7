"""Live output: clips decoded, kept ready and given to the mixer. Works in a thread of its own."""

import math
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.finish import resample
from plugin_server.audio.formats.files import read_clip
from plugin_server.audio.playback.device import BLOCK, OpenOutput, Output, PortAudioOutput, list_outputs
from plugin_server.audio.playback.link import LinkSession
from plugin_server.audio.playback.mixer import RELEASE_S, Levels, Voice, to_stereo
from plugin_server.errors import BadArgument, BadFile

CACHE_BYTES = 256 * 2**20
"""Decoded clips that are kept, so that playing one again starts at once."""
P = ParamSpec("P")
T = TypeVar("T")
BEATS = {"beat": 1, "bar": 4}
"""Beats from one place where a clip may start to the next."""


@dataclass(frozen=True, slots=True)
class Cue:
    """How a clip is to be played; `Voice` tells the ranges."""

    path: Path
    gain: float = 1.0
    pan: float = 0.0
    rate: float = 1.0
    loop: bool | tuple[float, float] = False
    """The whole clip, or from one second to another."""
    attack: float = 0.0
    """Seconds."""
    release: float = RELEASE_S
    """Seconds."""
    at: str = "now"
    """'now', 'beat' or 'bar'."""
    choke: str = ""


class Player:
    """Plays clips on one device, which is opened when first needed and again after it was unplugged.

    Every method but `submit` and `close` runs in the player's thread: files, resampling and PortAudio may take long.
    """

    def __init__(self, open_output: OpenOutput = PortAudioOutput) -> None:
        self._open = open_output
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="player")
        self._output: Output | None = None
        self._device = ""
        self._volume = 1.0
        self._metering = False
        self._clips: OrderedDict[tuple[Path, int, int], NDArray[np.float32]] = OrderedDict()
        self._bpm = 120.0
        self._link: LinkSession | None = None
        self._anchor = 0.0
        """Frame of the mixer's clock at which a bar begins."""

    @property
    def bpm(self) -> float:
        """Beats a minute, of the Link session where one is joined."""
        return self._link.bpm if self._link else self._bpm

    def submit(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Do one of the methods below, after those asked for before; from any thread."""
        return self._thread.submit(work, *arguments, **named)

    def close(self) -> None:
        """Fall silent and give the device back. Waits for what the thread is at."""
        self._thread.submit(self.link, False)
        self._thread.submit(self._close_output)
        self._thread.shutdown(wait=True, cancel_futures=False)

    def play(self, cue: Cue) -> None:
        """Sound. Raises BadFile or DeviceUnavailable."""
        output = self._ready()
        mixer = output.mixer
        samples = self._samples(cue.path, mixer.sample_rate)
        loop = loop_points(cue.loop, samples.shape[1], mixer.sample_rate)
        start = self._next_start(output, BEATS[cue.at]) if cue.at in BEATS else 0
        tone = (cue.gain, cue.pan, cue.rate)
        mixer.play(Voice(samples, str(cue.path), *tone, loop, start, cue.choke, cue.attack, cue.release))

    def prepare(self, path: Path) -> None:
        """Decode a clip that may be played soon, where a device is open. What is wrong with it `play` tells."""
        if self._output and self._output.alive:
            with suppress(BadFile):
                self._samples(path, self._output.mixer.sample_rate)

    def stop(self, path: Path | None = None) -> None:
        """Fade a clip, or all, out."""
        if self._output:
            self._output.mixer.stop(None if path is None else str(path))

    def meter(self, on: bool) -> None:
        """Measure levels, or no longer; kept when the device changes."""
        self._metering = on
        if self._output:
            self._output.mixer.metering = on

    def levels(self) -> tuple[Levels, int, int]:
        """Levels since the last call, voices, and underruns of the device that is open; from any thread."""
        output = self._output
        if output is None:
            return Levels(), 0, 0
        return output.mixer.take_levels(), output.mixer.n_voices, output.n_underruns

    def set_volume(self, volume: float) -> None:
        """Master volume, 0 to 1; kept when the device changes."""
        self._volume = volume
        if self._output:
            self._output.mixer.set_volume(volume)

    def set_tempo(self, bpm: float) -> None:
        """Beats a minute, from now on: the beat that sounds now keeps its place in the bar. In a Link session for all
        who take part."""
        if self._output:
            now = self._output.mixer.frame
            self._anchor = now - (now - self._anchor) * self._bpm / bpm
        self._bpm = bpm
        if self._link:
            self._link.bpm = bpm

    def link(self, on: bool | None) -> tuple[bool, int, float]:
        """Join or leave the Link session, None for neither. Whether it is joined, others in it, beats a minute.

        Raises LinkUnavailable.
        """
        if on and not self._link:
            self._link = LinkSession(self._bpm)
        elif on is False and self._link:
            link, self._link = self._link, None
            # Goes on at the session's tempo.
            self.set_tempo(link.bpm)
            link.close()
        return self._link is not None, self._link.n_peers if self._link else 0, self.bpm

    def set_device(self, name: str) -> str:
        """Play on the output of this name, the system's default for "". Its name. Raises DeviceUnavailable."""
        self._close_output()
        self._device = name
        return self._ready().name

    def devices(self) -> list[tuple[str, int, int, bool]]:
        """Name, channels, rate and whether it is in use, of each output. Raises DeviceUnavailable."""
        in_use = self._output.name if self._output and self._output.alive else None
        return [(*row, row[0] == in_use) for row in list_outputs(fresh=in_use is None)]

    def _ready(self) -> Output:
        """The output, opened where none runs."""
        if self._output is None or not self._output.alive:
            self._close_output()
            self._output = self._open(self._device)
            self._output.mixer.set_volume(self._volume)
            self._output.mixer.metering = self._metering
            self._anchor = 0.0
        return self._output

    def _close_output(self) -> None:
        if self._output:
            output, self._output = self._output, None
            output.close()

    def _next_start(self, output: Output, beats: int) -> int:
        sample_rate = output.mixer.sample_rate
        # A block ahead: what lies in the one that is being rendered would come late.
        ahead, spacing = output.mixer.frame + BLOCK, beats * 60 * sample_rate / self.bpm
        anchor = _link_anchor(output, self._link) if self._link else self._anchor
        return next_on_grid(ahead, anchor, spacing)

    def _samples(self, path: Path, sample_rate: int) -> NDArray[np.float32]:
        """Float32 (2, frames) at the device's rate, decoded only where the file is new."""
        try:
            key = (path, path.stat().st_mtime_ns, sample_rate)
        except (OSError, ValueError) as error:
            raise BadFile(f"{path} cannot be read: {error}") from error
        if key not in self._clips:
            clip = resample(read_clip(path), sample_rate)
            if not clip.n_frames:
                raise BadFile(f"{path}: holds no samples")
            self._clips[key] = to_stereo(clip.samples)
        self._clips.move_to_end(key)
        while len(self._clips) > 1 and sum(kept.nbytes for kept in self._clips.values()) > CACHE_BYTES:
            self._clips.popitem(last=False)
        return self._clips[key]


def _link_anchor(output: Output, link: LinkSession) -> float:
    """Frame of the mixer's clock that is, or was, heard at the session's beat 0, where a bar begins."""
    return output.frame_heard - link.beat * 60 * output.mixer.sample_rate / link.bpm


def loop_points(loop: bool | tuple[float, float], n_frames: int, sample_rate: int) -> tuple[int, int] | None:
    """First frame of a loop and the one after its last, None for no loop. Raises BadArgument when it lies outside."""
    if isinstance(loop, bool):
        return (0, n_frames) if loop else None
    begin, end = (round(second * sample_rate) for second in loop)
    if not 0 <= begin < end <= n_frames:
        came = f"{loop[0]:g} to {loop[1]:g} s"
        raise BadArgument(f"loop: got {came}, expected two points in order within {n_frames / sample_rate:g} s")
    return begin, end


def next_on_grid(frame: int, anchor: float, spacing: float) -> int:
    """First frame after `frame` on a grid of lines `spacing` frames apart, of which one is at `anchor`."""
    line = math.floor((frame - anchor) / spacing) + 1
    return round(anchor + line * spacing)
