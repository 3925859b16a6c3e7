"""Flags that several commands have: where clips go, what makes them, and how."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TypeAlias

from plugin_server.settings import Settings, load_settings

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The parser's list of commands, or of a command's actions."""


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
    """Return the settings with what flags say of them. Raises BadSettings."""
    return load_settings({field.name: getattr(options, field.name, None) for field in fields(Settings)})
