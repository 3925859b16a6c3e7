"""Pictures and frames of videos as arrays, decoded within bounds of size and time.

Decoders are native code that reads what strangers wrote: they run in the engine's process, where a crash costs one job.
Nothing but the file that was named is read, whatever is written in it.
"""

import io
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

from plugin_server.engine.bundles.card import ImageSpec
from plugin_server.engine.inputs.image_files import open_image
from plugin_server.errors import BadFile

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

JPEG, PNG, WEBP, AVIF, HEIF = "JPEG", "PNG", "WEBP", "AVIF", "HEIF"
"""Pillow's names of its formats; HEIC is one kind of HEIF, and read where pillow-heif is installed."""
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
"""By the names that cards use."""
UNREADABLE = "is neither a picture nor a video that can be read"
INSTALL_HINT = 'pip install "clipsonic-live[pictures]"'
MAX_PIXELS = 80_000_000
"""Cameras make 50 million; a hundred times that fits into a small file that was made to harm."""
MAX_PICTURE_BYTES = 200_000_000
MAX_FRAME_PIXELS = 4096 * 2304
MAX_VIDEO_S = 5.0
"""Time that the frames of one video may take."""
MAX_READ_ON_S = 3.0
"""The next frame of a video that is no further away is reached by reading on: most key frames lie further apart."""
LARGEST_SIDE = 1024
"""Pictures are made smaller at once; no tower looks at more."""
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif"
"""Kinds of video files. Playlists and lists of files are none: they could name other files, or the network."""


def read_images(path: Path, n_frames: int = 1) -> list[NDArray[np.uint8]]:
    """Read a picture, or `n_frames` frames of a video: uint8 (height, width, 3) each, at most 1024 pixels a side.

    JPEG, PNG, WebP, AVIF, HEIC with pillow-heif, and videos with PyAV: the first frame, or several spread over its
    length. Where those cannot be reached within 5 s, frames before them are taken. Raises BadFile that names `image`.
    """
    with open_image(path) as file:
        head = file.read(32)
        file.seek(0)
        format_ = _picture_format(head)
        try:
            return [_read_picture(path, file, format_)] if format_ else _read_video(path, file, n_frames)
        except OSError as error:
            raise BadFile(f"image: {path} cannot be read: {error.strerror or error}") from error


def fit(pixels: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    """Return pixels uint8 (height, width, 3) in the size that the image tower takes, uint8 (size, size, 3)."""
    picture, size = Image.fromarray(pixels), spec.size
    resampling = RESAMPLING[spec.filter]
    if spec.fit == "squash":
        return np.asarray(picture.resize((size, size), resampling))
    side = min(picture.size)
    left, top = ((n - side) / 2 for n in picture.size)
    # Cut and scaled in one go: a long picture is not blown up first.
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), resampling, box=box))


def normalise(pictures: list[NDArray[np.uint8]], spec: ImageSpec) -> NDArray[np.float32]:
    """Return the image tower's input, float32 (n, 3, size, size)."""
    pixels = np.stack([fit(picture, spec) for picture in pictures]).astype(np.float32) / np.float32(255)
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    return ((pixels - mean) / std).transpose(0, 3, 1, 2)


def _picture_format(head: bytes) -> str | None:
    """Return the format of a file that begins with `head`; None for what may be a video."""
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp" and head[8:12] in (*HEIF_BRANDS, *AVIF_BRANDS):
        # Some brands belong to both: then the other brands that the file lists decide.
        return AVIF if head[8:12] in AVIF_BRANDS or any(brand in head[16:] for brand in AVIF_BRANDS) else HEIF
    return None


def _read_picture(path: Path, file: BinaryIO, format_: str) -> NDArray[np.uint8]:
    size = os.fstat(file.fileno()).st_size
    if size > MAX_PICTURE_BYTES:
        raise BadFile(f"image: {path} has {size / 1e6:.0f} MB, expected at most {MAX_PICTURE_BYTES / 1e6:.0f}")
    # From the start Pillow knows only some of its formats.
    Image.init()
    if format_ == HEIF:
        _register_heif(path)
    # Read first: a file that changes meanwhile, or lies on a disk that goes away, is then no longer asked.
    data = io.BytesIO(file.read(MAX_PICTURE_BYTES))
    try:
        with warnings.catch_warnings():
            # Pillow's own bound is a warning; ours is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(data, formats=[format_]) as picture:
                return _decode(path, picture)
    except Image.DecompressionBombError as error:
        raise BadFile(f"image: {path} is too large: {error}") from error
    except BadFile:
        raise
    # Pillow's decoders raise what they like on broken files.
    except Exception as error:
        raise BadFile(f"image: {path} is no picture that can be read: {error}") from error


def _decode(path: Path, picture: Image.Image) -> NDArray[np.uint8]:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise BadFile(f"image: {path} is {width} x {height} pixels, expected at most {MAX_PIXELS / 1e6:.0f} million")
    if picture.mode in ("P", "PA", "1"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    elif picture.mode.startswith("I"):
        # 16 bits, of which Pillow would cut off what is above 255.
        grey = Image.fromarray(np.clip(np.asarray(picture) >> 8, 0, 255).astype(np.uint8))
        grey.info = picture.info
        picture = grey
    # Of large pictures no second copy is made. JPEG decodes at a half, a quarter or an eighth, which is much quicker.
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(_on_white(ImageOps.exif_transpose(picture)))


def _on_white(picture: Image.Image) -> Image.Image:
    """Return the picture in three channels, what is transparent in front of white."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    overlay = picture.convert("RGBA")
    white = Image.new("RGB", overlay.size, "white")
    white.paste(overlay, mask=overlay.getchannel("A"))
    return white


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise BadFile(f"image: {path} is HEIC, which needs pillow-heif: {INSTALL_HINT}") from error
    pillow_heif.register_heif_opener()


class _TimedFile:
    """A file for FFmpeg that cannot be read any more when time is up, whatever the file makes it look for."""

    def __init__(self, file: BinaryIO, until: float) -> None:
        self._file, self._until = file, until
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if time.monotonic() > self._until:
            raise TimeoutError
        return self._file.read(size)


def _read_video(path: Path, file: BinaryIO, n_frames: int) -> list[NDArray[np.uint8]]:
    try:
        import av
    except ImportError as error:
        kinds = f"JPEG, PNG, WebP{', AVIF' if features.check('avif') else ''} or HEIC"
        raise BadFile(f"image: {path} is not {kinds}; videos need PyAV: {INSTALL_HINT}") from error
    until = time.monotonic() + MAX_VIDEO_S
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none", "max_pixels": str(MAX_FRAME_PIXELS)}
    try:
        with av.open(_TimedFile(file, until), "r", options=options, io_open=_open_nothing) as container:
            frames = list(_frames(path, container, n_frames, until))
    except BadFile:
        raise
    except TimeoutError:
        frames = []
    # PyAV has many kinds of errors of its own, and raises those of Python as well.
    except Exception as error:
        raise BadFile(f"image: {path} {UNREADABLE}") from error
    if not frames:
        raise BadFile(f"image: {path} has no frame that can be read within {MAX_VIDEO_S:g} s")
    return frames


def _open_nothing(*_: object) -> NoReturn:
    raise PermissionError("a video may not name other files")


def _frames(path: Path, container: "InputContainer", n_frames: int, until: float) -> Iterator[NDArray[np.uint8]]:
    import av

    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        raise BadFile(f"image: {path} has no picture in it")
    # FFmpeg forgets sizes above its bound.
    if not 0 < stream.width * stream.height <= MAX_FRAME_PIXELS:
        size = (
            f"is {stream.width} x {stream.height} pixels"
            if stream.width
            else "does not say its size, or too large a one"
        )
        raise BadFile(f"image: {path} {size}, expected at most 4096 x 2304")
    # A frame may be larger than its stream says.
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    start_s = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
    length_s = (container.duration or 0) / av.time_base
    if n_frames == 1 or not length_s:
        times_s = [-np.inf]
    else:
        # In the middle of each part: the very beginning and end may be black.
        times_s = [start_s + (i + 0.5) / n_frames * length_s for i in range(n_frames)]
    frames = _decode_video(container, stream)
    for number, time_s in enumerate(times_s):
        if length_s / n_frames > MAX_READ_ON_S and number:
            container.seek(int(time_s * av.time_base))
            frames = _decode_video(container, stream)
        # What is left of the time is shared by the frames that are left.
        now = time.monotonic()
        frame = _frame_at(frames, time_s, now + (until - now) / (len(times_s) - number))
        if frame is None:
            return
        yield _upright(frame)


def _decode_video(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """Yield the frames from here on; damaged packets are skipped, and the end comes when time is up."""
    import av

    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                continue
    except TimeoutError:
        return


def _frame_at(frames: Iterator["VideoFrame"], time_s: float, until: float) -> "VideoFrame | None":
    """Return the first frame from `time_s` on, or the last before it when time is up or the video ends.

    None where no frame can be read.
    """
    frame = None
    for frame in frames:
        if frame.time is None or frame.time >= time_s or time.monotonic() > until:
            break
    return frame


def _upright(frame: "VideoFrame") -> NDArray[np.uint8]:
    scale = min(1.0, LARGEST_SIDE / max(frame.width, frame.height))
    picture = frame.to_image(width=max(1, round(frame.width * scale)), height=max(1, round(frame.height * scale)))
    return np.asarray(picture.rotate(frame.rotation, expand=True) if frame.rotation else picture)
