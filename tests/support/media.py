"""Small pictures and videos for tests."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (30, 30, 200)
COLOURS = (RED, GREEN, BLUE)


def write_picture(path: Path, colour: tuple[int, ...] = RED, size: tuple[int, int] = (40, 30), **more) -> Path:
    """One colour all over, or a grey that Pillow understands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new({1: "L", 3: "RGB", 4: "RGBA"}[len(colour)], size, colour).save(path, **more)
    return path


def write_corner(path: Path, size: tuple[int, int] = (60, 40), **more) -> Path:
    """Blue, with the upper left quarter red."""
    pixels = np.full((size[1], size[0], 3), BLUE, np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = RED
    Image.fromarray(pixels).save(path, **more)
    return path


def write_video(
    path: Path,
    colours: Sequence[tuple[int, ...]] = COLOURS,
    size: tuple[int, int] = (64, 48),
    rate: int = 10,
    codec: str = "mpeg4",
    gap: int = 12,
    sound: bool = False,
    start_s: float = 0.0,
) -> Path:
    """A second of each colour; a key frame every `gap` frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.codec_context.gop_size = gap
        audio = container.add_stream("aac", rate=16000) if sound else None
        for number in range(rate * len(colours)):
            pixels = np.full((size[1], size[0], 3), colours[number // rate], np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number + round(start_s * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            container.mux(audio.encode(_silence()))
            container.mux(audio.encode())
    return path


def write_sound(path: Path) -> Path:
    """A sound alone, in a container that might hold a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        container.mux(stream.encode(_silence()))
        container.mux(stream.encode())
    return path


def turn_video(program: str, source: Path, target: Path, degrees: int) -> Path:
    """The same frames with a note that they are to be shown turned, as telephones write it."""
    turn = ["-metadata:s:v:0", f"rotate={degrees}"]
    subprocess.run([program, "-loglevel", "error", "-i", source, "-c", "copy", *turn, target], check=True)
    return target


def colour_of(pixels: np.ndarray) -> tuple[int, ...]:
    """Which of the three a picture is most like."""
    mean = pixels.reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda colour: float(np.abs(mean - colour).sum()))


def _silence() -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 16000, 0
    return frame
