"""The arguments of `/generate` and of a bank's slot, as a request."""

from collections.abc import Callable, Sequence
from typing import Any

from plugin_server.engine.bundles.card import Lengths
from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import (
    as_number,
    as_paths,
    as_switch,
    as_text,
    as_whole,
    check_attribute,
    is_number,
    split_attributes,
)
from plugin_server.protocol.packets import Atom
from plugin_server.studio.requests import Generate, is_length

_TEXT = {"negative", "via", "key", "format", "name", "model", "id"}
_WHOLE = {"seed", "steps", "variations", "frames"}
_NUMBER = {"bars", "bpm", "guidance", "stereo", "blend"}
_SWITCH = {"loop"}
ATTRIBUTES = (
    "image",
    "blend",
    "frames",
    "via",
    "bars",
    "bpm",
    "key",
    "negative",
    "seed",
    "steps",
    "guidance",
    "loop",
    "stereo",
    "variations",
    "format",
    "name",
    "model",
    "id",
)


def parse_generate(
    arguments: Sequence[Atom], lengths_of: Callable[[str], Lengths], tempo: Callable[[], float] = lambda: 120.0
) -> Generate:
    """A checked request from what came after `/generate`; `lengths_of` a model's name tells which numbers can be
    lengths, `tempo` how long bars are that came without @bpm. Raises BadArgument, and what `lengths_of` raises."""
    positional, attributes = split_attributes(arguments)
    # Of any type: the request checks them.
    values: dict[str, Any] = {}
    for name, atoms in attributes.items():
        check_attribute(name, ATTRIBUTES)
        values[name] = _attribute(name, atoms)
    if "bars" in values:
        values.setdefault("bpm", float(tempo()))
    images = values.pop("image", ())
    prompt, seconds = "", None
    if images and len(positional) == 1 and is_number(positional[0]):
        # No words: a number is the length then.
        seconds = float(positional[0])
    elif positional or not images:
        prompt, seconds = _prompt_and_seconds(positional, lambda: lengths_of(str(values.get("model", ""))))
    return Generate(prompt=prompt, seconds=seconds, images=images, **values)


def _prompt_and_seconds(atoms: list[Atom], lengths: Callable[[], Lengths]) -> tuple[str, float | None]:
    """Leading atoms are the prompt; a number at the end, with words before it, is the length if it can be one."""
    if not atoms:
        raise BadArgument('prompt: got nothing, expected words, as in /generate "sea waves" 5')
    words = [as_text("prompt", atom) for atom in atoms]
    seconds, last = None, atoms[-1]
    if len(atoms) > 1 and is_number(last) and is_length(words[:-1], float(last), lengths()):
        seconds = float(last)
        atoms, words = atoms[:-1], words[:-1]
    if all(is_number(atom) for atom in atoms):
        raise BadArgument(f"prompt: got the number {' '.join(words)}, expected words")
    return " ".join(words).strip(), seconds


def _attribute(name: str, atoms: list[Atom]) -> object:
    if not atoms:
        raise BadArgument(f"{name}: got nothing, expected a value after @{name}")
    if name == "image":
        return as_paths(atoms)
    if name in _TEXT:
        return " ".join(as_text(name, atom) for atom in atoms)
    if len(atoms) > 1:
        raise BadArgument(f"{name}: got {len(atoms)} values, expected one")
    if name in _SWITCH:
        return as_switch(name, atoms[0])
    return as_whole(name, atoms[0]) if name in _WHOLE else as_number(name, atoms[0])
