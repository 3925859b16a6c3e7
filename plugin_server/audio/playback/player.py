"""The player: clips decoded, cached and given to the mixer, in a thread of its own."""

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
from plugin_server.audio.playback.device import BLOCK_FRAMES, OpenOutput, Output, PortAudioOutput, list_outputs
from plugin_server.audio.playback.link import LinkSession
from plugin_server.audio.playback.mixer import Levels
from plugin_server.audio.playback.voice import RELEASE_S, Voice, to_stereo
from plugin_server.errors import BadArgument, BadFile

CACHE_BYTES = 256 * 2**20
"""Decoded clips that are cached, so that playing one again starts at once."""
P = ParamSpec("P")
T = TypeVar("T")
BEATS = {"beat": 1, "bar": 4}
"""Beats from one line of the grid on which a clip may start to the next."""


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


class Player:
    """A player of clips on one device, which is opened when first needed and again after it was unplugged.

    Every method but `submit` and `close` runs in the player's thread: files, resampling and PortAudio may take long.
    """

    def __init__(self, open_output: OpenOutput = PortAudioOutput) -> None:
        self._open = open_output
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="player")
        self._output: Output | None = None
        self._device = ""
        self._volume = 1.0
        self._is_metering = False
        self._clips: OrderedDict[tuple[Path, int, int], NDArray[np.float32]] = OrderedDict()
        self._bpm = 120.0
        self._link: LinkSession | None = None
        self._anchor = 0.0
        """Frame of the mixer's clock at which a bar begins."""

    @property
    def bpm(self) -> float:
        """The tempo in beats a minute, that of the Link session where one is joined."""
        return self._link.bpm if self._link else self._bpm

    def submit(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Run one of the methods below in the player's thread, after those submitted before; from any thread."""
        return self._thread.submit(work, *arguments, **named)

    def close(self) -> None:
        """Fall silent and close the device. Waits for what the thread is at."""
        self._thread.submit(self.link, join=False)
        self._thread.submit(self._close_output)
        self._thread.shutdown(wait=True, cancel_futures=False)

    def play(self, cue: Cue) -> None:
        """Play a clip on the device. Raises BadFile, DeviceUnavailable, or BadArgument for a loop outside of it."""
        output = self._require_output()
        mixer = output.mixer
        samples = self._load(cue.path, mixer.sample_rate)
        loop = loop_points(cue, samples.shape[1], mixer.sample_rate)
        start = self._next_start(output, BEATS[cue.at]) if cue.at in BEATS else 0
        voice = Voice(
            samples,
            tag=str(cue.path),
            gain=cue.gain,
            pan=cue.pan,
            rate=cue.rate,
            loop=loop,
            start_frame=start,
            choke=cue.choke,
            attack_s=cue.attack,
            release_s=cue.release,
        )
        mixer.play(voice)

    def prepare(self, path: Path) -> None:
        """Decode a clip that may be played soon, where a device is open. Errors are left for `play` to raise."""
        if self._output and self._output.is_alive:
            with suppress(BadFile):
                self._load(path, self._output.mixer.sample_rate)

    def stop(self, path: Path | None = None) -> None:
        """Fade one clip out, or all."""
        if self._output:
            self._output.mixer.stop(None if path is None else str(path))

    def set_metering(self, *, enabled: bool) -> None:
        """Measure levels, or no longer; also on another device."""
        self._is_metering = enabled
        if self._output:
            self._output.mixer.is_metering = enabled

    def take_levels(self) -> tuple[Levels, int, int]:
        """Return the levels since the last call, the voices, and the open device's underruns; from any thread."""
        output = self._output
        if output is None:
            return Levels(), 0, 0
        return output.mixer.take_levels(), output.mixer.n_voices, output.n_underruns

    def set_volume(self, volume: float) -> None:
        """Set the master volume, 0 to 1; also of another device."""
        self._volume = volume
        if self._output:
            self._output.mixer.set_volume(volume)

    def set_tempo(self, bpm: float) -> None:
        """Set the tempo in beats a minute; in a Link session for all who take part.

        From now on: the beat that sounds now keeps its position in the bar.
        """
        if self._output:
            now = self._output.mixer.frame
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
        self._close_output()
        self._device = name
        return self._require_output().name

    def devices(self) -> list[tuple[str, int, int, bool]]:
        """Return name, channels, sample rate and whether it is in use, of each output. Raises DeviceUnavailable."""
        in_use = self._output.name if self._output and self._output.is_alive else None
        return [(*row, row[0] == in_use) for row in list_outputs(rescan=in_use is None)]

    def _require_output(self) -> Output:
        """Return the output, opened where none runs. Raises DeviceUnavailable."""
        if self._output is None or not self._output.is_alive:
            self._close_output()
            self._output = self._open(self._device)
            self._output.mixer.set_volume(self._volume)
            self._output.mixer.is_metering = self._is_metering
            self._anchor = 0.0
        return self._output

    def _close_output(self) -> None:
        if self._output:
            output, self._output = self._output, None
            output.close()

    def _next_start(self, output: Output, beats: int) -> int:
        sample_rate = output.mixer.sample_rate
        # A block ahead: what lies in the one that is being rendered would come late.
        ahead, spacing = output.mixer.frame + BLOCK_FRAMES, beats * 60 * sample_rate / self.bpm
        anchor = _link_anchor(output, self._link) if self._link else self._anchor
        return next_on_grid(ahead, anchor, spacing)

    def _load(self, path: Path, sample_rate: int) -> NDArray[np.float32]:
        """Return a clip as float32 (2, frames) at the device's rate, decoded only where the file is new."""
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
        while len(self._clips) > 1 and sum(samples.nbytes for samples in self._clips.values()) > CACHE_BYTES:
            self._clips.popitem(last=False)
        return self._clips[key]


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
