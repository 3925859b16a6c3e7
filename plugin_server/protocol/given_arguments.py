"""Arguments as the row of their address takes them: read once, before any handler looks at them.

Blobs are text, attributes within one text are taken apart, nil is what was not given, and words such as `all` may be
written in any case. The number that a button sends along with a command that needs none is its press or its release.
"""

from collections.abc import Sequence

from plugin_server.audio.names import name_key, same_name
from plugin_server.protocol.arguments import is_attribute, is_number
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.table import Argument, Row
from plugin_server.studio.words import normal_words, read_number

BANG = "bang"
"""Max's and Pure Data's word for a press, as `[prepend /bank/next]` passes it on."""


def arguments_of(row: Row, atoms: Sequence[Atom]) -> Sequence[Atom] | None:
    """Return the arguments that a handler reads; None when a button was let go, upon which nothing is to be done."""
    texts: list[Atom] = [_as_text(atom) for atom in atoms]
    positional, attributes = _split(row, _take_apart(row, texts))
    n_required = sum(not argument.optional for argument in row.arguments)
    while len(positional) > n_required and positional[-1] is None:
        positional.pop()
    if not n_required and len(positional) == 1:
        is_pressed = _is_pressed(row.arguments[0] if row.arguments else None, positional[0])
        if is_pressed is not None:
            positional = []
        if is_pressed is False and "/done" in row.replies:
            return None
    if len(positional) == 1 and row.arguments:
        positional = [_as_word(row.arguments[0], positional[0])]
    return [*positional, *attributes]


def _as_text(atom: Atom) -> Atom:
    # One with a NUL is no text, and refused by who reads it.
    return atom.decode("utf-8", "replace") if isinstance(atom, bytes) and b"\0" not in atom else atom


def _as_word(argument: Argument, atom: Atom) -> Atom:
    """Return the word that a text means, as 'all' for 'All', where one may come in the stead of the argument."""
    return (same_name(normal_words(atom), argument.words) or atom) if isinstance(atom, str) and argument.words else atom


def _take_apart(row: Row, atoms: list[Atom]) -> list[Atom]:
    """Return atoms in which a text such as 'sea waves 2 @seed 5' is its words: some programs send one text only."""
    names = {f"@{attribute.name}" for attribute in row.attributes}
    apart: list[Atom] = []
    for atom in atoms:
        words = atom.split() if isinstance(atom, str) and "@" in atom else []
        apart += words if len(words) > 1 and names.intersection(map(name_key, words)) else [atom]
    return apart


def _split(row: Row, atoms: list[Atom]) -> tuple[list[Atom], list[Atom]]:
    """Return the positional atoms, and the attributes with their values, without those whose only value is nil."""
    starts = [i for i, atom in enumerate(atoms) if row.attributes and is_attribute(atom)]
    attributes: list[Atom] = []
    for start, end in zip(starts, [*starts[1:], len(atoms)], strict=False):
        if atoms[start + 1 : end] != [None]:
            attributes += atoms[start:end]
    return atoms[: starts[0] if starts else len(atoms)], attributes


def _is_pressed(argument: Argument | None, atom: Atom) -> bool | None:
    """Return whether the only atom says that a button is down or up; None when it is a value of the argument."""
    if argument and argument.tag != "s":
        return None
    if isinstance(atom, bool):
        return atom
    if argument is None:
        if isinstance(atom, str) and same_name(atom, [BANG]):
            return True
        number = atom if is_number(atom) else read_number(atom) if isinstance(atom, str) else None
        return None if number is None else number != 0
    # Where a name is expected, only numbers of OSC's own types are a button's: names may be digits.
    if not is_number(atom) or (argument.takes_number and isinstance(atom, int)):
        return None
    return atom != 0 if 0 <= atom <= 1 else None
