"""Prompt banks in their files: TOML with a table for each slot, read, checked and written."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from plugin_server.audio.names import safe_stem
from plugin_server.errors import BadArgument, BadFile, UnknownBank, short_repr
from plugin_server.studio.banks.bank import (
    DEFAULT_COLOUR,
    LENGTH_KEYS,
    MAX_BANK_BYTES,
    MAX_SLOTS,
    Bank,
    Slot,
    default_note,
    empty_slot,
)
from plugin_server.studio.banks.launch import NOW, read_mode, read_time
from plugin_server.studio.banks.names import is_text, match_name
from plugin_server.studio.paths import plain_path
from plugin_server.studio.requests import ATTRIBUTES, SEED_LIMIT, Generate
from plugin_server.studio.words import normal_words
from plugin_server.untrusted_files import parse_toml, read_toml

OWN_KEYS = ("name", "prompt", "image")
"""Attributes that a bank's file reads in its own way, and that only a slot has."""
SHARED = tuple(row for row in ATTRIBUTES if row.in_bank and row.name not in OWN_KEYS)
"""Attributes that a slot and the defaults may have."""
SLOT_KEYS = (*OWN_KEYS, *(row.name for row in SHARED), "colour", "tags", "note", "choke", "mode", "at", "empty")
DEFAULTS_KEYS = (*(row.name for row in SHARED), "colour", "tags", "choke", "mode", "at")
BANK_KEYS = ("name", "description", "defaults", "slots")


class BankRegistry:
    """The banks of some folders; those of an earlier folder win over later ones of the same name."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)

    def paths(self) -> dict[str, Path]:
        """Return the file of each bank, by its file's name without the ending, sorted."""
        found: dict[str, Path] = {}
        for folder in reversed(self._folders):
            found |= {normal_words(path.stem): path for path in folder.glob("*.toml") if _is_bank_name(path.name)}
        return dict(sorted(found.items()))

    def find(self, name: str) -> Bank:
        """Return the bank of a name. Raises UnknownBank, or BadFile when its file cannot be used."""
        paths = self.paths()
        known = match_name(normal_words(name), paths)
        if known is None:
            raise UnknownBank(
                f"bank: got {short_repr(name)}, expected one of {', '.join(paths) or 'none: there are no banks'}"
            )
        return read_bank(paths[known])

    @property
    def own_folder(self) -> Path:
        """The folder of the person's own banks, the first."""
        return self._folders[0]

    def shipped_names(self) -> list[str]:
        """Return the names of the banks of all other folders."""
        return sorted(normal_words(path.stem) for folder in self._folders[1:] for path in folder.glob("*.toml"))


def _is_bank_name(name: str) -> bool:
    """Return whether a file's name can be a bank's: no text could not be sent, and hidden files are the system's."""
    return is_text(name) and not name.startswith(".")


def read_bank(path: Path) -> Bank:
    """Return the bank in a file. Raises BadFile that names the file, the slot and the key."""
    values = read_values(path)
    try:
        return parse_bank(path, values)
    except BadArgument as error:
        raise BadFile(f"{path}: {error}") from error


def read_values(path: Path) -> Mapping[str, Any]:
    """Return what a bank's file holds, of any type. Raises BadFile that names the file."""
    return read_toml(path, MAX_BANK_BYTES)


def parse_text(path: Path, text: str) -> Bank:
    """Return the bank that a file of this text is. Raises BadFile that names the file, the slot and the key."""
    try:
        return parse_bank(path, parse_toml(text.encode("utf-8", "surrogateescape")))
    except (BadArgument, ValueError) as error:
        raise BadFile(f"{path}: {error}") from error


def bank_text(bank: Bank, folder: Path) -> str:
    """Return a bank as TOML, which `read_bank` reads as the same bank in a file of this folder, an absolute path."""
    slots = [_slot_values(folder, number, slot) for number, slot in enumerate(bank.slots)]
    return tomli_w.dumps({"name": bank.name, "description": bank.description, "slots": slots})


def check_name(name: str) -> str:
    """Return the name, when it can be a file's. Raises BadArgument."""
    if not name or safe_stem(name) != name:
        raise BadArgument(f"name: got {short_repr(name)}, expected small letters, digits and '-', as {safe_stem(name)}")
    return name


def parse_bank(path: Path, values: Mapping[str, object]) -> Bank:
    """Return the bank that the file `path` of these values is. Raises BadArgument that names the slot and the key."""
    stem = normal_words(path.stem)
    _check_keys("key", values, BANK_KEYS)
    name, defaults, rows = values.get("name", stem), values.get("defaults", {}), values.get("slots", [])
    if _text("name", name) != stem:
        raise BadArgument(f"name: got {short_repr(name)}, expected {stem!r}, as the file is called")
    check_name(stem)
    if not isinstance(defaults, dict):
        raise BadArgument(f"defaults: got {short_repr(defaults)}, expected a table")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadArgument(f"slots: got {short_repr(rows)}, expected [[slots]] tables")
    if not 1 <= len(rows) <= MAX_SLOTS:
        raise BadArgument(f"slots: got {len(rows)}, expected 1 to {MAX_SLOTS}")
    _check_keys("defaults: key", defaults, DEFAULTS_KEYS)
    description = _text("description", values.get("description", ""))
    return Bank(stem, description, tuple(_read_slot(path, number, defaults, row) for number, row in enumerate(rows)))


def _read_slot(path: Path, number: int, defaults: Mapping[str, object], row: Mapping[str, object]) -> Slot:
    try:
        _check_keys("key", row, SLOT_KEYS)
        if _is_empty(row):
            return empty_slot(number)
        row = {key: value for key, value in row.items() if key != "empty"}
        seed = {"seed": _default_seed(defaults.get("seed", 0), number)}
        # A slot's own length takes the place of the defaults', in seconds or bars.
        left_out = {"seed", *(LENGTH_KEYS if row.keys() & set(LENGTH_KEYS) else ())}
        # Defaults for words and pictures are not for slots that lack either.
        left_out |= set() if row.get("prompt") else {"via"}
        left_out |= set() if row.get("prompt") and row.get("image") else {"blend"}
        values = seed | {key: value for key, value in defaults.items() if key not in left_out} | dict(row)
        return _parse_slot(number, values, _image_paths(path.parent, row.get("image", [])))
    except BadArgument as error:
        raise BadArgument(f"slot {number}: {error}") from error


def _default_seed(first: object, number: int) -> object:
    """Return the seed of a slot without one: they count on from the defaults', so that a bank sounds the same again."""
    return (first + number) % (SEED_LIMIT + 1) if type(first) is int and 0 <= first <= SEED_LIMIT else first


def _image_paths(folder: Path, value: object) -> tuple[str, ...]:
    """Return the paths of a slot's images, which are named from where the bank's file is."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadArgument(f"image: got {short_repr(value)}, expected a file's name or a list of them")
    # Whether they are there is seen when needed: one that is missing must not cost the other slots.
    return tuple(str((folder / plain_path(name)).absolute()) for name in names)


def _image_name(folder: Path, image: str) -> str:
    """Return how a bank's file in a folder names an image: one that lies there too goes where the bank goes."""
    path = Path(image)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else image


def _parse_slot(number: int, values: Mapping[str, object], images: tuple[str, ...]) -> Slot:
    # Of any type, as the file has them: the request checks them.
    asked: dict[str, Any] = {row.field: values[row.name] for row in SHARED if row.name in values}
    if "prompt" in values:
        asked["prompt"] = values["prompt"]
    request = Generate(images=images, **asked)
    request = replace(request, name=_text("name", values.get("name", request.title)))
    colour, tags = _text("colour", values.get("colour", DEFAULT_COLOUR)), values.get("tags", [])
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise BadArgument(f"colour: got {short_repr(colour)}, expected #rrggbb")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BadArgument(f"tags: got {short_repr(tags)}, expected a list of words")
    note = values.get("note", default_note(number))
    if note is not None and (type(note) is not int or not 0 <= note <= 127):
        raise BadArgument(f"note: got {short_repr(note)}, expected 0 to 127")
    words = tuple(map(normal_words, tags))
    mode, at = read_mode(values["mode"]) if "mode" in values else "", read_time(values.get("at", NOW))
    return Slot(request.name, request, colour, words, note, _text("choke", values.get("choke", "")), mode, at)


def _is_empty(row: Mapping[str, object]) -> bool:
    """Return whether a slot is said to be empty. Raises BadArgument when it is more than that."""
    value = row.get("empty", False)
    if not isinstance(value, bool):
        raise BadArgument(f"empty: got {short_repr(value)}, expected true or false")
    if value and len(row) > 1:
        raise BadArgument(
            f"empty: got true beside {', '.join(key for key in row if key != 'empty')}, expected it alone"
        )
    return value


def _slot_values(folder: Path, number: int, slot: Slot) -> dict[str, object]:
    if slot.is_empty:
        return {"empty": True}
    images = [_image_name(folder, image) for image in slot.request.images]
    values: dict[str, object] = {"name": slot.name, "prompt": slot.request.prompt, "image": images}
    values = {key: value for key, value in values.items() if value}
    given = {row.name: (getattr(slot.request, row.field), row.default) for row in SHARED}
    values |= {key: value for key, (value, default) in given.items() if value != default}
    if slot.request.loop == (slot.request.bars is not None):
        values.pop("loop", None)
    extra: dict[str, object] = {"colour": slot.colour, "tags": list(slot.tags), "choke": slot.choke}
    extra |= {"mode": slot.mode, "at": "" if slot.at == NOW else slot.at}
    if slot.note != default_note(number):
        extra["note"] = slot.note
    return values | {key: value for key, value in extra.items() if value not in ("", [], None)}


def _check_keys(what: str, values: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in values:
        if key not in known:
            raise BadArgument(f"{what}: got {short_repr(key)}, expected one of {', '.join(known)}")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadArgument(f"{name}: got {short_repr(value)}, expected text")
    return normal_words(value)
