"""What an address takes and what a reply carries, as OSC type tags with ranges: read from the table's own notation, and
from what a row adds to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from plugin_server.protocol.table import TABLE, Range, Row

FAIL = "/fail"
"""Any row may be answered by it."""

_ARGUMENT = re.compile(r"\[[^\]]*\]|[^\s|\[\]]+(?: \| [^\s|\[\]]+)*")


@dataclass(frozen=True, slots=True)
class Argument:
    """One positional argument of an address."""

    name: str
    tag: str
    """OSC's type: s, i or f."""
    optional: bool
    range: Range | None


def arguments_of(row: Row, live: Mapping[str, Range]) -> list[Argument]:
    """The positional arguments of a row; `live` gives ranges that only the running daemon knows, by their name in the
    row. Max-style attributes are none of them: OSC's type tags cannot say them."""
    parts = [part for part in _ARGUMENT.findall(row.arguments) if not part.startswith(("[@", "@"))]
    return [_argument(row, i, part, live) for i, part in enumerate(parts)]


def _argument(row: Row, place: int, part: str, live: Mapping[str, Range]) -> Argument:
    name = part.strip("[]")
    choices = name.split(" | ")
    numbers = [int(choice) for choice in choices if re.fullmatch(r"-?\d+", choice)]
    listed = Range(values=tuple(numbers)) if len(numbers) == len(choices) else None
    known = row.ranges.get(name, listed)
    # Text when nothing is said: numbers are understood as text, too.
    tag = row.types[place] if place < len(row.types) else "i" if listed else "s"
    return Argument(name, tag, part.startswith("["), live.get(known) if isinstance(known, str) else known)


def replies() -> dict[str, list[str]]:
    """Addresses that the daemon sends, each with those it may answer."""
    sent: dict[str, list[str]] = {FAIL: [row.address for row in TABLE]}
    for row in TABLE:
        for address in row.replies.split():
            sent.setdefault(address, []).append(row.address)
    return sent
