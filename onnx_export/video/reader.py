"""Videos as clips: the sound of some seconds beside the frames seen meanwhile."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from PIL import Image

from onnx_export.data.sounds import normalise_level
from plugin_server.audio.spectral import MelSettings, log_mel
from plugin_server.engine.inputs.images import CONTAINERS

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame
    from av.container import InputContainer

log = logging.getLogger(__name__)

SILENT_PEAK = 10 ** (-50 / 20)
"""Of full scale: what is quieter would be mostly its own noise once levels are evened out."""
MAX_DAMAGED_PACKETS = 20
LEAST_SHARE = 0.8
"""Of the length that a file tells: with less sound in it, it is a part of a file."""
MAX_READ_S = 300.0
"""Time that one file may take."""


@dataclass(frozen=True, slots=True)
class Video:
    """A file, or ten seconds of one."""

    path: Path
    recording_id: str
    label: str = ""
    split: str = ""
    """The dataset's own, 'train' or 'test'; empty where the recording decides."""
    start_s: float | None = None
    """Where the clip begins that the list names; None: all of the file is meant."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How videos become clips."""

    clip_s: float = 10.0
    """Longest clip; longer videos are cut into several."""
    n_frames: int = 8
    """Frames seen of a whole clip, evenly spaced."""
    least_s: float = 2.0
    """Shortest clip."""
    longest_s: float = 600.0
    """What a video has beyond this is left out."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound and pictures of up to `clip_s` seconds."""

    start_s: float
    """In the file."""
    mel: np.ndarray
    """Log-mel of the level-normalised sound, float16 (frames, n_mels)."""
    pictures: Sequence[np.ndarray]
    """In order, uint8 (height, width, 3) each."""


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a video."""

    clips: Sequence[Clip] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of clips left out, 1 for a file as a whole."""
    source_rate_hz: int = 0


class Unusable(Exception):
    """A video that gives nothing; the message is the reason it is counted under."""


def read_video(video: Video, mel: MelSettings, cutting: Cutting, picture_side: int) -> Read:
    """Clips of a video; what cannot be used is counted, and nothing is raised.

    Pictures have a shorter side of at most `picture_side` pixels.
    """
    try:
        decoded = _Decoding(video, cutting, picture_side)
        decoded.run()
        return _cut(decoded, mel)
    except Unusable as reason:
        return Read(skipped={str(reason): 1})
    # Decoders raise what they like on broken files, and none of them may stop a run.
    except Exception as error:
        log.debug("%s: %r", video.path, error)
        return Read(skipped={"unreadable": 1})


def _cut(decoded: "_Decoding", mel: MelSettings) -> Read:
    cutting, rate = decoded.cutting, decoded.rate
    wave = np.concatenate(decoded.waves) if decoded.waves else np.zeros(0, np.float32)
    if not len(wave):
        raise Unusable("too short" if decoded.begin_s else "no sound")
    if len(wave) / rate < LEAST_SHARE * decoded.told_s:
        raise Unusable("damaged")
    step_s = cutting.clip_s / cutting.n_frames
    clips: list[Clip] = []
    skipped: dict[str, int] = {}
    for k, low in enumerate(range(0, len(wave), round(cutting.clip_s * rate))):
        piece = wave[low : low + round(cutting.clip_s * rate)]
        if len(piece) < cutting.least_s * rate:
            # The rest of a longer video is no loss.
            reason = "" if k else "too short"
        else:
            n_frames = max(1, round(len(piece) / rate / step_s))
            pictures = decoded.pictures[k * cutting.n_frames : k * cutting.n_frames + n_frames]
            reason = "no picture" if len(pictures) < n_frames else "silent" if np.abs(piece).max() < SILENT_PEAK else ""
            if not reason:
                clips.append(Clip(decoded.begin_s + k * cutting.clip_s, _features(piece, rate, mel), pictures))
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
    return Read(clips, skipped, rate)


def _features(wave: np.ndarray, rate: int, mel: MelSettings) -> np.ndarray:
    if rate != mel.sample_rate:
        wave = soxr.resample(wave, rate, mel.sample_rate).astype(np.float32)
    return np.ascontiguousarray(log_mel(np.clip(normalise_level(wave), -1, 1), mel).T.astype(np.float16))


class _Decoding:
    """One pass through a file, which fills `waves` and `pictures`."""

    def __init__(self, video: Video, cutting: Cutting, picture_side: int):
        self.video, self.cutting, self.side = video, cutting, picture_side
        self.begin_s = video.start_s or 0.0
        self.length_s = cutting.longest_s if video.start_s is None else cutting.clip_s
        self.told_s = 0.0
        """Seconds of sound to expect by what the file tells; 0 where it does not."""
        self.rate = 0
        """Hertz, of the first sound decoded: a file's header may tell half of it."""
        self.waves: list[np.ndarray] = []
        """Mono, float32, one after another."""
        self.pictures: list[np.ndarray] = []
        """What is seen in the middle of each step of `clip_s / n_frames` seconds."""
        self._n_damaged = 0
        self._shown: tuple[VideoFrame, np.ndarray | None] | None = None
        """The last frame so far, and its picture once it was asked for."""
        self._shown_s = 0.0

    def run(self) -> None:
        """Raises Unusable, or what PyAV raises."""
        import av

        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        with av.open(str(self.video.path), options=options, timeout=(30, 30)) as container:
            if not container.streams.video:
                raise Unusable("no picture")
            if not container.streams.audio:
                raise Unusable("no sound")
            self._expect(container)
            self._decode(container)
        self._show_until(min(self._shown_s + self.cutting.clip_s, self.length_s))

    def _expect(self, container: "InputContainer") -> None:
        import av

        sound, video = container.streams.audio[0], container.streams.video[0]
        told_s = (container.duration or 0) / av.time_base
        if sound.duration and sound.time_base:
            told_s = float(sound.duration * sound.time_base)
        self.told_s = max(0.0, min(told_s - self.begin_s, self.length_s))
        self._zero_s = (container.start_time or 0) / av.time_base + self.begin_s
        # Frames that no other is made from: a third less work, and one of them would do as well.
        video.codec_context.skip_frame = "NONREF"
        if self.begin_s:
            container.seek(round(self._zero_s * av.time_base), backward=True)

    def _decode(self, container: "InputContainer") -> None:
        import av

        streams = {"audio": container.streams.audio[0], "video": container.streams.video[0]}
        resampler = av.AudioResampler(format="fltp")
        until = time.monotonic() + MAX_READ_S
        running = set(streams)
        for packet in container.demux(*streams.values()):
            if time.monotonic() > until:
                raise Unusable("too slow")
            kind = packet.stream.type
            if kind not in running:
                continue
            for frame in self._frames(packet):
                at_s = 0.0 if frame.time is None else frame.time - self._zero_s
                if at_s >= self.length_s:
                    running.discard(kind)
                elif kind == "audio":
                    self._hear(resampler.resample(frame), at_s)
                else:
                    self._see(frame, at_s)
            if not running:
                break

    def _frames(self, packet) -> list:
        import av

        try:
            return packet.decode()
        except av.error.InvalidDataError as error:
            self._n_damaged += 1
            if self._n_damaged > MAX_DAMAGED_PACKETS:
                raise Unusable("damaged") from error
            return []

    def _hear(self, frames: "list[AudioFrame]", at_s: float) -> None:
        """Channels averaged; what lies before the beginning, to which a seek cannot go exactly, is cut away."""
        for frame in frames:
            self.rate = frame.sample_rate
            mono = frame.to_ndarray().mean(axis=0)
            early = max(0, round(-at_s * self.rate)) if not self.waves else 0
            if early < len(mono):
                self.waves.append(mono[early:])

    def _see(self, frame: "VideoFrame", at_s: float) -> None:
        self._show_until(at_s)
        self._shown, self._shown_s = (frame, None), at_s

    def _show_until(self, time_s: float) -> None:
        """Take the frame that is shown at every place before `time_s`; before the first frame there is none."""
        if self._shown is None:
            return
        step_s = self.cutting.clip_s / self.cutting.n_frames
        while (len(self.pictures) + 0.5) * step_s < time_s:
            frame, picture = self._shown
            if picture is None:
                picture = _upright(frame, self.side)
                self._shown = (frame, picture)
            self.pictures.append(picture)


def _upright(frame: "VideoFrame", side: int) -> np.ndarray:
    picture = frame.to_image()
    shrink = side / min(picture.size)
    if shrink < 1:
        size = tuple(max(side, round(n * shrink)) for n in picture.size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture.rotate(frame.rotation, expand=True) if frame.rotation else picture)
