"""Requests: one frozen dataclass for each command that makes a job, with every rule about ranges and combinations."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from plugin_server.audio.formats.metadata import BEATS_PER_BAR, read_key
from plugin_server.errors import BadArgument
from plugin_server.studio.attributes import Effect, Flag, Group, Kind, attribute, attributes_of
from plugin_server.studio.seeds import MAX_TAKES
from plugin_server.studio.words import without_quotes

if TYPE_CHECKING:
    # Cards bring NumPy, which the command line's help does without.
    from plugin_server.engine.bundles.card import Lengths

SEED_LIMIT = 2**31 - 1
"""OSC integers are signed and 32 bits wide, so that every seed can be sent back."""
FORMATS = ("wav", "flac", "aiff")
CONDITIONINGS = ("text", "zs", "pd", "sd")
"""How words condition a model: by its own text embedding, by the same in an image's place, or through one of two
priors."""


@dataclass(frozen=True, slots=True)
class Generate:
    """`/generate`: words to one clip or several takes. None means: the model's own choice.

    Raises BadArgument that names the argument, what came and what was expected.
    """

    prompt: str = attribute(
        Kind.TEXT, "words for the sound", default="", group=Group.WORDS, is_positional=True, in_every_recipe=True
    )
    """Words; may be empty where there are images."""
    seconds: float | None = attribute(
        Kind.NUMBER,
        "length of the clip (default: the model's, 5)",
        default=None,
        # The widest length any model could have: keeps nonsense out before a model is asked.
        minimum=0.01,
        maximum=3600,
        group=Group.TIMING,
        is_positional=True,
        in_every_recipe=True,
        flag=Flag(50),
    )
    """Length of the clip, 0.5 to 30 s for the shipped model; the card has the last word. None with bars."""
    negative: str = attribute(
        Kind.TEXT, "what the sound should keep away from", default="", in_every_recipe=True, flag=Flag(150)
    )
    """What the sound should keep away from."""
    seed: int | None = attribute(
        Kind.WHOLE_NUMBER,
        "a number that makes the same sound again; -1 draws one, as none does",
        default=None,
        minimum=0,
        maximum=SEED_LIMIT,
        in_every_recipe=True,
        flag=Flag(100),
    )
    """0 to 2147483647; take i uses seed + i. None draws one, which the reply names."""
    steps: int | None = attribute(
        Kind.WHOLE_NUMBER,
        "steps of the sampler: more is slower and finer",
        default=None,
        minimum=1,
        maximum=100,
        in_every_recipe=True,
        flag=Flag(120),
    )
    """1 to 100 calls of the sampler."""
    guidance: float | None = attribute(
        Kind.NUMBER,
        "how far the prompt is followed",
        default=None,
        minimum=0,
        maximum=20,
        in_every_recipe=True,
        flag=Flag(125),
    )
    """0 to 20: how far the prompt is followed; 1 is the model's plain answer."""
    loop: bool = attribute(Kind.SWITCH, "a clip whose end flows into its start", default=None, flag=Flag(130))
    """The end flows into the start. None, which no checked request has, is what its bars say."""
    stereo: float = attribute(
        Kind.NUMBER,
        "two channels, 0 to 1 unlike each other (default: 0, one channel)",
        default=0.0,
        minimum=0,
        maximum=1,
        flag=Flag(140, metavar="WIDTH"),
    )
    """0 to 1: one channel at 0, else two that have less in common the higher it is."""
    bars: float | None = attribute(
        Kind.NUMBER,
        "length in bars of four beats, as a loop without a seam",
        default=None,
        minimum=0.0625,
        maximum=64,
        effect=Effect.METADATA,
        group=Group.TIMING,
        flag=Flag(60),
    )
    """Length in bars of four beats, 0.0625 to 64, a loop unless that is refused; needs bpm."""
    bpm: float | None = attribute(
        Kind.NUMBER,
        "beats a minute of --bars, and told in the file (default: 120)",
        default=None,
        minimum=20,
        maximum=999,
        effect=Effect.METADATA,
        group=Group.TIMING,
        flag=Flag(70),
    )
    """Beats a minute, 20 to 999; without bars only written in the file."""
    key: str = attribute(
        Kind.TEXT,
        'told in the file, as "F# minor"',
        default="",
        effect=Effect.METADATA,
        group=Group.TIMING,
        flag=Flag(80),
    )
    """'F# minor' or the like, written in the file."""
    format: str = attribute(
        Kind.CHOICE,
        "of the file (default: wav)",
        default="",
        choices=FORMATS,
        effect=Effect.METADATA,
        group=Group.FILE,
        flag=Flag(90),
    )
    """Format of the file: 'wav', 'flac' or 'aiff'; WAV when empty."""
    images: tuple[str, ...] = attribute(
        Kind.PATHS,
        "a picture or video for the sound, with words or without; may be repeated",
        default=(),
        name="image",
        maximum=16,
        group=Group.IMAGES,
        flag=Flag(10, metavar="FILE"),
    )
    """Up to 16 absolute paths of pictures or videos: what is seen in them is asked for, in the middle of them all."""
    blend: float | None = attribute(
        Kind.NUMBER,
        "0 to 1, from the words alone to the images alone (default: 0.5)",
        default=None,
        minimum=0,
        maximum=1,
        group=Group.IMAGES,
        flag=Flag(20),
    )
    """0 to 1, from the words alone to the images alone; half-way when there are both."""
    frames: int = attribute(
        Kind.WHOLE_NUMBER,
        "frames of each video, spread over its length (default: the first)",
        default=1,
        minimum=1,
        maximum=32,
        group=Group.IMAGES,
        flag=Flag(30),
    )
    """1 to 32 of each video: the first, or several spread over its length."""
    conditioning: str = attribute(
        Kind.CHOICE,
        "way of the words, of a model that has several",
        default="",
        name="via",
        choices=CONDITIONINGS,
        group=Group.IMAGES,
        flag=Flag(40),
    )
    """How the words condition the model: 'text', 'zs', 'pd' or 'sd', where it has several. '' takes its default."""
    variations: int = attribute(
        Kind.WHOLE_NUMBER,
        "how many clips, from seed, seed + 1, ... (default: 1)",
        default=1,
        minimum=1,
        maximum=MAX_TAKES,
        effect=Effect.JOB,
        flag=Flag(110, ("--takes", "--variations")),
    )
    """1 to 16 takes."""
    name: str = attribute(
        Kind.TEXT, "first part of the file name", default="", effect=Effect.FILE_NAME, group=Group.FILE, flag=Flag(160)
    )
    """First part of the file name; made from the prompt when empty."""
    model: str = attribute(Kind.TEXT, "name of a bundle", default="", group=Group.FILE, in_every_recipe=True)
    """Name of a bundle; the daemon's own choice when empty."""
    again: bool = attribute(
        Kind.SWITCH,
        "make the clip also where this request with this seed has made it before",
        default=False,
        effect=Effect.JOB,
        group=Group.FILE,
        flag=Flag(105),
    )
    """Make it anew where the same request with the same seed has made it before."""
    id: str = attribute(
        Kind.TEXT,
        "a job id that the client chose",
        default="",
        pattern=r"[\w.:-]{1,64}",
        pattern_help="at most 64 letters, digits and . : _ -",
        effect=Effect.JOB,
        group=Group.FILE,
    )
    """A job id that the client chose: asking twice with one id makes one job."""

    def __post_init__(self) -> None:
        is_blank = bool(self.prompt)
        for row in ATTRIBUTES:
            value = row.normalise(getattr(self, row.field))
            row.check(value)
            object.__setattr__(self, row.field, value)
        if is_blank and not self.prompt:
            raise BadArgument("prompt: got nothing, expected words")
        _check_together(self)
        if self.loop is None:
            object.__setattr__(self, "loop", self.bars is not None)
        if self.key:
            # One way to write each key, so that equal requests are equal.
            object.__setattr__(self, "key", read_key(self.key))

    @property
    def image_share(self) -> float:
        """The share of the images: `blend`, or its default, 0 for words alone, 1 for images alone, else a half."""
        return bool(self.images) * (0.5 if self.prompt else 1.0) if self.blend is None else float(self.blend)

    @property
    def display_prompt(self) -> str:
        """The words, or else the images' file names."""
        return self.prompt or ", ".join(PurePath(image).stem for image in self.images)

    @property
    def title(self) -> str:
        """The title of its clips: the name, or else the words."""
        return self.name or self.display_prompt

    @property
    def length_s(self) -> float | None:
        """The length in seconds, given as such or in bars; None for the model's choice."""
        # Bars come with a tempo, always.
        return self.seconds if self.bars is None or self.bpm is None else self.bars * BEATS_PER_BAR * 60 / self.bpm


ATTRIBUTES = attributes_of(Generate)
"""The attribute table of `/generate`, in the order of Generate's fields."""
NAMED_ATTRIBUTES = tuple(sorted((row for row in ATTRIBUTES if not row.is_positional), key=lambda row: row.group))
"""The attributes that come with their name, `@seed 42`, subject by subject: the order of help texts."""


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
    """Name of the bank."""
    slots: tuple[Generate, ...]
    n_done: int = 0
    """Slots at the beginning that need not be looked at any more."""
    id: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class RenderSlot:
    """`/bank/fire` of a slot that has no clip yet."""

    name: str
    """Name of the bank."""
    number: int
    """Number of the slot, from 0."""
    request: Generate
    id: str
    """The job's id, shared by all who fire the slot before its clip is made."""


Request = Generate | LoadModel | UnloadModel | RenderBank | RenderSlot


def split_length(
    words: Sequence[str], number: float | None, lengths: "Callable[[], Lengths]", *, has_images: bool = False
) -> tuple[Sequence[str], float | None]:
    """Return the words of a prompt and its length in seconds, None where none is given.

    Args:
        words: All that came without a name, as text.
        number: The last of them where it is a number, else None.
        lengths: Returns what the model can make; called only where that matters.
        has_images: True when images come with the words: then a number alone is the length.
    """
    if number is None:
        return words, None
    *before, _ = words
    is_seconds = has_images if not before else _is_length(before, number, lengths())
    return (before, number) if is_seconds else (words, None)


def _is_length(words: Sequence[str], number: float, lengths: "Lengths") -> bool:
    """Return True when a number that follows the words of a prompt is the clip's length in seconds.

    One that no clip can have belongs to a prompt that was typed without quotes, as in `kick 808`. A space within one
    of the words, or quotes around them, show that it was quoted: then a number is meant as a length, and may be refused
    as such.
    """
    together = " ".join(words)
    return (
        lengths.minimum <= number <= lengths.maximum
        or not math.isfinite(number)
        or any(" " in word for word in words)
        or without_quotes(together) != together
    )


def _check_together(request: Generate) -> None:
    """Check what attributes mean for each other. Raises BadArgument."""
    has_words, has_images = bool(request.prompt), bool(request.images)
    if not has_words and not has_images:
        raise BadArgument("prompt: got nothing, expected words")
    if request.blend is not None and not (has_images and has_words):
        raise BadArgument(f"blend: got {request.blend:g}, expected it beside both words and an image")
    if request.conditioning and not has_words:
        raise BadArgument(f"via: got {request.conditioning}, expected it beside words, whose way it is")
    if request.bars is not None and request.bpm is None:
        raise BadArgument("bpm: got nothing, expected beats a minute beside bars")
    if request.bars is not None and request.seconds is not None:
        raise BadArgument(f"seconds: got {request.seconds:g} and {request.bars:g} bars, expected one of them")
