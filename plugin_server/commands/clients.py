"""`clipsonic clients`: patches and scripts for other programs, as they came with the package."""

import argparse

from plugin_server.commands.client_files import install_clients
from plugin_server.commands.file_manager import open_file
from plugin_server.commands.flags import Commands
from plugin_server.commands.terminal import table_lines
from plugin_server.errors import BadArgument
from plugin_server.settings import shipped_presets
from plugin_server.studio.paths import named_path

CLIENTS = {
    "max": ("Max", "a patch, and a bpatcher for patches of your own"),
    "max-for-live": ("Max for Live", "a device that puts clips into slots and the Arrangement"),
    "node-for-max": ("Node for Max", "a script for [node.script] and for Node"),
    "pure-data": ("Pure Data", "[clipsonic] with help and examples, no externals"),
    "supercollider": ("SuperCollider", "a Quark that reads clips into buffers"),
    "reaper": ("Reaper", "an action that inserts the newest clip"),
    "touchosc": ("TouchOSC", "sixteen pads for a tablet"),
    "open-stage-control": ("Open Stage Control", "sixteen pads for a browser or phone"),
}
"""The clients by the names of their folders: the program, and what there is for it."""


def add_parser(commands: Commands) -> None:
    """Add the command `clients` and its actions to the parser of `clipsonic`."""
    parser = commands.add_parser("clients", help="list or copy the patches and scripts for Max, Live and others")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="instead of listing them", metavar="ACTION")
    install = actions.add_parser("install", help="copy them into a folder of yours")
    install.add_argument("folder", type=named_path, metavar="DIR", help="folder that gets a folder for each")
    # With a default, so that argparse does not call them required when the folder is missing.
    install.add_argument(
        "names", nargs="*", default=[], metavar="NAME", help="as clipsonic clients lists it (default: all)"
    )
    install.set_defaults(run=run_install)
    reveal = actions.add_parser("reveal", help="show their folder in the Finder, Explorer or file manager")
    reveal.set_defaults(run=run_reveal)


def run(options: argparse.Namespace) -> None:  # noqa: ARG001 - as every command
    """Print a line a client, and where all of them lie."""
    for line in table_lines([(name, f"{program}: {text}") for name, (program, text) in CLIENTS.items()]):
        print(line)
    print(f"they lie in {shipped_presets('clients')}; clipsonic clients install DIR copies them")


def run_install(options: argparse.Namespace) -> None:
    """Copy clients into a folder. Raises BadArgument for an unknown name, and what `install_clients` raises."""
    for name in options.names:
        if name not in CLIENTS:
            raise BadArgument(f"client: got {name!r}, expected one of {', '.join(CLIENTS)}")
    names = tuple(dict.fromkeys(options.names)) or tuple(CLIENTS)
    for path in install_clients(shipped_presets("clients"), options.folder.expanduser().absolute(), names):
        print(f"installed {path}")


def run_reveal(options: argparse.Namespace) -> None:  # noqa: ARG001 - as every command
    """Show the folder of the clients. Raises ClipsonicError when no file manager can be started."""
    print(open_file(shipped_presets("clients")))
