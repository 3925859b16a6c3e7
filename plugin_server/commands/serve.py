"""`clipsonic serve`: the daemon, until Ctrl-C."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine

from plugin_server.commands.flags import Commands, add_settings, settings_of
from plugin_server.errors import BadSettings


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
    """Run the daemon until it is interrupted. Raises BadSettings, and what `run_daemon` raises."""
    from plugin_server.server import serve

    settings = settings_of(options)
    if options.allow and not settings.lan:
        raise BadSettings(f"allow: got {options.allow} without --lan, expected both, or none for this machine alone")
    # Windows' own kind of loop goes deaf on UDP once a reply went to a port that was closed meanwhile.
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            runner.run(_until_terminated(serve(settings, lambda line: print(line, flush=True))))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


async def _until_terminated(serving: Coroutine[None, None, None]) -> None:
    """Await `serving`, and cancel it at the first SIGTERM, as Ctrl-C does.

    A service manager's request to stop has to reach waiting clients, and leave nothing half done. It cannot be passed
    on as SIGINT, which is ignored by what a script starts in the background.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        # A second request must not interrupt what the first one has begun.
        if task and not task.cancelling():
            task.cancel()

    signal.signal(signal.SIGTERM, lambda number, frame: loop.call_soon_threadsafe(stop))
    await serving
