"""How the daemon can be reached and found: HTTP, zeroconf and who is allowed, as `/network` answers it."""

from dataclasses import dataclass

from plugin_server.protocol.access import AccessPolicy
from plugin_server.protocol.transports.web import HttpApp, WebServer
from plugin_server.protocol.transports.zeroconf import Advertiser


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
