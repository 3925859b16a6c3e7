"""The daemon that a command asks: the one on the port that was named, on that of the settings, or the newest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugin_server.commands.flags import find_daemon
from plugin_server.errors import BadArgument, NoDaemon
from plugin_server.settings import load_settings

if TYPE_CHECKING:
    from plugin_server.client import Client
    from plugin_server.daemon_records import DaemonRecord

ANSWER_S = 10.0
"""Seconds in which a daemon answers: the first clip that is played opens a device."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A daemon that can be asked."""

    client: Client
    port: int
    record: DaemonRecord | None
    """What it says of itself; None for one of another person."""


def add_port(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names another daemon than the one that is found."""
    parser.add_argument(
        "--osc-port", type=int, metavar="PORT", help="port of the daemon (default: that of yours which runs, or 9460)"
    )


@contextmanager
def open_connection(port: int | None) -> Iterator[Connection]:
    """Yield the daemon on a port, or the one that is found. Raises BadArgument, and NoDaemon when there is none."""
    from plugin_server.client import Client

    if port is not None and not 1 <= port <= 65535:
        raise BadArgument(f"osc-port: got {port}, expected 1 to 65535")
    settings = load_settings({"osc_port": port})
    record = find_daemon(settings)
    if port is not None and record and record.osc_port != port:
        record = None
    if record and record.osc_port != settings.osc_port:
        print(f"clipsonic: asking the daemon on port {record.osc_port}", file=sys.stderr)
    chosen = record.osc_port if record else settings.osc_port
    if not chosen:
        raise NoDaemon("no daemon runs; start one with: clipsonic serve")
    with Client(chosen) as client:
        yield Connection(client, chosen, record)
