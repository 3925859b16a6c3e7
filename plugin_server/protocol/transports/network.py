"""How the daemon can be reached and found: HTTP, zeroconf and who is allowed, as `/network` answers it."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network

from plugin_server.protocol.access import AccessPolicy, is_loopback
from plugin_server.protocol.transports.web import HttpApp, WebServer
from plugin_server.protocol.transports.zeroconf import Advertiser

ELSEWHERE = IPv4Network("203.0.113.1/32")
"""An address that is nobody's (RFC 5737): the way to it is the one to most others."""


@dataclass(frozen=True, slots=True)
class Network:
    """The network services beside the OSC sockets."""

    access: AccessPolicy
    web: WebServer
    advertiser: Advertiser

    def start(self, app: HttpApp, osc_port: int) -> None:
        """Answer HTTP, and advertise both ports; both soon, without waiting."""
        self.web.start(app)
        self.advertiser.start(osc_port, self.web.port)

    async def stop_advertising(self) -> None:
        """Stop the advertisement; those who found the daemon before are still answered."""
        await self.advertiser.stop()

    async def stop(self) -> None:
        """Close HTTP and every WebSocket."""
        await self.web.stop()

    def facts(self) -> tuple[int | str, ...]:
        """Return the arguments of `/network.reply`.

        HTTP port, its state, the state of zeroconf, 1 with --lan, hosts refused, packets and connections refused.
        """
        refused = self.access.refused
        counts = (len(refused), min(sum(refused.values()), 2**31 - 1))
        return (self.web.port, self.web.state, self.advertiser.state, int(self.access.lan), *counts)


def addresses_towards(networks: Iterable[IPv4Network]) -> list[str]:
    """Return this machine's addresses on the way to some networks, each once: what their hosts have to type.

    That on the way to most others where there is no way to any of them, or none at all. Nothing is sent.
    """
    return _addresses_towards(networks) or _addresses_towards([ELSEWHERE])


def _addresses_towards(networks: Iterable[IPv4Network]) -> list[str]:
    found: dict[str, None] = {}
    for network in networks:
        # Any host of it: the first, or the only one.
        host = next(iter(network.hosts()))
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Of UDP that only chooses the way.
            probe.connect((str(host), 9))
            found[probe.getsockname()[0]] = None
    return [address for address in found if not is_loopback(address)]
