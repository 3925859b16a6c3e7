"""Everything that is wrong with a bank's file, for who writes one: reading it names only the first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugin_server.errors import BadArgument, BadFile
from plugin_server.studio.banks.files import BANK_KEYS, DEFAULTS_KEYS, SLOT_KEYS, parse_bank, read_bank, read_values

STAND_IN: Mapping[str, object] = {"prompt": "any"}
"""A slot that is right, in the place of others."""


def find_problems(path: Path) -> list[str]:
    """Return a sentence for each thing that is wrong with a bank's file, each with its path; none when it is right."""
    try:
        read_bank(path)
        return []
    except BadFile as error:
        first = str(error)
    try:
        values = read_values(path)
    except BadFile:
        return [first]
    found = [f"{path}: {sentence}" for sentence in _bank_problems(path, values)]
    # What no single part is to blame for.
    return list(dict.fromkeys(found)) or [first]


def _bank_problems(path: Path, values: Mapping[str, Any]) -> list[str]:
    head = {key: value for key, value in values.items() if key not in ("defaults", "slots")}
    found = _problems_of(path, head, BANK_KEYS, lambda part: {**part, "slots": [STAND_IN]})
    defaults, rows = values.get("defaults", {}), values.get("slots", [])
    if isinstance(defaults, dict):
        problems = _problems_of(path, defaults, DEFAULTS_KEYS, lambda part: {"defaults": part, "slots": [STAND_IN]})
        found += [problem.replace("slot 0:", "defaults:") for problem in problems]
    else:
        found += _sentences(path, {"defaults": defaults, "slots": [STAND_IN]})
    is_list = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    found += _sentences(path, {"slots": [STAND_IN] * len(rows) if is_list else rows})
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict):
            problems = _problems_of(path, row, SLOT_KEYS, lambda part: {"slots": [part]})
            found += [problem.replace("slot 0:", f"slot {number}:") for problem in problems]
    return found


def _problems_of(path: Path, part: Mapping[str, Any], known: tuple[str, ...], bank_with: Any) -> list[str]:
    """Return what is wrong with a part of a bank: what a sentence is about is taken out until none is left.

    `bank_with` returns a bank that has the part and is right apart from it.
    """
    rest, found = dict(part), []
    for key in [key for key in part if key not in known]:
        alone = {key: rest.pop(key)}
        found += _sentences(path, bank_with({**STAND_IN, **alone} if known is SLOT_KEYS else alone))
    for _ in part:
        sentences = _sentences(path, bank_with(rest))
        if not sentences:
            break
        found += sentences
        blamed = next((key for key in rest if f"{key}: " in sentences[0].partition(" got ")[0] + " "), None)
        if blamed is None:
            break
        del rest[blamed]
        if blamed in STAND_IN:
            rest |= STAND_IN
    return found


def _sentences(path: Path, values: Mapping[str, object]) -> list[str]:
    """Return what is wrong first with a bank of these values, or nothing."""
    try:
        parse_bank(path, values)
    except BadArgument as error:
        return [str(error)]
    return []
