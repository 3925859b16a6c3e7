"""How many inlets and outlets a Max object has. Patchlines that miss one are dropped by Max without a word."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shape:
    """Inlets, and the type of each outlet as Max's files name it: 'signal', 'bang', 'int', 'float' or ''."""

    n_inlets: int
    outlets: tuple[str, ...] = ()


Folders = tuple[Path, ...]
ANY = ("",)
INTERFACE = {
    "bpatcher": Shape(1, ("", "")),
    "comment": Shape(1),
    "dropfile": Shape(1, ("", "")),
    "ezdac~": Shape(2),
    "flonum": Shape(1, ("", "bang")),
    "gain~": Shape(2, ("signal", "")),
    "inlet": Shape(0, ANY),
    "live.numbox": Shape(1, ("", "float")),
    "live.text": Shape(1, ("", "")),
    "message": Shape(2, ANY),
    "multislider": Shape(1, ("", "")),
    "number": Shape(1, ("", "bang")),
    "outlet": Shape(1),
    "panel": Shape(1),
    "textedit": Shape(1, ("", "int", "", "")),
    "toggle": Shape(1, ("int",)),
    "umenu": Shape(1, ("int", "", "")),
    "waveform~": Shape(5, ("float", "float", "float", "float", "list", "")),
}
"""Boxes with a face of their own, by maxclass."""

NAMED = {
    "*~": Shape(2, ("signal",)),
    "+~": Shape(2, ("signal",)),
    "buffer~": Shape(1, ("float", "bang")),
    "freebang": Shape(1, ("bang",)),
    "gate": Shape(2, ANY),
    "groove~": Shape(3, ("signal", "signal")),
    "live.thisdevice": Shape(1, ("bang", "int", "int")),
    "loadbang": Shape(1, ("bang",)),
    "loadmess": Shape(1, ANY),
    "node.script": Shape(1, ("", "")),
    "pattr": Shape(1, ("", "", "")),
    "plugin~": Shape(2, ("signal", "signal")),
    "plugout~": Shape(2, ("signal", "signal")),
    "prepend": Shape(1, ANY),
    "print": Shape(1),
    "r": Shape(0, ANY),
    "s": Shape(1),
    "sig~": Shape(1, ("signal",)),
    "udpreceive": Shape(1, ANY),
    "udpsend": Shape(1),
}
"""Objects written into a box, by their first word; those of `_COUNTED` depend on what follows."""

_TRIGGERS = {"b": "bang", "i": "int", "f": "float", "l": "", "s": ""}


def _route(arguments: list[str], folders: Folders) -> Shape:
    """Max 8.6 and later give [route] an inlet for each selector; the first of them is the one to use."""
    return Shape(len(arguments) + 1, ("",) * (len(arguments) + 1))


def _trigger(arguments: list[str], folders: Folders) -> Shape:
    return Shape(1, tuple(_TRIGGERS.get(argument, "") for argument in arguments))


def _script(arguments: list[str], folders: Folders) -> Shape:
    """[js] takes its inlets and outlets from `inlets = 2;` and `outlets = 4;` in the file."""
    source = next(path for folder in folders if (path := folder / arguments[0]).exists()).read_text("utf-8")
    return Shape(_count(source, "inlets"), ("",) * _count(source, "outlets"))


def _count(source: str, side: str) -> int:
    found = re.search(rf"^{side} = (\d+);", source, re.MULTILINE)
    if found is None:
        raise ValueError(f"the script has no line '{side} = NUMBER;'")
    return int(found[1])


_COUNTED = {"js": _script, "route": _route, "t": _trigger}


def shape_of(maxclass: str, text: str, folders: Folders) -> Shape:
    """Shape of a box; scripts are looked for in `folders`. Raises KeyError for an object that is not in the tables."""
    if maxclass != "newobj":
        return INTERFACE[maxclass]
    name, *arguments = text.split()
    return _COUNTED[name](arguments, folders) if name in _COUNTED else NAMED[name]
