"""Attributes of a request: what each one is called, which values it takes, and where it counts.

A field of a request is declared with `attribute(...)`; `attributes_of` reads the table back from the dataclass. The
checks of a request, OSC's parser, the address table, the flags of the command line, the keys of banks and the keys of
recipes are all derived from that table.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, ParamSpec

from plugin_server.audio.names import same_name
from plugin_server.errors import BadArgument, short_repr
from plugin_server.studio.words import normal_words

MAX_TEXT = 2000
"""Characters of a text."""
MAX_PATH = 4096
"""Characters of a path."""
_KEY = "attribute"
"""Key of an Attribute in its field's metadata."""
P = ParamSpec("P")


class Kind(Enum):
    """The type of an attribute's value."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE_NUMBER = "whole number"
    SWITCH = "switch"
    CHOICE = "choice"
    PATHS = "paths"


class Effect(IntEnum):
    """The part of a result that an attribute has an effect on. Recipes hold the first three, in this order."""

    SOUND = 0
    """The samples: the model is asked with it."""
    FILE_NAME = 1
    """The name of the clip and of its file, nothing within it that a search for an existing clip compares."""
    METADATA = 2
    """Data in the file beside the samples, or its format."""
    JOB = 3
    """The job alone, so that no slot of a bank has it: a slot is one clip, and the daemon names its jobs."""


class Group(IntEnum):
    """The subject of an attribute. Help lists one subject after another, and each in the order of its fields."""

    WORDS = 0
    IMAGES = 1
    TIMING = 2
    SAMPLING = 3
    FILE = 4


@dataclass(frozen=True, slots=True)
class Flag:
    """How the command line shows an attribute."""

    order: int
    """Flags are listed by this number in --help."""
    options: tuple[str, ...] = ()
    """Spellings where they are not just --name."""
    metavar: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a request: a row of the attribute table."""

    kind: Kind
    """Type of its value."""
    help: str
    """One phrase, as --help shows it."""
    default: Any = None
    """The value where a request says nothing; None means: the model's own choice."""
    minimum: float | None = None
    maximum: float | None = None
    """Both ends of a number's range are allowed. Of paths, the largest number of them."""
    choices: tuple[str, ...] = ()
    """The texts that a choice may be; it may also be empty, for the default."""
    pattern: str = ""
    """Regular expression of a text that is not empty, where not every text will do."""
    pattern_help: str = ""
    """The pattern in the words of a sentence."""
    effect: Effect = Effect.SOUND
    group: Group = Group.SAMPLING
    is_positional: bool = False
    """OSC and the command line take it without its name."""
    in_every_recipe: bool = False
    """Recipes of the first version have it, too: a file whose recipe lacks it cannot be made again."""
    flag: Flag | None = None
    name: str = ""
    """Its name wherever users write or read it: OSC, banks, the command line, errors. The field's when empty."""
    field: str = ""
    """Name of the field that holds it; `attributes_of` fills it in."""

    @property
    def in_bank(self) -> bool:
        """True when a slot of a bank may have it."""
        return self.effect is not Effect.JOB

    @property
    def range_text(self) -> str:
        """The values that it takes in the words of a sentence, as '0 to 20' or 'one of wav, flac, aiff'; '' for any."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.minimum is None or self.maximum is None:
            return self.pattern_help
        if self.kind is Kind.WHOLE_NUMBER:
            return f"{self.minimum} to {self.maximum}"
        return f"{self.minimum:g} to {self.maximum:g}"

    def normalise(self, value: object) -> object:
        """Return a value in the form in which equal ones are equal: words in their normal form, choices as spelt."""
        if self.kind not in (Kind.TEXT, Kind.CHOICE) or not isinstance(value, str) or len(value) > MAX_TEXT:
            return value
        words = normal_words(value)
        return same_name(words, self.choices) or words

    def check(self, value: object) -> None:
        """Raises BadArgument that names the attribute, what came and what was expected."""
        if value is None and self.default is None:
            return
        _CHECKS[self.kind](self, value)


def _as_field(make_row: Callable[P, Attribute]) -> Callable[P, Any]:
    """Return a function that takes what Attribute takes, checked by its types, and returns a dataclass field."""

    def attribute_field(*args: P.args, **kwargs: P.kwargs) -> Any:
        row = make_row(*args, **kwargs)
        return field(default=row.default, metadata={_KEY: row})

    return attribute_field


attribute = _as_field(Attribute)
"""Declares a field of a request: takes what Attribute takes, and its default becomes the field's."""


def attributes_of(request_type: type) -> tuple[Attribute, ...]:
    """Return the attribute table of a dataclass, in the order of its fields."""
    rows = ((f.name, f.metadata[_KEY]) for f in fields(request_type))
    return tuple(replace(row, field=name, name=row.name or name) for name, row in rows)


def _check_text(row: Attribute, value: object) -> None:
    if not isinstance(value, str):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected text")
    if row.pattern and value and not re.fullmatch(row.pattern, value):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected {row.range_text}")
    if len(value) > MAX_TEXT:
        raise BadArgument(f"{row.name}: got {len(value)} characters, expected at most {MAX_TEXT}")


def _check_number(row: Attribute, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected a number from {row.range_text}")
    if not _is_within(row, value) or not math.isfinite(value):
        raise BadArgument(f"{row.name}: got {short_number(value)}, expected {row.range_text}")


def _check_whole_number(row: Attribute, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected a whole number from {row.range_text}")
    if not _is_within(row, value):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected {row.range_text}")


def short_number(value: float) -> str:
    """Return a number for a sentence; whole ones may have any number of digits."""
    return f"{value:g}" if isinstance(value, float) or abs(value) < 10**15 else "a number of too many digits"


def _is_within(row: Attribute, value: float) -> bool:
    return (row.minimum is None or row.minimum <= value) and (row.maximum is None or value <= row.maximum)


def _check_switch(row: Attribute, value: object) -> None:
    if not isinstance(value, bool):
        raise BadArgument(f"{row.name}: got {value!r}, expected true or false")


def _check_choice(row: Attribute, value: object) -> None:
    if value not in ("", *row.choices):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected {row.range_text}")


def _check_paths(row: Attribute, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(path, str) for path in value):
        raise BadArgument(f"{row.name}: got {short_repr(value)}, expected paths of pictures")
    if row.maximum is not None and len(value) > row.maximum:
        raise BadArgument(f"{row.name}: got {len(value)} of them, expected at most {row.maximum}")
    for path in value:
        if len(path) > MAX_PATH or not Path(path).is_absolute() or "\0" in path:
            raise BadArgument(f"{row.name}: got {short_repr(path)}, expected an absolute path of a picture")


_CHECKS: dict[Kind, Callable[[Attribute, object], None]] = {
    Kind.TEXT: _check_text,
    Kind.NUMBER: _check_number,
    Kind.WHOLE_NUMBER: _check_whole_number,
    Kind.SWITCH: _check_switch,
    Kind.CHOICE: _check_choice,
    Kind.PATHS: _check_paths,
}
