"""Flags that several commands have: where clips go, what makes them, and how."""

import argparse
import os
import re
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeAlias

from plugin_server.daemon_records import DaemonRecord, choose_daemon, find_daemons
from plugin_server.settings import Settings, load_settings
from plugin_server.studio.paths import named_path, plain_path

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The parser's list of commands, or of a command's actions."""


class WordsParser(argparse.ArgumentParser):
    """A parser for which `-dark` is a word, as it is over OSC, and only whole names of flags are flags."""

    def _parse_optional(self, arg_string: str) -> Any:
        # "-n5" is a flag with its value; other words are longer, or no flag's.
        if re.match(r"-[^-]", arg_string) and arg_string not in self._option_string_actions:
            is_number = re.fullmatch(r"-\w\d+", arg_string) and arg_string[:2] in self._option_string_actions
            return super()._parse_optional(arg_string) if is_number else None
        return super()._parse_optional(arg_string)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the flags that set Settings; None leaves the file, the environment or the default in force."""
    parser.add_argument(
        "--folder",
        type=named_path,
        metavar="DIR",
        help="sample folder (default: Live's User Library or your music folder)",
    )
    parser.add_argument("--model", metavar="NAME", help="bundle that makes the sound (see: clipsonic models)")
    parser.add_argument(
        "--device",
        type=str.lower,
        choices=("auto", "cpu", "cuda", "coreml"),
        help="what runs the model (default: auto)",
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


def settings_of_daemon(options: argparse.Namespace) -> Settings:
    """Return the settings with the folders of a daemon that runs, unless a flag or a variable names the sample folder.

    Says on standard error which daemon it is when it is not on the port of the settings. Raises BadSettings.
    """
    settings = settings_of(options)
    if getattr(options, "folder", None) is not None or os.environ.get("CLIPSONIC_FOLDER"):
        return settings
    daemon = find_daemon(settings)
    if daemon is None:
        return settings
    if daemon.osc_port != settings.osc_port:
        print(f"clipsonic: the daemon on port {daemon.osc_port} has its clips in {daemon.folder}", file=sys.stderr)
    return replace(
        settings,
        folder=Path(daemon.folder),
        index_folder=Path(daemon.index_folder),
        bank_folder=Path(daemon.bank_folder),
    )


def find_daemon(settings: Settings) -> DaemonRecord | None:
    """Return the daemon that runs on the port of the settings, else the newest one of this person; None without one."""
    return choose_daemon(find_daemons(settings.daemons_folder), settings.osc_port)


def clip_named(text: str) -> str:
    """Return how the library is asked for a clip: a file that is there is named from where the person is."""
    path = named_path(text)
    # os.path's, which takes a name that no file can have for one that none has.
    return os.path.abspath(path) if os.path.isfile(path) else plain_path(text)  # noqa: PTH100, PTH113
