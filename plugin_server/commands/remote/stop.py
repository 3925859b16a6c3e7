"""`clipsonic stop`: what sounds on the daemon's output fades out."""

import argparse

from plugin_server.commands.flags import Commands, clip_named
from plugin_server.commands.remote.connection import ANSWER_S, add_port, open_connection


def add_parser(commands: Commands) -> None:
    """Add the command `stop` to the parser of `clipsonic`."""
    parser = commands.add_parser("stop", help="fade out what the daemon plays")
    parser.add_argument("clip", nargs="?", default="all", metavar="CLIP", help="one clip (default: all)")
    add_port(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Fade out a clip, or all. Raises NoDaemon, and what the daemon says when it cannot."""
    with open_connection(options.osc_port) as connection:
        connection.client.ask("/stop", clip_named(options.clip), reply="/done", timeout_s=ANSWER_S)
    print(f"stopped {options.clip}")
