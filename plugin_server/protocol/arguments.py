"""OSC arguments as text, numbers, switches and paths, and Max-style attributes among them.

Functions that take a name raise BadArgument that names it, what came and what was expected.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import TypeGuard, TypeVar

from plugin_server.audio.names import name_key
from plugin_server.errors import BadArgument, short_repr
from plugin_server.protocol.packets import Atom, Foreign
from plugin_server.protocol.table import Range, number_text
from plugin_server.studio.paths import PATH_START, plain_path
from plugin_server.studio.words import normal_words, read_number

WHOLE_NUMBERS = Range(-(2**31), 2**31 - 1)
"""What the replies' 32 bits hold."""
MAX_SHOWN = 3
"""Arguments that a sentence shows where none was expected."""
MAX_PATH = 4096
"""Characters of a path."""
V = TypeVar("V", bound=str | int | float)
_SWITCHES = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def split_attributes(arguments: Sequence[Atom]) -> tuple[list[Atom], dict[str, list[Atom]]]:
    """Return the positional atoms, and those of each Max-style attribute by its name.

    '@seed 42' and '@Seed 42' give {'seed': [42]}. Raises BadArgument when one attribute comes twice.
    """
    positional: list[Atom] = []
    attributes: dict[str, list[Atom]] = {}
    into = positional
    for atom in arguments:
        if is_attribute(atom):
            name = name_key(atom[1:])
            if name in attributes:
                raise BadArgument(f"attribute: got {atom[:40]} twice, expected it once")
            into = attributes[name] = []
        else:
            into.append(atom)
    return positional, attributes


def is_attribute(atom: Atom) -> TypeGuard[str]:
    """Return whether an atom is the name of an attribute, as '@seed'."""
    return isinstance(atom, str) and len(atom) > 1 and atom.startswith("@")


def check_attribute(name: str, known: Iterable[str]) -> None:
    """Check that an attribute is among the known ones. Raises BadArgument."""
    names = tuple(known)
    if name not in names:
        raise BadArgument(f"attribute: got @{name[:40]}, expected one of {' '.join(f'@{each}' for each in names)}")


def find_id(arguments: Sequence[Atom]) -> str:
    """Return the `@id` of a request, also of one that cannot be parsed; "" when it has none."""
    for name, atom in pairwise(arguments):
        if is_attribute(name) and name_key(name) == "@id" and isinstance(atom, str):
            return atom[:64]
    return ""


def as_text(name: str, atom: Atom) -> str:
    """Return the text of a string, a UTF-8 blob or a number. Raises BadArgument."""
    if isinstance(atom, str):
        return atom
    if isinstance(atom, bytes):
        if b"\0" in atom:
            raise BadArgument(f"{name}: got a blob with a NUL in it, expected text")
        return atom.decode("utf-8", "replace")
    if is_number(atom):
        return _float_text(atom) if isinstance(atom, float) else str(atom)
    raise BadArgument(f"{name}: got {describe(atom)}, expected text")


def as_clip(atom: Atom) -> str:
    """Return what names a clip, its path however it is written. Raises BadArgument."""
    return plain_path(as_text("clip", atom))


def as_words(name: str, atoms: Sequence[Atom]) -> str:
    """Return the normal form of words that came as one text or as several. Raises BadArgument."""
    return normal_words(" ".join(as_text(name, atom) for atom in atoms))


def as_number(name: str, atom: Atom) -> float:
    """Return the float of an int, a float, or text that spells one, with a point or a comma. Raises BadArgument.

    OSC's T and F are 1 and 0.
    """
    if isinstance(atom, bool):
        return float(atom)
    if isinstance(atom, str | bytes):
        number = read_number(as_text(name, atom))
        if number is None:
            raise BadArgument(f"{name}: got {describe(atom)}, expected a number")
        return number
    if not is_number(atom):
        raise BadArgument(f"{name}: got {describe(atom)}, expected a number")
    # The number that was meant: OSC's 32 bits make 93.69999695 of 93.7, and two bars of it a sample too long.
    return float(_float_text(atom)) if isinstance(atom, float) else float(atom)


def as_whole(name: str, atom: Atom, allowed: Range = WHOLE_NUMBERS) -> int:
    """Return a whole number within a range. Raises BadArgument.

    Floats without a fraction count, since some clients send nothing else.
    """
    if isinstance(atom, int):
        return check_range(name, int(atom), allowed)
    number = as_number(name, atom)
    if not number.is_integer():
        raise BadArgument(f"{name}: got {number:g}, expected a whole number")
    # As a float: it may have 308 digits, which no sentence needs.
    return int(check_range(name, number, allowed))


def as_switch(name: str, atom: Atom) -> bool:
    """Return true or false of OSC's T and F, of 1 and 0, or of a word that says so. Raises BadArgument."""
    if isinstance(atom, bool):
        return atom
    if is_number(atom) and atom in (0, 1):
        return bool(atom)
    if isinstance(atom, str | bytes):
        text = normal_words(as_text(name, atom)).casefold()
        switch = _SWITCHES.get(text, read_number(text))
        if switch in (0, 1):
            return bool(switch)
    came = number_text(atom) if is_number(atom) else describe(atom)
    raise BadArgument(f"{name}: got {came}, expected 0 or 1, on or off")


def as_paths(atoms: Sequence[Atom]) -> tuple[str, ...]:
    """Return the paths of atoms. Raises BadArgument.

    Each atom that begins like a path begins one, others go on with the last, which had spaces and no quotes. A text of
    `file:` URLs has one a line, as files that are dragged come.
    """
    paths: list[str] = []
    for text in chain.from_iterable(_lines(as_text("image", atom)) for atom in atoms):
        if len(text) > MAX_PATH:
            raise BadArgument(f"image: got {len(text)} characters, expected at most {MAX_PATH}")
        # What came before is no path yet in `Macintosh HD:/Users` without quotes.
        if not paths or (PATH_START.match(text) and PATH_START.match(paths[-1])):
            paths.append(text)
        else:
            paths[-1] += f" {text}"
    return tuple(plain_path(path) for path in paths)


def _lines(text: str) -> list[str]:
    return text.split() if text[:5].lower() == "file:" and "\n" in text else [text]


def check_range(name: str, value: V, allowed: Range) -> V:
    """Return the value when the range has it. Raises BadArgument."""
    if value not in allowed:
        came = short_repr(value) if isinstance(value, str) else number_text(value)
        raise BadArgument(f"{name}: got {came}, expected {allowed}")
    return value


def only_number(name: str, atoms: Sequence[Atom], allowed: Range) -> float:
    """Return the only atom as a number within a range. Raises BadArgument."""
    if len(atoms) != 1:
        raise BadArgument(f"{name}: got {len(atoms)} values, expected {allowed}")
    return check_range(name, as_number(name, atoms[0]), allowed)


def exactly(count: int, expected: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    """Return the arguments when there are so many. Raises BadArgument that says what was expected."""
    if len(arguments) != count:
        came = str(len(arguments)) if count else " ".join(map(describe, arguments[:MAX_SHOWN]))
        raise BadArgument(f"arguments: got {came}, expected {expected}")
    return arguments


def at_most(count: int, expected: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    """Return the arguments when there are no more than that. Raises BadArgument that says what was expected."""
    if len(arguments) > count:
        raise BadArgument(f"arguments: got {len(arguments)}, expected {expected}")
    return arguments


def at_most_one(name: str, arguments: Sequence[Atom]) -> Atom:
    """Return the only argument, None when there is none. Raises BadArgument when there are more."""
    if len(arguments) > 1:
        raise BadArgument(f"{name}: got {len(arguments)} arguments, expected at most one")
    return arguments[0] if arguments else None


def is_number(atom: Atom) -> TypeGuard[int | float]:
    """Return whether an atom is an int or a float; Python's bools, which are OSC's T and F, are none."""
    return isinstance(atom, int | float) and not isinstance(atom, bool)


def describe(atom: Atom) -> str:
    """Return an argument in the words of a sentence."""
    if isinstance(atom, Foreign):
        return atom.kind
    if isinstance(atom, bool):
        return "true" if atom else "false"
    kinds = {bytes: "a blob", type(None): "nil", list: "an array"}
    return kinds.get(type(atom)) or short_repr(atom)


def _float_text(number: float) -> str:
    """Return the shortest text for a float: '808', not '808.0'; '0.1', though OSC's 32 bits hold 0.10000000149."""
    if not math.isfinite(number):
        return str(number)
    if number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    for digits in range(1, 10):
        text = f"{number:.{digits}g}"
        if _as_float32(float(text)) == number:
            return text
    return repr(number)


def _as_float32(number: float) -> float:
    try:
        rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return math.inf
    return rounded
