"""The command `clipsonic`: parses, runs one command, prints its error.

What a command needs is imported when it runs, so that `--help` answers at once.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from plugin_server import __version__
from plugin_server.commands import banks, clients, clips, demo, doctor, generate, models, serve
from plugin_server.commands.flags import Commands
from plugin_server.commands.remote import play, status, stop
from plugin_server.errors import ClipsonicError
from plugin_server.logs import set_up_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Returns:
        0 when it worked, 1 with one sentence on standard error when it did not, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Windows' consoles cannot show every prompt or path; that must not cost the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser().parse_args(arguments)
        set_up_logging(is_verbose=options.verbose)
        options.run(options)
    except ClipsonicError as error:
        print(f"clipsonic: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; `run` of what it parses takes the options."""
    parser = argparse.ArgumentParser(prog="clipsonic", description="Words into sound, for people who make music.")
    parser.add_argument("--version", action="version", version=f"clipsonic-live {__version__}")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say more on standard error (also behind a command)"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (serve, generate, play, stop, status, clips, banks, demo, models, doctor, clients):
        command.add_parser(commands)
    _add_verbose(commands)
    return parser


def _add_verbose(commands: Commands) -> None:
    """Let `-v` mean the same behind a command, or its action, as before it."""
    for parser in commands.choices.values():
        # Without a default, which would undo what was said before the command; one place in the help is enough.
        parser.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                _add_verbose(action)
