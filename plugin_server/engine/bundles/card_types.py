"""The types that the fields of a card are declared with, compared with what its file holds."""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from plugin_server.errors import short_repr

MAX_TEXT = 10_000
"""Characters of one text of a card."""


def check_types(part: object, keys: Mapping[str, str], where: str) -> None:
    """Compare every field of a part of the card, a dataclass, with its declared type.

    `keys` are the names in the file by those of the fields, `where` is what stands before them in a sentence, as
    'picture.'. Raises TypeError that names the key.
    """
    hints = get_type_hints(type(part))
    for one in fields(part):  # type: ignore[arg-type]  # a dataclass of any type
        value = getattr(part, one.name)
        if not _matches(hints[one.name], value):
            raise TypeError(f"{where}{keys[one.name]} is {short_repr(value)}, expected {_words(hints[one.name])}")


def _matches(declared: Any, value: object) -> bool:
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is UnionType:
        return any(_matches(one, value) for one in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_matches(arguments[0], one) for one in value)
    if origin is not None:
        return isinstance(value, Mapping) and all(_matches(arguments[1], one) for one in value.values())
    if isinstance(value, bool):
        return declared is bool
    if declared is str:
        return isinstance(value, str) and len(value) <= MAX_TEXT
    return isinstance(value, int | float if declared is float else declared)


def _words(declared: Any) -> str:
    """Return a declared type in the words of a sentence."""
    if get_origin(declared) is UnionType:
        return " or ".join(_words(one) for one in get_args(declared))
    if get_origin(declared) is tuple:
        return f"a list, each {_words(get_args(declared)[0])}"
    if get_origin(declared) is not None:
        return f"an object, each {_words(get_args(declared)[1])}"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    return words.get(declared, "an object")
