"""`/meter`: levels of the live output, twenty times a second, to those who asked."""

import asyncio
from collections.abc import Sequence

from plugin_server.audio.playback.player import Player
from plugin_server.protocol.arguments import as_switch, at_most
from plugin_server.protocol.packets import Atom, encode_message
from plugin_server.protocol.replies import Answer, Handler, ReplyPorts
from plugin_server.protocol.subscribers import Peer, Subscribers
from plugin_server.protocol.table import ON_OFF, PORTS, Argument, Row

ROWS = (
    Row(
        "/meter",
        "levels of the live output twenty times a second, here or on another port; without a number, tell of it",
        (Argument("switch", "i", ON_OFF, optional=True, shows_range=True), Argument("port", "i", PORTS, optional=True)),
        replies=("/levels", "/done"),
        is_setting=True,
    ),
)
"""Rows of the address table that this file answers."""

INTERVAL_S = 0.05


class MeterCommands:
    """Sends while anybody listens. A listener whose host is silent for an hour is forgotten, as by `/notify`."""

    def __init__(
        self, player: Player, loop: asyncio.AbstractEventLoop, subscribers: Subscribers, ports: ReplyPorts
    ) -> None:
        """`subscribers` are those of the levels alone."""
        self._player, self._loop = player, loop
        self._subscribers, self._ports = subscribers, ports
        self._timer: asyncio.TimerHandle | None = None

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {"/meter": self._meter}

    def listeners(self) -> list[Peer]:
        """Return those who are sent levels."""
        return self._subscribers.except_for(())

    def stop(self) -> None:
        """Send nothing more; on the loop."""
        self._end()

    def _meter(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        at_most(2, "0 or 1, and a port", arguments)
        if not arguments:
            return [("/done", "/meter", int(peer in self.listeners()))]
        switch = as_switch("meter", arguments[0])
        listener = self._ports.find(peer, arguments[1:])
        if switch:
            self._subscribers.add(listener)
            if self._timer is None:
                self._player.set_metering(enabled=True)
                # What was measured before is nobody's.
                self._player.take_levels()
                self._send()
        else:
            self._subscribers.remove(listener)
            if not self.listeners():
                self._end()
        return [("/done", "/meter", int(switch))]

    def _send(self) -> None:
        listeners = self.listeners()
        if not listeners:
            self._end()
            return
        levels, n_voices, n_underruns = self._player.take_levels()
        packet = encode_message("/levels", *levels.peak, *levels.rms, n_voices, n_underruns)
        for listener in listeners:
            listener.send(packet)
        self._timer = self._loop.call_later(INTERVAL_S, self._send)

    def _end(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
            self._player.set_metering(enabled=False)
