"""What differs from run to run, or from machine to machine, under names that do not."""

import re
from collections.abc import Mapping

TIME = re.compile(r"\b\d{4}-\d\d-\d\d([ T]?\d\d:\d\d(:\d\d)?)?")

PARSER = re.compile(r"not OSC \(\('.*?ParseError\(.*\)\)\)")
"""Words of python-osc's, another version of which has others."""


class Names:
    """Names what must not be in the record, the same thing by the same name each time."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """`known` are pieces of text and what stands for them; longer ones win."""
        self._known = dict(sorted(known.items(), key=lambda pair: -len(pair[0])))
        self._found: dict[str, dict[str, str]] = {}

    def name(self, kind: str, value: str) -> str:
        """`<clip 1>` for the first clip, and so on."""
        found = self._found.setdefault(kind, {})
        return found.setdefault(value, f"<{kind} {len(found) + 1}>")

    def know(self, number: int, name: str) -> None:
        """A number, such as a port, that is known by a name."""
        self._found.setdefault("", {})[str(number)] = name

    def mask(self, text: str) -> str:
        """A text without paths and times of this run."""
        for piece, name in self._known.items():
            text = text.replace(piece, name)
        text = PARSER.sub("not OSC (<reason>)", TIME.sub("<time>", text))
        for found in self._found.values():
            for value, name in found.items():
                text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])", name, text)
        return text
