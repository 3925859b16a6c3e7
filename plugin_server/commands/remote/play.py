"""`clipsonic play`: a clip sounds on the daemon's output."""

import argparse

from plugin_server.commands.flags import Commands, clip_named
from plugin_server.commands.remote.connection import ANSWER_S, add_port, open_connection


def add_parser(commands: Commands) -> None:
    """Add the command `play` to the parser of `clipsonic`."""
    parser = commands.add_parser("play", help="play a clip with the daemon that runs")
    parser.add_argument("clip", nargs="?", default="last", metavar="CLIP", help="its id, name or file (default: last)")
    parser.add_argument(
        "attributes",
        nargs="*",
        default=[],
        metavar="@NAME VALUE",
        help="as over OSC: @gain 0.5, @pan -1, @rate 2, @loop 1, @at bar ...",
    )
    add_port(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Play a clip and print its file. Raises NoDaemon, and what the daemon says when it cannot."""
    words: list[str] = [options.clip, *options.attributes]
    # As over OSC, where the last clip is meant when only attributes come.
    clip, attributes = ("last", words) if words[0].startswith("@") else (words[0], words[1:])
    with open_connection(options.osc_port) as connection:
        ask = connection.client.ask
        *_, path = ask("/play", clip_named(clip), *attributes, reply="/done", timeout_s=ANSWER_S)
    print(path)
