"""The arguments of `/generate` and of a bank's slot, read as a request."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from plugin_server.engine.bundles.card import Lengths
from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import (
    as_number,
    as_paths,
    as_switch,
    as_text,
    as_whole,
    as_words,
    check_attribute,
    is_number,
    split_attributes,
)
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.table import Range
from plugin_server.studio.attributes import Attribute, Kind
from plugin_server.studio.requests import NAMED_ATTRIBUTES, Generate, split_length
from plugin_server.studio.seeds import ANY_SEED
from plugin_server.studio.words import read_seconds

DEFAULT_BPM = 120.0
"""Beats a minute of @bars where neither @bpm nor the player's tempo is known."""
_ROWS = {row.name: row for row in NAMED_ATTRIBUTES}
_ONE_VALUE: dict[Kind, Callable[[str, Atom], object]] = {
    Kind.NUMBER: as_number,
    # Any, since the request says which ones it takes.
    Kind.WHOLE_NUMBER: partial(as_whole, allowed=Range()),
    Kind.SWITCH: as_switch,
}
"""How the one value of an attribute is read; other kinds take several."""


def parse_generate(
    arguments: Sequence[Atom],
    lengths_of: Callable[[str], Lengths],
    tempo: Callable[[], float] = lambda: DEFAULT_BPM,
    any_seed: Callable[[], int | None] = lambda: None,
) -> Generate:
    """Return a checked request from the arguments of `/generate`.

    Args:
        arguments: All that came after the address.
        lengths_of: Given a model's name, returns the lengths that it can make, which tell whether a number is one.
        tempo: Returns the beats a minute of bars that came without @bpm.
        any_seed: Returns the seed of one that is to be drawn; None leaves that to who makes the clip.

    Raises:
        BadArgument: It names the argument, what came and what was expected.
        Exception: What `lengths_of` raises.
    """
    positional, attributes = split_attributes(arguments)
    values = parse_attributes(attributes, any_seed)
    if "bars" in values:
        values.setdefault("bpm", float(tempo()))
    has_images = bool(values.get("images"))
    if has_images and positional == [None]:
        positional = []
    if positional or not has_images:
        model = str(values.get("model", ""))
        values["prompt"], values["seconds"] = _prompt_and_seconds(
            positional, lambda: lengths_of(model), has_images=has_images
        )
    return Generate(**values)


def parse_attributes(
    attributes: Mapping[str, list[Atom]], any_seed: Callable[[], int | None] = lambda: None
) -> dict[str, Any]:
    """Return fields of Generate, of any type, as the request checks them, from attributes. Raises BadArgument."""
    values: dict[str, Any] = {}
    for name, atoms in attributes.items():
        check_attribute(name, _ROWS)
        row = _ROWS[name]
        values[row.field] = _parse_attribute(row, atoms)
    if values.get("seed") == ANY_SEED:
        values["seed"] = any_seed()
    return values


def _prompt_and_seconds(
    atoms: list[Atom], lengths: Callable[[], Lengths], *, has_images: bool
) -> tuple[str, float | None]:
    """Return the prompt and the length that came without a name. Raises BadArgument where the prompt is a number."""
    if not atoms:
        raise BadArgument('prompt: got nothing, expected words, as in /generate "sea waves" 5')
    texts = [as_text("prompt", atom) for atom in atoms]
    words, seconds = split_length(
        texts, _number_at_end(atoms, texts, has_images=has_images), lengths, has_images=has_images
    )
    if words and all(is_number(atom) for atom in atoms[: len(words)]):
        raise BadArgument(f"prompt: got the number {' '.join(words)}, expected words")
    return " ".join(words), seconds


def _number_at_end(atoms: list[Atom], texts: list[str], *, has_images: bool) -> float | None:
    """Return the last atom where it is a number, or a text of one after words or beside images."""
    last = atoms[-1]
    if is_number(last):
        return float(last)
    has_words = any(read_seconds(text) is None for text in texts[:-1])
    return read_seconds(texts[-1]) if has_words or has_images else None


def _parse_attribute(row: Attribute, atoms: list[Atom]) -> object:
    if not atoms:
        raise BadArgument(f"{row.name}: got nothing, expected a value after @{row.name}")
    if row.kind is Kind.PATHS:
        return as_paths(atoms)
    if row.kind not in _ONE_VALUE:
        return as_words(row.name, atoms)
    if len(atoms) > 1:
        raise BadArgument(f"{row.name}: got {len(atoms)} values, expected one")
    return _ONE_VALUE[row.kind](row.name, atoms[0])
