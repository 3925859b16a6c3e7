"""`clipsonic serve`: the daemon, until Ctrl-C."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Coroutine

from plugin_server.commands.flags import Commands, add_settings, settings_of
from plugin_server.errors import BadSettings
from plugin_server.stop_signals import StopSignals, end_process

log = logging.getLogger(__name__)


def add_parser(commands: Commands) -> None:
    """Add the command `serve` to the parser of `clipsonic`."""
    parser = commands.add_parser("serve", help="run the daemon until Ctrl-C")
    parser.add_argument(
        "--osc-port", type=int, metavar="PORT", help="UDP and TCP port for OSC (default: 9460; 0: a free one)"
    )
    parser.add_argument(
        "--http-port", type=int, metavar="PORT", help="TCP port for OSCQuery (default: 9461; 0: a free one)"
    )
    parser.add_argument("--bank", metavar="NAME", help="prompt bank under the pads (see: clipsonic banks)")
    parser.add_argument(
        "--midi",
        nargs="?",
        const="virtual",
        metavar="NAME",
        help="MIDI input whose notes fire slots (without a name: a port of our own, for other programs to send to)",
    )
    parser.add_argument(
        "--lan", action="store_const", const=True, help="listen on the local network too, for the hosts of --allow"
    )
    parser.add_argument(
        "--allow", metavar="HOST[,HOST...]", help="with --lan: addresses or networks (192.168.1.0/24) that are answered"
    )
    parser.add_argument(
        "--no-advertise",
        dest="advertise",
        action="store_const",
        const=False,
        help="do not tell zeroconf browsers where the daemon is",
    )
    add_settings(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the daemon until it is asked to stop, and end the process.

    Raises BadSettings, and what `run_daemon` raises.
    """
    signals = StopSignals()
    signals.install()
    from plugin_server.server import serve

    settings = settings_of(options)
    if options.allow and not settings.lan:
        raise BadSettings(f"allow: got {options.allow} without --lan, expected both, or none for this machine alone")
    # Windows' own kind of loop goes deaf on UDP once a reply went to a port that was closed meanwhile.
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_until_stopped(signals, serve(settings, _say)))
        # All is stopped but threads that wait for something that may never come.
        end_process()


def _say(line: str) -> None:
    """Print a line, where somebody reads: a full disk or a pipe that was closed must not end the daemon."""
    try:
        print(line, flush=True)
    except OSError as error:
        log.info("standard output: %s", error.strerror)


async def _until_stopped(signals: StopSignals, serving: Coroutine[None, None, None]) -> None:
    """Await `serving`, and cancel it at the first signal: waiting clients are told, and nothing is left half done."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signals.stop = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
    try:
        await serving
    except asyncio.CancelledError:
        if not signals.is_stopping:
            raise
