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
from onnx_export.video.cutting import Cutting
from plugin_server.audio.spectral import MelSettings, log_mel
from plugin_server.engine.inputs.images import CONTAINERS

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame
    from av.container import InputContainer

log = logging.getLogger(__name__)

SILENT_PEAK = 10 ** (-50 / 20)
"""Peak, of full scale, of a quiet clip: it would be mostly its own noise once levels are normalised."""
MAX_DAMAGED_PACKETS = 20
MIN_SOUND_SHARE = 0.8
"""Share of the length that a file's header has: with less sound in it, it is a part of a file."""
MAX_READ_S = 300.0
"""Longest time that reading one file may take."""


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
class VideoClip:
    """Sound and pictures of up to `clip_s` seconds."""

    start_s: float
    """Start in the file."""
    mel: np.ndarray
    """Log-mel of the level-normalised sound, float16 (frames, n_mels)."""
    pictures: Sequence[np.ndarray]
    """Frames in order, uint8 (height, width, 3) each."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The clips of a video, and the reasons for those left out."""

    clips: Sequence[VideoClip] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of clips left out, 1 for a file as a whole."""
    source_rate_hz: int = 0


class UnusableError(Exception):
    """A video that gives no clip; the message is the reason it is counted under."""


def read_video(video: Video, mel: MelSettings, cutting: Cutting, picture_side: int) -> ReadResult:
    """Return the clips of a video; those that cannot be used are counted, and nothing is raised.

    Pictures have a shorter side of at most `picture_side` pixels.
    """
    try:
        decoder = _Decoder(video, cutting, picture_side)
        decoder.run()
        return _cut(decoder, mel)
    except UnusableError as reason:
        return ReadResult(skipped={str(reason): 1})
    # Decoders raise what they like on broken files, and none of them may stop a run.
    except Exception as error:
        log.debug("%s: %r", video.path, error)
        return ReadResult(skipped={"unreadable": 1})


def _cut(decoder: "_Decoder", mel: MelSettings) -> ReadResult:
    cutting, rate = decoder.cutting, decoder.rate
    wave = np.concatenate(decoder.waves) if decoder.waves else np.zeros(0, np.float32)
    if not len(wave):
        raise UnusableError("too short" if decoder.start_s else "no sound")
    if len(wave) / rate < MIN_SOUND_SHARE * decoder.expected_s:
        raise UnusableError("damaged")
    step_s = cutting.clip_s / cutting.n_frames
    clips: list[VideoClip] = []
    skipped: dict[str, int] = {}
    for k, low in enumerate(range(0, len(wave), round(cutting.clip_s * rate))):
        piece = wave[low : low + round(cutting.clip_s * rate)]
        if len(piece) < cutting.least_s * rate:
            # The rest of a longer video is no loss.
            reason = "" if k else "too short"
        else:
            n_frames = max(1, round(len(piece) / rate / step_s))
            pictures = decoder.pictures[k * cutting.n_frames : k * cutting.n_frames + n_frames]
            reason = "no picture" if len(pictures) < n_frames else "silent" if np.abs(piece).max() < SILENT_PEAK else ""
            if not reason:
                clips.append(VideoClip(decoder.start_s + k * cutting.clip_s, _features(piece, rate, mel), pictures))
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
    return ReadResult(clips, skipped, rate)


def _features(wave: np.ndarray, rate: int, mel: MelSettings) -> np.ndarray:
    if rate != mel.sample_rate:
        wave = soxr.resample(wave, rate, mel.sample_rate).astype(np.float32)
    return np.ascontiguousarray(
        log_mel(np.clip(normalise_level(wave, mel.sample_rate), -1, 1), mel).T.astype(np.float16)
    )


class _Decoder:
    """One pass through a file, which fills `waves` and `pictures`."""

    def __init__(self, video: Video, cutting: Cutting, picture_side: int):
        self.video, self.cutting, self.side = video, cutting, picture_side
        self.start_s = video.start_s or 0.0
        self.length_s = cutting.longest_s if video.start_s is None else cutting.clip_s
        self.expected_s = 0.0
        """Seconds of sound to expect by the file's header; 0 where it has none."""
        self.rate = 0
        """Hertz, of the first sound decoded: a file's header may have half of it."""
        self.waves: list[np.ndarray] = []
        """Mono, float32, one after another."""
        self.pictures: list[np.ndarray] = []
        """The picture shown in the middle of each step of `clip_s / n_frames` seconds."""
        self._n_damaged = 0
        self._shown: tuple[VideoFrame, np.ndarray | None] | None = None
        """The last frame so far, and its picture once it was needed."""
        self._shown_s = 0.0

    def run(self) -> None:
        """Decode the file. Raises UnusableError, or what PyAV raises."""
        import av

        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        with av.open(str(self.video.path), options=options, timeout=(30, 30)) as container:
            if not container.streams.video:
                raise UnusableError("no picture")
            if not container.streams.audio:
                raise UnusableError("no sound")
            self._read_header(container)
            self._decode(container)
        self._capture_until(min(self._shown_s + self.cutting.clip_s, self.length_s))

    def _read_header(self, container: "InputContainer") -> None:
        import av

        sound, video = container.streams.audio[0], container.streams.video[0]
        expected_s = (container.duration or 0) / av.time_base
        if sound.duration and sound.time_base:
            expected_s = float(sound.duration * sound.time_base)
        self.expected_s = max(0.0, min(expected_s - self.start_s, self.length_s))
        self._zero_s = (container.start_time or 0) / av.time_base + self.start_s
        # Frames that no other is made from: a third less work, and one of them would do as well.
        video.codec_context.skip_frame = "NONREF"
        if self.start_s:
            container.seek(round(self._zero_s * av.time_base), backward=True)

    def _decode(self, container: "InputContainer") -> None:
        import av

        streams = {"audio": container.streams.audio[0], "video": container.streams.video[0]}
        resampler = av.AudioResampler(format="fltp")
        until = time.monotonic() + MAX_READ_S
        running = set(streams)
        for packet in container.demux(*streams.values()):
            if time.monotonic() > until:
                raise UnusableError("too slow")
            kind = packet.stream.type
            if kind not in running:
                continue
            for frame in self._frames(packet):
                at_s = 0.0 if frame.time is None else frame.time - self._zero_s
                if at_s >= self.length_s:
                    running.discard(kind)
                elif kind == "audio":
                    self._add_audio(resampler.resample(frame), at_s)
                else:
                    self._add_frame(frame, at_s)
            if not running:
                break

    def _frames(self, packet) -> list:
        import av

        try:
            return packet.decode()
        except av.error.InvalidDataError as error:
            self._n_damaged += 1
            if self._n_damaged > MAX_DAMAGED_PACKETS:
                raise UnusableError("damaged") from error
            return []

    def _add_audio(self, frames: "list[AudioFrame]", at_s: float) -> None:
        """Channels averaged; what lies before the beginning, to which a seek cannot go exactly, is cut away."""
        for frame in frames:
            self.rate = frame.sample_rate
            mono = frame.to_ndarray().mean(axis=0)
            early = max(0, round(-at_s * self.rate)) if not self.waves else 0
            if early < len(mono):
                self.waves.append(mono[early:])

    def _add_frame(self, frame: "VideoFrame", at_s: float) -> None:
        self._capture_until(at_s)
        self._shown, self._shown_s = (frame, None), at_s

    def _capture_until(self, time_s: float) -> None:
        """Take the frame that is shown at every step before `time_s`; before the first frame there is none."""
        if self._shown is None:
            return
        step_s = self.cutting.clip_s / self.cutting.n_frames
        while (len(self.pictures) + 0.5) * step_s < time_s:
            frame, picture = self._shown
            if picture is None:
                picture = _to_picture(frame, self.side)
                self._shown = (frame, picture)
            self.pictures.append(picture)


def _to_picture(frame: "VideoFrame", side: int) -> np.ndarray:
    picture = frame.to_image()
    shrink = side / min(picture.size)
    if shrink < 1:
        size = tuple(max(side, round(n * shrink)) for n in picture.size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture.rotate(frame.rotation, expand=True) if frame.rotation else picture)
