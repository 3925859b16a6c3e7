"""One frozen dataclass a verb. Every rule about ranges and combinations is here, and nowhere else."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

from plugin_server.audio.formats.metadata import BEATS_PER_BAR, read_key
from plugin_server.engine.bundles.card import Lengths
from plugin_server.errors import BadArgument, shown

SEED_LIMIT = 2**31 - 1
"""OSC integers are signed and 32 bits wide, so that every seed can be sent back."""
MAX_PROMPT = 2000
FORMATS = ("wav", "flac", "aiff")
WAYS = ("text", "zs", "pd", "sd")
"""Of words into a model: its own text embedding, the same in a picture's place, or through one of two priors."""
MAX_IMAGES = 16
MAX_PATH = 4096


@dataclass(frozen=True, slots=True)
class Generate:
    """`/generate`: words to one clip or several takes. None means: the model's own choice.

    Raises BadArgument that names the argument, what came and what was expected.
    """

    prompt: str = ""
    """Words; may be empty where there are images."""
    seconds: float | None = None
    """Length of the clip, 0.5 to 30 s for the shipped model; the card has the last word. None with bars."""
    negative: str = ""
    """What the sound should keep away from."""
    seed: int | None = None
    """0 to 2147483647; take i uses seed + i. None draws one, which the reply names."""
    steps: int | None = None
    """1 to 100 calls of the sampler."""
    guidance: float | None = None
    """0 to 20: how far the prompt is followed; 1 is the model's plain answer."""
    loop: bool = False
    """The end flows into the start."""
    stereo: float = 0.0
    """0 to 1: one channel at 0, else two that have less in common the higher it is."""
    bars: float | None = None
    """Length in bars of four beats, 0.0625 to 64, which makes a loop; needs bpm."""
    bpm: float | None = None
    """Beats a minute, 20 to 999; without bars only told in the file."""
    key: str = ""
    """'F# minor' or the like, told in the file."""
    format: str = ""
    """Of the file: 'wav', 'flac' or 'aiff'; WAV when empty."""
    images: tuple[str, ...] = ()
    """Up to 16 absolute paths of pictures or videos: what is seen in them is asked for, in the middle of them all."""
    blend: float | None = None
    """0 to 1, from the words alone to the images alone; half-way when there are both."""
    frames: int = 1
    """1 to 32 of each video: the first, or several spread over its length."""
    via: str = ""
    """The way of the words into the model: 'text', 'zs', 'pd' or 'sd', where it has several."""
    variations: int = 1
    """1 to 16 takes."""
    name: str = ""
    """First part of the file name; made from the prompt when empty."""
    model: str = ""
    """Name of a bundle; the daemon's own choice when empty."""
    id: str = ""
    """A job id that the client chose: asking twice with one id makes one job."""

    def __post_init__(self) -> None:
        _images(self.images)
        _text("prompt", self.prompt, empty=bool(self.images) and not self.prompt)
        _number("blend", self.blend, 0, 1)
        if self.blend is not None and not (self.images and self.prompt):
            raise BadArgument(f"blend: got {self.blend:g}, expected it beside both words and an image")
        _whole("frames", self.frames, 1, 32)
        if self.via not in ("", *WAYS):
            raise BadArgument(f"via: got {shown(self.via)}, expected one of {', '.join(WAYS)}")
        if self.via and not self.prompt:
            raise BadArgument(f"via: got {self.via}, expected it beside words, whose way it is")
        _text("negative", self.negative, empty=True)
        _text("name", self.name, empty=True)
        _text("model", self.model, empty=True)
        if self.id and not re.fullmatch(r"[\w.:-]{1,64}", self.id):
            raise BadArgument(f"id: got {shown(self.id)}, expected at most 64 letters, digits and . : _ -")
        # The widest length any model could have: keeps nonsense out before a model is asked.
        _number("seconds", self.seconds, 0.01, 3600)
        _number("bars", self.bars, 0.0625, 64)
        _number("bpm", self.bpm, 20, 999)
        if self.bars is not None and self.bpm is None:
            raise BadArgument("bpm: got nothing, expected beats a minute beside bars")
        if self.bars is not None and self.seconds is not None:
            raise BadArgument(f"seconds: got {self.seconds:g} and {self.bars:g} bars, expected one of them")
        if self.bars is not None:
            object.__setattr__(self, "loop", True)
        _text("key", self.key, empty=True)
        if self.key:
            # One way to write each key, so that equal requests are equal.
            object.__setattr__(self, "key", read_key(self.key))
        if self.format not in ("", *FORMATS):
            raise BadArgument(f"format: got {shown(self.format)}, expected one of {', '.join(FORMATS)}")
        _number("guidance", self.guidance, 0, 20)
        _number("stereo", self.stereo, 0, 1)
        if not isinstance(self.loop, bool):
            raise BadArgument(f"loop: got {self.loop!r}, expected true or false")
        _whole("seed", self.seed, 0, SEED_LIMIT)
        _whole("steps", self.steps, 1, 100)
        _whole("variations", self.variations, 1, 16)

    @property
    def image_share(self) -> float:
        """`blend`, or what it is when nothing was said: 0 for words alone, 1 for images alone, else a half."""
        return bool(self.images) * (0.5 if self.prompt else 1.0) if self.blend is None else float(self.blend)

    @property
    def said(self) -> str:
        """Its words, or else its images' file names."""
        return self.prompt or ", ".join(PurePath(image).stem for image in self.images)

    @property
    def title(self) -> str:
        """What a clip of it is called."""
        return self.name or self.said

    @property
    def length_s(self) -> float | None:
        """Seconds that are asked for, by themselves or in bars; None for the model's choice."""
        # Bars come with a tempo, always.
        return self.seconds if self.bars is None or self.bpm is None else self.bars * BEATS_PER_BAR * 60 / self.bpm


@dataclass(frozen=True, slots=True)
class LoadModel:
    """`/model/load`: have a model ready before it is asked for a clip."""

    name: str
    id: ClassVar[str] = ""
    """No client chooses it: asking twice is no harm."""


@dataclass(frozen=True, slots=True)
class UnloadModel:
    """`/model/unload`: give the memory of a model back."""

    name: str
    id: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class RenderBank:
    """`/bank/render`: the clips of a bank's slots; those that lie in the library already are left alone."""

    name: str
    """Of the bank."""
    slots: tuple[Generate, ...]
    n_done: int = 0
    """Slots at the beginning that need not be looked at any more."""
    id: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class RenderSlot:
    """`/bank/fire` of a slot that has no clip yet."""

    name: str
    """Of the bank."""
    number: int
    request: Generate
    id: str
    """Of all who fire the slot before its clip is made."""


Request = Generate | LoadModel | UnloadModel | RenderBank | RenderSlot


def is_length(words: Sequence[str], number: float, lengths: Lengths) -> bool:
    """True when a number that follows the words of a prompt is the clip's length in seconds.

    One that no clip can have belongs to a prompt that was typed without quotes, as in `kick 808`. A space within one
    of the words shows that it was quoted: then a number is meant as a length, and may be refused as such.
    """
    return lengths.least <= number <= lengths.most or not math.isfinite(number) or any(" " in word for word in words)


def _images(images: object) -> None:
    if not isinstance(images, tuple) or not all(isinstance(image, str) for image in images):
        raise BadArgument(f"image: got {shown(images)}, expected paths of pictures")
    if len(images) > MAX_IMAGES:
        raise BadArgument(f"image: got {len(images)} of them, expected at most {MAX_IMAGES}")
    for image in images:
        if len(image) > MAX_PATH or not Path(image).is_absolute() or "\0" in image:
            raise BadArgument(f"image: got {shown(image)}, expected an absolute path of a picture")


def _text(name: str, value: object, empty: bool = False) -> None:
    if not isinstance(value, str):
        raise BadArgument(f"{name}: got {shown(value)}, expected text")
    if not empty and not value.strip():
        raise BadArgument(f"{name}: got nothing, expected words")
    if len(value) > MAX_PROMPT:
        raise BadArgument(f"{name}: got {len(value)} characters, expected at most {MAX_PROMPT}")


def _number(name: str, value: object, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadArgument(f"{name}: got {shown(value)}, expected a number from {low:g} to {high:g}")
    if not math.isfinite(value) or not low <= value <= high:
        raise BadArgument(f"{name}: got {value:g}, expected {low:g} to {high:g}")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArgument(f"{name}: got {shown(value)}, expected a whole number from {low} to {high}")
    if not low <= value <= high:
        raise BadArgument(f"{name}: got {shown(value)}, expected {low} to {high}")
