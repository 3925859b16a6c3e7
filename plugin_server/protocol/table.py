"""The address table, the coercion of arguments, and the replies."""

import math
import os
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard

from plugin_server.engine.bundles.card import Lengths
from plugin_server.errors import BadArgument, UnknownAddress, shown
from plugin_server.protocol.packets import Atom
from plugin_server.studio.requests import Generate, is_length


@dataclass(frozen=True, slots=True)
class Range:
    """What an argument may be: from `low` to `high`, or one of `values`. None and () say nothing."""

    low: float | None = None
    high: float | None = None
    values: tuple[str | int | float, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As OSCQuery writes it."""
        said = {"MIN": self.low, "MAX": self.high, "VALS": list(self.values) or None}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Row:
    """One address that is answered."""

    address: str
    arguments: str
    """As README shows them; square brackets mean optional."""
    replies: str
    help: str
    types: str = ""
    """OSC type tags of the positional arguments, where they are not plain text or a choice of whole numbers."""
    ranges: Mapping[str, "Range | str"] = field(default_factory=dict)
    """By argument; a string names a range that only the running daemon knows: 'lengths' or 'models'."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one address that is sent carries."""

    arguments: str
    types: str
    """OSC type tags."""


TABLE = (
    Row(
        "/generate",
        "prompt [seconds] [@image @blend @frames @via @bars @bpm @key @negative @seed @steps @guidance @loop @stereo "
        "@variations @format @name @model @id]",
        "/queued /progress /clip /done",
        "make a clip, or several takes, from words, from pictures (@image, absolute paths on this machine) or from "
        "both; a number after the words is its length in seconds, unless they are not quoted and no clip can be that "
        "long, as in: kick 808",
        types="sf",
        ranges={"seconds": "lengths"},
    ),
    Row("/cancel", "[job | all]", "/done", "stop one job, the running one, or all"),
    Row("/status", "", "/status.reply", "what the daemon is doing"),
    Row("/version", "", "/version.reply", "name and version"),
    Row("/sync", "[id]", "/synced", "answered when every job asked for before has ended", types="i"),
    Row(
        "/notify",
        "0 | 1 [port]",
        "/done",
        "hear of every job, here or on another port",
        types="ii",
        ranges={"port": Range(1, 65535)},
    ),
    Row("/network", "", "/network.reply", "where and by whom the daemon can be found, and how many it refused"),
    Row("/help", "[address]", "/help.reply /done", "this table"),
    Row(
        "/play",
        "[clip | last] [@gain @pan @rate @attack @release @loop @at @choke]",
        "/done",
        "sound a clip: its id, its path in the clip folder, or the last one; @at beat or bar waits for /tempo",
    ),
    Row("/stop", "[clip | all]", "/done", "fade a clip out, or all"),
    Row(
        "/meter",
        "0 | 1 [port]",
        "/levels /done",
        "levels of the live output twenty times a second, here or on another port",
        types="ii",
        ranges={"port": Range(1, 65535)},
    ),
    Row("/volume", "0..1", "/done", "master volume", types="f", ranges={"0..1": Range(0.0, 1.0)}),
    Row("/tempo", "[bpm]", "/done", "beats a minute of @at", types="f", ranges={"bpm": Range(20.0, 999.0)}),
    Row("/link", "[0 | 1]", "/done", "take part in Ableton Link's session, whose tempo and beat then count", types="i"),
    Row("/bank/list", "", "/bank /done", "prompt banks"),
    Row(
        "/bank/load", "[name]", "/bank.slot /done", "put a bank under the pads; without a name, tell of the loaded one"
    ),
    Row("/bank/next", "", "/bank.slot /done", "the next bank of the list"),
    Row("/bank/previous", "", "/bank.slot /done", "the one before"),
    Row(
        "/bank/render",
        "[slot]",
        "/queued /progress /clip /bank.slot /done",
        "make the clips that the bank lacks, or that of one slot; others are served between two slots",
    ),
    Row(
        "/bank/fire",
        "slot [velocity]",
        "/queued /progress /clip /bank.slot /done",
        "sound a slot, by its number from 0 or its name, at once when its clip is made, else as soon as it is",
        types="sf",
        ranges={"velocity": Range(0, 127)},
    ),
    Row(
        "/bank/set",
        "slot prompt [seconds] [@image @blend @frames @via @bars @bpm @key @negative @seed @steps @guidance @loop "
        "@stereo @format @name @model]",
        "/bank.slot /done",
        "give a slot another prompt, or add one at the end",
        types="isf",
        ranges={"seconds": "lengths", "slot": Range(0, 127)},
    ),
    Row("/bank/save", "[name]", "/done", "keep the bank as it is now, among your own"),
    Row("/device/list", "", "/device /done", "sound outputs"),
    Row("/device/set", "name", "/done", "play on this output"),
    Row("/model/list", "", "/model /done", "installed models"),
    Row(
        "/model/load",
        "name",
        "/queued /progress /done",
        "have a model ready before it is asked for a clip",
        ranges={"name": "models"},
    ),
    Row("/model/unload", "name", "/queued /done", "give the memory of a model back", ranges={"name": "models"}),
    Row(
        "/clip/list",
        "[how many] [from]",
        "/clip.list /clip.info /done",
        "the newest clips, 20 of them; from 0 on",
        types="ii",
    ),
    Row(
        "/clip/search",
        "words [@count @from]",
        "/clip.list /clip.info /done",
        "clips with all these words, or their beginnings, in prompt, tags or name; starred is such a word",
    ),
    Row("/clip/info", "clip", "/clip.info /done", "one clip: its id, its file's name or path, or last"),
    Row("/clip/star", "clip [0 | 1]", "/clip.info /done", "give a clip a star, or take it away"),
    Row("/clip/tag", "clip words", "/clip.info /done", "add words to a clip's tags; -word takes one away"),
    Row("/clip/delete", "clip", "/clip.info /done", "put a clip's file into the system's trash"),
    Row("/clip/undo", "", "/clip.info /done", "one step back: a request's takes, a deletion, a star, a tag"),
    Row("/clip/redo", "", "/clip.info /done", "the step that was undone last, again"),
    Row(
        "/clip/again", "clip [seed]", "/queued /progress /clip /done", "the same request with another seed", types="si"
    ),
    Row("/clip/scan", "", "/done", "compare the library with the sample folder now"),
)
ADDRESSES = {row.address: row for row in TABLE}
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


def match_addresses(pattern: str) -> list[str]:
    """Addresses of the table that an OSC 1.0 address pattern matches. Raises UnknownAddress when there is none."""
    if pattern in ADDRESSES:
        return [pattern]
    found = (
        [address for address in ADDRESSES if _regex(pattern).fullmatch(address)] if set(pattern) & set("?*[{") else []
    )
    if not found:
        raise UnknownAddress(f"address: got {shown(pattern)}, expected one of {' '.join(ADDRESSES)}")
    return found


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    """`?` one character, `*` any number, `[a-z]` and `[!a]` sets, `{one,two}` choices; none crosses a slash."""
    # Several stars match what one does; left as they are, they would match slowly.
    out, rest = "", re.sub(r"\*+", "*", pattern)
    tokens = r"\?|\*|\[(!?)([^\]]+)\]|\{([^}]*)\}|."
    for token in re.finditer(tokens, rest, re.DOTALL):
        text, negated, members, choices = token[0], token[1], token[2], token[3]
        if text == "?":
            out += "[^/]"
        elif text == "*":
            out += "[^/]*"
        elif members is not None:
            inner = re.sub(r"([\\\]\[^&~|])", r"\\\1", members)
            out += f"[{'^/' if negated else ''}{inner}]"
        elif choices is not None:
            out += "(?:" + "|".join(re.escape(choice) for choice in choices.split(",")) + ")"
        else:
            out += re.escape(text)
    try:
        return re.compile(out)
    except re.error:
        return re.compile(r"(?!)")


def parse_generate(
    arguments: Sequence[Atom], lengths_of: Callable[[str], Lengths], tempo: Callable[[], float] = lambda: 120.0
) -> Generate:
    """A checked request from what came after `/generate`; `lengths_of` a model's name tells which numbers can be
    lengths, `tempo` how long bars are that came without @bpm. Raises BadArgument, and what `lengths_of` raises."""
    positional, attributes = split_attributes(arguments)
    # Of any type: the request checks them.
    values: dict[str, Any] = {}
    for name, atoms in attributes.items():
        if name not in ATTRIBUTES:
            known = " ".join(f"@{attribute}" for attribute in ATTRIBUTES)
            raise BadArgument(f"attribute: got @{name[:40]}, expected one of {known}")
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


def split_attributes(arguments: Sequence[Atom]) -> tuple[list[Atom], dict[str, list[Atom]]]:
    """Positional atoms, then Max-style attributes: '@seed 42' gives {'seed': [42]}. Raises BadArgument when one
    attribute comes twice."""
    positional: list[Atom] = []
    attributes: dict[str, list[Atom]] = {}
    into = positional
    for atom in arguments:
        if isinstance(atom, str) and len(atom) > 1 and atom.startswith("@"):
            if atom[1:] in attributes:
                raise BadArgument(f"attribute: got {atom[:40]} twice, expected it once")
            into = attributes[atom[1:]] = []
        else:
            into.append(atom)
    return positional, attributes


def find_id(arguments: Sequence[Atom]) -> str:
    """The `@id` of a request, also of one that cannot be parsed; "" when it has none."""
    for name, atom in pairwise(arguments):
        if name == "@id" and isinstance(atom, str):
            return atom[:64]
    return ""


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


def as_paths(atoms: Sequence[Atom]) -> tuple[str, ...]:
    """Paths of atoms: each that begins like one begins one, others go on with the last, which had spaces and no quotes.

    Max on macOS writes `Macintosh HD:/Users/me/a.jpg` for `/Users/me/a.jpg`. Raises BadArgument.
    """
    paths: list[str] = []
    for atom in atoms:
        text = as_text("image", atom)
        # What came before is no path yet in `Macintosh HD:/Users` without quotes.
        if not paths or (_PATH_START.match(text) and _PATH_START.match(paths[-1])):
            paths.append(text)
        else:
            paths[-1] += f" {text}"
    return tuple(_plain_path(path) for path in paths)


_PATH_START = re.compile(r"/|~[^/\\ ]*[/\\]|[A-Za-z]:[/\\]|\\\\|[^/:]{2,}:/")
_MAX_VOLUME = re.compile(r"([^/:\\]{2,}):(/(?!/).*)")


def _plain_path(path: str) -> str:
    volume = _MAX_VOLUME.fullmatch(path)
    if volume:
        # The volume that the system started from is the root, whatever its name is.
        elsewhere = f"/Volumes/{volume[1]}{volume[2]}"
        path = elsewhere if Path(elsewhere).exists() else volume[2]
    # As shells do it: the name of nobody stays as it is.
    return os.path.expanduser(path)  # noqa: PTH111


def is_number(atom: Atom) -> TypeGuard[int | float]:
    """True for ints and floats; Python's bools, which are OSC's T and F, are none."""
    return isinstance(atom, int | float) and not isinstance(atom, bool)


def as_text(name: str, atom: Atom) -> str:
    """Text of a string, a UTF-8 blob or a number. Raises BadArgument."""
    if isinstance(atom, str):
        return atom
    if isinstance(atom, bytes):
        return atom.decode("utf-8", "replace")
    if is_number(atom):
        return _float_text(atom) if isinstance(atom, float) else str(atom)
    raise BadArgument(f"{name}: got {describe(atom)}, expected text")


def _float_text(number: float) -> str:
    """The shortest text for a float: '808', not '808.0'; '0.1', though OSC's 32 bits hold 0.10000000149."""
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


def as_number(name: str, atom: Atom) -> float:
    """A float of an int, a float, or text that spells one. Raises BadArgument."""
    if isinstance(atom, str):
        try:
            return float(atom)
        except ValueError as error:
            raise BadArgument(f"{name}: got {shown(atom)}, expected a number") from error
    if not is_number(atom):
        raise BadArgument(f"{name}: got {describe(atom)}, expected a number")
    # The number that was meant: OSC's 32 bits make 93.69999695 of 93.7, and two bars of it a sample too long.
    return float(_float_text(atom)) if isinstance(atom, float) else float(atom)


def as_whole(name: str, atom: Atom) -> int:
    """A whole number; floats without a fraction count, since some clients send nothing else. Raises BadArgument."""
    if isinstance(atom, int) and not isinstance(atom, bool):
        return atom
    number = as_number(name, atom)
    if not number.is_integer():
        raise BadArgument(f"{name}: got {number:g}, expected a whole number")
    return int(number)


def as_switch(name: str, atom: Atom) -> bool:
    """True or false of OSC's T and F, or of 1 and 0. Raises BadArgument."""
    if isinstance(atom, bool):
        return atom
    number = as_whole(name, atom)
    if number not in (0, 1):
        raise BadArgument(f"{name}: got {number}, expected 0 or 1")
    return bool(number)


def exactly(count: int, what: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    """The arguments, when there are so many. Raises BadArgument that says what was expected."""
    if len(arguments) != count:
        raise BadArgument(f"arguments: got {len(arguments)}, expected {what}")
    return arguments


def at_most(count: int, what: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    """The arguments, when there are no more than that. Raises BadArgument that says what was expected."""
    if len(arguments) > count:
        raise BadArgument(f"arguments: got {len(arguments)}, expected {what}")
    return arguments


def describe(atom: Atom) -> str:
    """An argument in the words of a sentence."""
    kinds = {bytes: "a blob", bool: "true or false", type(None): "nil", list: "an array"}
    return kinds.get(type(atom)) or shown(atom)
