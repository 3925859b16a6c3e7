"""`clipsonic status`: what the daemon is doing, where it listens and where its clips go."""

import argparse
import json

from plugin_server.commands.flags import Commands
from plugin_server.commands.remote.connection import ANSWER_S, Connection, add_port, open_connection

STATUS = {"running": 1, "waiting": 2, "clips": 3, "models": 4, "sample_rate": 7}
ENGINE = {"engine": 9, "model": 10, "provider": 11, "folder": 12, "model_seconds": 13}
"""Places of what is shown among the arguments of `/status.reply`."""


def add_parser(commands: Commands) -> None:
    """Add the command `status` to the parser of `clipsonic`."""
    parser = commands.add_parser("status", help="say what the daemon that runs is doing")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    add_port(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what a daemon says of itself. Raises NoDaemon when there is none."""
    with open_connection(options.osc_port) as connection:
        values = read_status(connection)
    print(json.dumps(values, indent=1) if options.json else status_text(values))


def read_status(connection: Connection) -> dict[str, object]:
    """Return what a daemon says of itself, by names. Raises NoDaemon and TimeoutError."""
    ask, record = connection.client.ask, connection.record
    status = ask("/status", reply="/status.reply", timeout_s=ANSWER_S)
    name, major, minor, patch, *_ = ask("/version", reply="/version.reply", timeout_s=ANSWER_S)
    http_port, http, zeroconf, *_ = ask("/network", reply="/network.reply", timeout_s=ANSWER_S)
    return {
        "program": name,
        "version": ".".join(map(str, (major, minor))) + str(patch),
        "host": "127.0.0.1",
        "osc_port": connection.port,
        "http_port": http_port,
        "http": http,
        "zeroconf": zeroconf,
        "pid": record.pid if record else None,
        **{key: status[place] for key, place in {**STATUS, **ENGINE}.items()},
    }


def status_text(values: dict[str, object]) -> str:
    """Return the status as lines for a person."""
    process = f" (process {values['pid']})" if values["pid"] else ""
    provider = f" on {values['provider']}" if values["provider"] else ""
    lines = {
        "daemon": f"{values['program']} {values['version']}{process}",
        "OSC": f"{values['host']}:{values['osc_port']}, UDP and TCP",
        "HTTP": f"http://{values['host']}:{values['http_port']}" if values["http_port"] else str(values["http"]),
        "zeroconf": values["zeroconf"],
        "engine": f"{values['engine']}: {values['model']}{provider}",
        "jobs": f"{values['running']} running, {values['waiting']} waiting",
        "clips": f"{values['clips']} made since it started; {values['folder']}",
    }
    return "\n".join(f"{name:8} {text}" for name, text in lines.items())
