"""Rows of the address table: what an address takes, and what a reply carries.

The notation that people read, OSCQuery's types and ranges, and the checks at run time are all made from them. The rows
themselves lie beside their handlers, in `commands`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from plugin_server.studio.attributes import Attribute, Kind

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
    """OSC type; text by default: numbers are understood as text, too."""
    range: Range | LiveRange | None = None
    optional: bool = False
    words: tuple[str, ...] = ()
    """Words that may come in its stead, as in `job | all`."""
    takes_number: bool = False
    """An int is a value, too, as a slot's number. Where names alone are values, 0 and 1 are a button's."""
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
    """Named ones, in Max's style, `@seed 42`; all are optional. OSC's type tags cannot express them."""
    replies: tuple[str, ...] = ("/done",)
    """Addresses that it is answered with, besides /fail."""
    is_setting: bool = False
    """Its first argument is a value that holds until the next one, and is told when there is none."""
    is_read_only: bool = False
    """It changes nothing, so that a pattern may reach it together with others."""

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


def only_sent(table: Iterable[Row]) -> frozenset[str]:
    """Return every address that the daemon sends and never answers."""
    rows = list(table)
    return frozenset(reply_sources(rows)) - {row.address for row in rows}


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
