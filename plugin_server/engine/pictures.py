"""Pictures and frames of videos as arrays, decoded within bounds of size and time.

Decoders are native code that reads what strangers wrote: they run in the engine's process, where a crash costs one job.
"""

import io
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from plugin_server.engine.card import PictureSpec
from plugin_server.errors import BadFile

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
HEIF = "HEIF"
"""HEIC is one kind of it; read where pillow-heif is installed."""
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif")
MAX_PIXELS = 80_000_000
"""Cameras make 50 million; a hundred times that fits into a small file that was made to harm."""
MAX_PICTURE_BYTES = 200_000_000
MAX_FRAME_PIXELS = 4096 * 2304
MAX_VIDEO_S = 5.0
"""Time that the frames of one video may take."""
LARGEST_SIDE = 1024
"""Pictures are made smaller at once; no tower looks at more."""
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif"
"""Kinds of video files. Playlists and lists of files are none: they could name other files, or the network."""


def read_pictures(path: Path, n_frames: int = 1) -> list[np.ndarray]:
    """A picture, or `n_frames` frames of a video, uint8 (height, width, 3) each, at most 1024 pixels a side.

    JPEG, PNG, WebP, HEIC with pillow-heif, and videos with PyAV. Raises BadFile that names `image`.
    """
    try:
        head = _head(path)
        if _is_picture(head):
            return [_read_picture(path, head)]
        return list(_read_frames(path, n_frames))
    except OSError as error:
        raise BadFile(f"image: {path} cannot be read: {error.strerror or error}") from error


def fit(pixels: np.ndarray, spec: PictureSpec) -> np.ndarray:
    """Pixels uint8 (height, width, 3) as the image tower takes them, uint8 (size, size, 3)."""
    picture, size = Image.fromarray(pixels), spec.size
    if spec.fit == "squash":
        return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    side = min(picture.size)
    left, top = ((n - side) / 2 for n in picture.size)
    # Cut and scaled in one go: a long picture is not blown up first.
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=box))


def normalise(pictures: list[np.ndarray], spec: PictureSpec) -> np.ndarray:
    """The image tower's input, float32 (n, 3, size, size)."""
    pixels = np.stack([fit(picture, spec) for picture in pictures]).astype(np.float32) / 255
    return ((pixels - np.float32(spec.mean)) / np.float32(spec.std)).transpose(0, 3, 1, 2)


def _head(path: Path) -> bytes:
    # Not a device, whose end never comes, and not a pipe, which would wait.
    if not path.is_file():
        raise BadFile(f"image: {path} is {'no file' if path.exists() else 'not there'}, expected a picture or a video")
    with open(path, "rb") as file:
        return file.read(32)


def _is_picture(head: bytes) -> bool:
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or _is_heif(head)
    )


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def _read_picture(path: Path, head: bytes) -> np.ndarray:
    size = path.stat().st_size
    if size > MAX_PICTURE_BYTES:
        raise BadFile(f"image: {path} has {size / 1e6:.0f} MB, expected at most {MAX_PICTURE_BYTES / 1e6:.0f}")
    formats = FORMATS
    if _is_heif(head):
        _register_heif(path)
        formats = (HEIF, "AVIF")
    # Read first: a file that changes meanwhile, or lies on a disk that goes away, is then no longer asked.
    data = io.BytesIO(path.read_bytes())
    try:
        with warnings.catch_warnings():
            # Pillow's own bound is told as a warning; ours is asked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(data, formats=formats) as picture:
                return _decode(path, picture)
    except Image.DecompressionBombError as error:
        raise BadFile(f"image: {path} is too large: {error}") from error
    except BadFile:
        raise
    # Pillow's decoders raise what they like on broken files.
    except Exception as error:
        raise BadFile(f"image: {path} is no picture that can be read: {error}") from error


def _decode(path: Path, picture: Image.Image) -> np.ndarray:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise BadFile(f"image: {path} is {width} x {height} pixels, expected at most {MAX_PIXELS / 1e6:.0f} million")
    # JPEG decodes at a half, a quarter or an eighth of its size, which is as good here and much quicker.
    picture.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
    upright = ImageOps.exif_transpose(_to_rgb(picture))
    upright.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(upright)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Three channels; what is see-through lies on white."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Pillow would cut 16 bits off at 255.
        shades = np.asarray(picture).astype(np.float64) / 257
        grey = Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8)).convert("RGB")
        grey.info = picture.info
        return grey
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    white = Image.new("RGB", clear.size, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    white.info = picture.info
    return white


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        wanted = 'pip install "clipsonic-live[pictures]"'
        raise BadFile(f"image: {path} is HEIC, which needs pillow-heif: {wanted}") from error
    pillow_heif.register_heif_opener()


def _read_frames(path: Path, n_frames: int) -> Iterator[np.ndarray]:
    try:
        import av
    except ImportError as error:
        kinds = "JPEG, PNG, WebP or HEIC"
        wanted = 'pip install "clipsonic-live[pictures]"'
        raise BadFile(f"image: {path} is not {kinds}; videos need PyAV: {wanted}") from error
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.open(str(path), options=options, timeout=MAX_VIDEO_S) as container:
            if not container.streams.video:
                raise BadFile(f"image: {path} has no picture in it")
            yield from _frames(path, container, n_frames)
    except av.FFmpegError as error:
        raise BadFile(f"image: {path} is neither a picture nor a video that can be read: {error.strerror}") from error


def _frames(path: Path, container: "InputContainer", n_frames: int) -> Iterator[np.ndarray]:
    import av

    stream = container.streams.video[0]
    start_s = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
    if stream.width * stream.height > MAX_FRAME_PIXELS:
        raise BadFile(f"image: {path} is {stream.width} x {stream.height} pixels, expected at most 4096 x 2304")
    until = time.monotonic() + MAX_VIDEO_S
    length_s = (container.duration or 0) / av.time_base
    # In the middle of each part: the very beginning and end may be black.
    places = [(i + 0.5) / n_frames * length_s for i in range(n_frames)] if n_frames > 1 and length_s else [0.0]
    n_found = 0
    for place in places:
        if place:
            container.seek(int(place * av.time_base), backward=True)
        frame = _frame_at(container.decode(stream), place + start_s, until)
        if frame is not None:
            n_found += 1
            yield _upright(frame)
    if not n_found:
        raise BadFile(f"image: {path} has no frame that can be read within {MAX_VIDEO_S:g} s")


def _frame_at(frames: Iterator["VideoFrame"], place_s: float, until: float) -> "VideoFrame | None":
    """The first frame from `place_s` on; the last before it when time is up or the video ends; None without any."""
    found = None
    for found in frames:
        if found.time is None or found.time >= place_s or time.monotonic() > until:
            break
    return found


def _upright(frame: "VideoFrame") -> np.ndarray:
    picture = frame.to_image()
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(picture.rotate(frame.rotation, expand=True) if frame.rotation else picture)
