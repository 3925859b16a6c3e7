"""The address table: every address that is answered, with its arguments, and what every reply carries.

The notation that people read, OSCQuery's types and ranges, and the checks at run time are all made from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from plugin_server.audio.playback.player import BEATS
from plugin_server.studio.attributes import Attribute, Kind
from plugin_server.studio.banks.files import MAX_SLOTS
from plugin_server.studio.requests import NAMED_ATTRIBUTES, SEED_LIMIT

FAIL = "/fail"
"""Every command may be answered by it."""
Tag = Literal["s", "i", "f"]
"""OSC type of an argument."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that an argument takes: from minimum to maximum, both included, or one of the choices.

    None and () set no limit.
    """

    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str | int | float, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the range as OSCQuery writes it."""
        parts = {"MIN": self.minimum, "MAX": self.maximum, "VALS": list(self.choices) or None}
        return {key: value for key, value in parts.items() if value is not None}

    def __contains__(self, value: object) -> bool:
        """Return whether the range has a value; none has NaN."""
        if self.choices:
            return value in self.choices
        if not isinstance(value, int | float):
            return False
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        """Return the range in the words of a sentence, as '0 to 127' or 'one of now, beat, bar'."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        return f"{number_text(self.minimum)} to {number_text(self.maximum)}"


class LiveRange(StrEnum):
    """A range that only the running daemon knows."""

    LENGTHS = "lengths"
    """Seconds that clips of the chosen model can last."""
    MODELS = "models"
    """Names of the installed models."""


LiveRanges = Mapping[LiveRange, Range]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an address."""

    name: str
    tag: Tag = "s"
    """Text unless something else is said: numbers are understood as text, too."""
    range: Range | LiveRange | None = None
    optional: bool = False
    words: tuple[str, ...] = ()
    """Words that may come in its stead, as in `job | all`."""
    shows_range: bool = False
    """The notation has the values that it takes, as `0 | 1`, instead of its name."""

    @property
    def notation(self) -> str:
        """The argument as help shows it; square brackets mean optional."""
        text = " | ".join((self._range_notation() if self.shows_range else self.name, *self.words))
        return f"[{text}]" if self.optional else text

    def range_now(self, live: LiveRanges) -> Range | None:
        """Return the range, looked up among those of the running daemon where only that knows it."""
        return live.get(self.range) if isinstance(self.range, LiveRange) else self.range

    def _range_notation(self) -> str:
        if not isinstance(self.range, Range):
            return self.name
        if self.range.choices:
            return " | ".join(map(str, self.range.choices))
        return f"{number_text(self.range.minimum)}..{number_text(self.range.maximum)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One address that is answered."""

    address: str
    help: str
    arguments: tuple[Argument, ...] = ()
    """Positional ones; those that are optional come last."""
    attributes: tuple[Argument, ...] = ()
    """Named ones, in Max's style, `@seed 42`; all are optional. OSC's type tags cannot say them."""
    replies: tuple[str, ...] = ("/done",)
    """Addresses that it is answered with, besides /fail."""

    @property
    def notation(self) -> str:
        """The arguments as help shows them, such as 'prompt [seconds] [@image @seed]'."""
        parts = [argument.notation for argument in self.arguments]
        if self.attributes:
            parts.append(f"[{' '.join(f'@{attribute.name}' for attribute in self.attributes)}]")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Reply:
    """The arguments that one address carries when it is sent."""

    arguments: str
    types: str
    """OSC type tags."""


def number_text(number: float | None) -> str:
    """Return a number in the words of a sentence: whole numbers with all their digits, others with six."""
    if number is None:
        return "any"
    return str(number) if isinstance(number, int) else f"{number:g}"


def request_arguments(attributes: Iterable[Attribute]) -> tuple[Argument, ...]:
    """Return rows of a request's attribute table as arguments of an address."""
    return tuple(Argument(row.name, _TAGS[row.kind], _range_of(row), optional=True) for row in attributes)


def reply_sources(table: Iterable[Row]) -> dict[str, list[str]]:
    """Return every address that the daemon sends, each with the addresses that it may answer."""
    rows = list(table)
    sources: dict[str, list[str]] = {FAIL: [row.address for row in rows]}
    for row in rows:
        for address in row.replies:
            sources.setdefault(address, []).append(row.address)
    return sources


def _range_of(row: Attribute) -> Range | None:
    if row.kind is Kind.SWITCH:
        return ON_OFF
    if row.choices:
        return Range(choices=row.choices)
    has_range = row.kind in (Kind.NUMBER, Kind.WHOLE_NUMBER)
    return Range(row.minimum, row.maximum) if has_range else None


_TAGS: dict[Kind, Tag] = {
    Kind.TEXT: "s",
    Kind.NUMBER: "f",
    Kind.WHOLE_NUMBER: "i",
    Kind.SWITCH: "i",
    Kind.CHOICE: "s",
    Kind.PATHS: "s",
}

ON_OFF = Range(choices=(0, 1))
PORTS = Range(1, 65535)
VOLUMES = Range(0.0, 1.0)
TEMPOS = Range(20.0, 999.0)
VELOCITIES = Range(0, 127)
SLOT_NUMBERS = Range(0, MAX_SLOTS - 1)
PAGE_LENGTHS = Range(1, 200)
"""Clips that are sent at once: each is a packet, and a patch's socket holds some hundreds."""
PAGE_STARTS = Range(0, SEED_LIMIT)
LOOP_POINTS = Range(0.0, 3600.0)
"""Seconds of the two numbers after /play's @loop."""
PLAY_ATTRIBUTES = (
    Argument("gain", "f", Range(0.0, 4.0), optional=True),
    Argument("pan", "f", Range(-1.0, 1.0), optional=True),
    Argument("rate", "f", Range(0.0625, 16.0), optional=True),
    Argument("attack", "f", Range(0.0, 30.0), optional=True),
    Argument("release", "f", Range(0.0, 30.0), optional=True),
    # 0 or 1, or two points of the clip.
    Argument("loop", "f", LOOP_POINTS, optional=True),
    Argument("at", "s", Range(choices=("now", *BEATS)), optional=True),
    Argument("choke", optional=True),
)
PAGE_ATTRIBUTES = (
    Argument("count", "i", PAGE_LENGTHS, optional=True),
    Argument("from", "i", PAGE_STARTS, optional=True),
)

TABLE = (
    Row(
        "/generate",
        "make a clip, or several takes, from words, from pictures (@image, absolute paths on this machine) or from "
        "both; a number after the words is its length in seconds, unless they are not quoted and no clip can be that "
        "long, as in: kick 808",
        (Argument("prompt"), Argument("seconds", "f", LiveRange.LENGTHS, optional=True)),
        request_arguments(NAMED_ATTRIBUTES),
        replies=("/queued", "/progress", "/clip", "/done"),
    ),
    Row(
        "/cancel",
        "stop one job, the running one, or all",
        (Argument("job", words=("all",), optional=True),),
    ),
    Row("/status", "what the daemon is doing", replies=("/status.reply",)),
    Row("/version", "name and version", replies=("/version.reply",)),
    Row(
        "/sync",
        "answered when every job asked for before has ended",
        (Argument("id", "i", optional=True),),
        replies=("/synced",),
    ),
    Row(
        "/notify",
        "hear of every job, here or on another port",
        (Argument("switch", "i", ON_OFF, shows_range=True), Argument("port", "i", PORTS, optional=True)),
    ),
    Row(
        "/network",
        "where and by whom the daemon can be found, and how many it refused",
        replies=("/network.reply",),
    ),
    Row("/help", "this table", (Argument("address", optional=True),), replies=("/help.reply", "/done")),
    Row(
        "/play",
        "sound a clip: its id, its path in the clip folder, or the last one; @at beat or bar waits for /tempo",
        (Argument("clip", words=("last",), optional=True),),
        PLAY_ATTRIBUTES,
    ),
    Row("/stop", "fade a clip out, or all", (Argument("clip", words=("all",), optional=True),)),
    Row(
        "/meter",
        "levels of the live output twenty times a second, here or on another port",
        (Argument("switch", "i", ON_OFF, shows_range=True), Argument("port", "i", PORTS, optional=True)),
        replies=("/levels", "/done"),
    ),
    Row("/volume", "master volume", (Argument("volume", "f", VOLUMES, shows_range=True),)),
    Row("/tempo", "beats a minute of @at", (Argument("bpm", "f", TEMPOS, optional=True),)),
    Row(
        "/link",
        "take part in Ableton Link's session, whose tempo and beat then count",
        (Argument("switch", "i", ON_OFF, optional=True, shows_range=True),),
    ),
    Row("/bank/list", "prompt banks", replies=("/bank", "/done")),
    Row(
        "/bank/load",
        "put a bank under the pads; without a name, tell of the loaded one",
        (Argument("name", optional=True),),
        replies=("/bank.slot", "/done"),
    ),
    Row("/bank/next", "the next bank of the list", replies=("/bank.slot", "/done")),
    Row("/bank/previous", "the one before", replies=("/bank.slot", "/done")),
    Row(
        "/bank/render",
        "make the clips that the bank lacks, or that of one slot; others are served between two slots",
        (Argument("slot", optional=True),),
        replies=("/queued", "/progress", "/clip", "/bank.slot", "/done"),
    ),
    Row(
        "/bank/fire",
        "sound a slot, by its number from 0 or its name, at once when its clip is made, else as soon as it is",
        (Argument("slot"), Argument("velocity", "f", VELOCITIES, optional=True)),
        replies=("/queued", "/progress", "/clip", "/bank.slot", "/done"),
    ),
    Row(
        "/bank/set",
        "give a slot another prompt, or add one at the end",
        (
            Argument("slot", "i", SLOT_NUMBERS),
            Argument("prompt"),
            Argument("seconds", "f", LiveRange.LENGTHS, optional=True),
        ),
        request_arguments(row for row in NAMED_ATTRIBUTES if row.in_bank),
        replies=("/bank.slot", "/done"),
    ),
    Row("/bank/save", "keep the bank as it is now, among your own", (Argument("name", optional=True),)),
    Row("/device/list", "sound outputs", replies=("/device", "/done")),
    Row("/device/set", "play on this output", (Argument("name"),)),
    Row("/model/list", "installed models", replies=("/model", "/done")),
    Row(
        "/model/load",
        "have a model ready before it is asked for a clip",
        (Argument("name", range=LiveRange.MODELS),),
        replies=("/queued", "/progress", "/done"),
    ),
    Row(
        "/model/unload",
        "give the memory of a model back",
        (Argument("name", range=LiveRange.MODELS),),
        replies=("/queued", "/done"),
    ),
    Row(
        "/clip/list",
        "the newest clips, 20 of them; from 0 on",
        # OSCQuery has never shown their ranges, PAGE_LENGTHS and PAGE_STARTS.
        (Argument("how many", "i", optional=True), Argument("from", "i", optional=True)),
        replies=("/clip.list", "/clip.info", "/done"),
    ),
    Row(
        "/clip/search",
        "clips with all these words, or their beginnings, in prompt, tags or name; starred is such a word",
        (Argument("words"),),
        PAGE_ATTRIBUTES,
        replies=("/clip.list", "/clip.info", "/done"),
    ),
    Row(
        "/clip/info",
        "one clip: its id, its file's name or path, or last",
        (Argument("clip"),),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/star",
        "give a clip a star, or take it away",
        (Argument("clip"), Argument("switch", "i", ON_OFF, optional=True, shows_range=True)),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/tag",
        "add words to a clip's tags; -word takes one away",
        (Argument("clip"), Argument("words")),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/delete",
        "put a clip's file into the system's trash",
        (Argument("clip"),),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/undo",
        "one step back: a request's takes, a deletion, a star, a tag",
        replies=("/clip.info", "/done"),
    ),
    Row("/clip/redo", "the step that was undone last, again", replies=("/clip.info", "/done")),
    Row(
        "/clip/again",
        "the same request with another seed",
        (Argument("clip"), Argument("seed", "i", optional=True)),
        replies=("/queued", "/progress", "/clip", "/done"),
    ),
    Row("/clip/scan", "compare the library with the sample folder now"),
)
ADDRESSES = {row.address: row for row in TABLE}
REPLIES = {
    "/queued": Reply("job, address, jobs before it", "ssi"),
    "/progress": Reply("job, 0 to 1, stage", "sfs"),
    "/clip": Reply("job, clip id, absolute path, seconds, take, seed", "sssfii"),
    "/fail": Reply("address, code, sentence, job", "ssss"),
    "/status.reply": Reply("1, running, queued, clips, models, loads, sample rates, engine and more", "iiiiiffffssssf"),
    "/version.reply": Reply("name, major, minor, patch", "siisss"),
    "/network.reply": Reply("HTTP port, HTTP, zeroconf, 1 with --lan, hosts refused, packets refused", "issiii"),
    "/synced": Reply("id", "i"),
    "/clip.list": Reply("how many follow, how many there are, from where", "iii"),
    "/clip.info": Reply("id, path, seconds, star, state, seed, take, model, when, prompt, tags", "ssfisiissss"),
    "/bank": Reply("name, description, slots, 1 when loaded, 1 when changed and not saved", "ssiii"),
    "/bank.slot": Reply("slot, name, colour, prompt, note, choke, seconds, clip id, path", "isssisfss"),
    "/levels": Reply("peak left and right, RMS left and right, 1 at full scale; voices, underruns", "ffffii"),
    "/device": Reply("name, channels, sample rate, 1 when in use", "siii"),
    "/help.reply": Reply("address, arguments, help", "sss"),
    "/model": Reply("name, family, verb, version, embedding, 1 when loaded", "sssssi"),
}
"""Replies whose arguments always have the same types; `/done` has its address's own."""
