"""`/status`, `/version`, `/network`, `/notify` and `/help`: the daemon itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plugin_server import __version__
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.interface import Engine
from plugin_server.protocol.address_patterns import match_addresses
from plugin_server.protocol.arguments import as_switch, as_text, at_most, at_most_one
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Reply, ReplyPorts
from plugin_server.protocol.subscribers import MAX_SUBSCRIBERS, Peer, Subscribers
from plugin_server.protocol.table import ON_OFF, PORTS, Argument, Row
from plugin_server.protocol.transports.network import Network
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.jobs import Jobs

ROWS = (
    Row("/status", "what the daemon is doing", replies=("/status.reply",), is_read_only=True),
    Row("/version", "name and version", replies=("/version.reply",), is_read_only=True),
    Row(
        "/notify",
        "hear of every job, here or on another port; without a number, tell of it",
        (Argument("switch", "i", ON_OFF, optional=True, shows_range=True), Argument("port", "i", PORTS, optional=True)),
        is_setting=True,
    ),
    Row(
        "/network",
        "where and by whom the daemon can be found, and how many it refused",
        replies=("/network.reply",),
        is_read_only=True,
    ),
    Row(
        "/help",
        "this table",
        (Argument("address", optional=True),),
        replies=("/help.reply", "/done"),
        is_read_only=True,
    ),
)
"""Rows of the address table that this file answers."""


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """Knows what the daemon is doing."""

    jobs: Jobs
    generator: ClipGenerator
    engine: Engine
    bundles: BundleRegistry
    sample_rate: int

    def reply(self) -> Reply:
        """Return `/status.reply` and its arguments."""
        active, loaded = self.jobs.active(), self.engine.loaded
        running = [job for job in active if job.state == "running"]
        # Nine that stand where SuperCollider's server has units, synths, groups, definitions, loads and rates.
        return (
            "/status.reply",
            1,
            len(running),
            len(active) - len(running),
            self.generator.n_clips,
            len(self.bundles.known()),
            float(100 * bool(running)),
            float(100 * bool(running)),
            float(self.sample_rate),
            float(self.sample_rate),
            self.engine.state,
            loaded.model if loaded else self.generator.settings.model,
            loaded.provider if loaded else "",
            str(self.generator.settings.folder),
            float(self.generator.model_seconds),
        )


class DaemonCommands:
    """Handlers of the addresses about the daemon itself."""

    def __init__(
        self,
        status: DaemonStatus,
        network: Network,
        subscribers: Subscribers,
        ports: ReplyPorts,
        table: Mapping[str, Row],
    ) -> None:
        """Take what the answers are made of; `table` has the rows of all commands by their address, for /help."""
        self._status, self._network = status, network
        self._subscribers, self._ports, self._table = subscribers, ports, table

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {
            "/status": lambda _peer, _arguments: [self._status.reply()],
            "/version": self._version,
            "/network": lambda _peer, _arguments: [("/network.reply", *self._network.facts())],
            "/notify": self._notify,
            "/help": self._help,
        }

    def _version(self, _peer: Peer, _arguments: Sequence[Atom]) -> Answer:
        major, minor, patch = __version__.split(".", 2)
        return [("/version.reply", "clipsonic-live", int(major), int(minor), f".{patch}", "", "")]

    def _notify(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        at_most(2, "0 or 1, and a port", arguments)
        if not arguments:
            client_id = self._subscribers.find(peer)
            return [("/done", "/notify", 0) if client_id is None else ("/done", "/notify", client_id, MAX_SUBSCRIBERS)]
        switch = as_switch("notify", arguments[0])
        listener = self._ports.find(peer, arguments[1:])
        if switch:
            return [("/done", "/notify", self._subscribers.add(listener), MAX_SUBSCRIBERS)]
        self._subscribers.remove(listener)
        return [("/done", "/notify", 0)]

    def _help(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        which = at_most_one("address", arguments)
        addresses = self._table if which is None else match_addresses(as_text("address", which), self._table)
        rows = [self._table[address] for address in addresses]
        replies: list[Reply] = [("/help.reply", row.address, row.notation, row.help) for row in rows]
        return [*replies, ("/done", "/help", len(rows))]
