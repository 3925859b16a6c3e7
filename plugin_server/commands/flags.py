"""Flags of the command line: those of settings, and those of a request, made from the attribute table."""

import argparse
from pathlib import Path
from typing import Any

from plugin_server.settings import Settings, load_settings
from plugin_server.studio.attributes import Attribute, Flag, Kind
from plugin_server.studio.requests import ATTRIBUTES


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the flags that set Settings; None leaves the file, the environment or the default in force."""
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="sample folder (default: Live's User Library or your music folder)",
    )
    parser.add_argument("--model", metavar="NAME", help="bundle that makes the sound (see: clipsonic models)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "coreml"), help="what runs the model (default: auto)"
    )
    parser.add_argument(
        "--rate",
        dest="sample_rate",
        type=int,
        choices=(44100, 48000),
        help="sample rate of clips (default: 48000)",
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings with the values that flags give them. Raises BadSettings."""
    names = (
        "osc_port",
        "http_port",
        "lan",
        "allow",
        "advertise",
        "folder",
        "model",
        "bank",
        "midi",
        "device",
        "sample_rate",
    )
    return load_settings({name: getattr(options, name, None) for name in names})


VALUE_TYPES: dict[Kind, type] = {Kind.NUMBER: float, Kind.WHOLE_NUMBER: int, Kind.PATHS: Path}
"""How a flag's value is read; others are text."""


def _flag_order(row: Attribute) -> int:
    return row.flag.order if row.flag else 0


def _add_flag(parser: argparse.ArgumentParser, row: Attribute) -> None:
    """Add the flag of one attribute; None says that it was not given."""
    flag = row.flag or Flag(0)
    details: dict[str, Any] = {"dest": row.field, "help": row.help}
    if row.kind is Kind.SWITCH:
        details |= {"action": "store_const", "const": True}
    elif row.choices:
        details |= {"choices": row.choices}
    else:
        details |= {"type": VALUE_TYPES.get(row.kind, str), "metavar": flag.metavar}
    if row.kind is Kind.PATHS:
        details |= {"action": "append"}
    parser.add_argument(*(flag.options or (f"--{row.name}",)), **details)


def add_generate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `generate` and its flags."""
    parser = commands.add_parser("generate", help="make clips without a daemon")
    parser.add_argument(
        "prompt", nargs="*", help='words for the sound, and perhaps its length, as in "sea waves" 5; kick 808 are words'
    )
    for row in sorted((row for row in ATTRIBUTES if row.flag), key=_flag_order):
        _add_flag(parser, row)
    parser.add_argument("--like", type=Path, metavar="FILE", help="make the clip in FILE again; other flags change it")
    add_settings(parser)
    parser.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> None:
    from plugin_server.commands.generate import generate_clips

    # The model is a setting, too; its flag is that of the settings.
    rows = [row for row in ATTRIBUTES if row.flag or row.field == "model"]
    values = {row.field: getattr(options, row.field) for row in rows}
    given = {name: value for name, value in values.items() if value is not None}
    if options.images:
        # Without `..`, but called as it was named: a link's name is the clip's.
        given["images"] = tuple(str(image.parent.resolve() / image.name) for image in options.images)
    generate_clips(settings_of(options), options.prompt, options.like, given)
