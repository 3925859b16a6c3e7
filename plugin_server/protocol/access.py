"""The hosts that the daemon answers: this machine, and with `--lan` those that were listed.

Everyone else is ignored and counted.
"""

import ipaddress
import logging
from collections.abc import Sequence
from functools import lru_cache

from plugin_server.errors import BadArgument
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.subscribers import Peer

log = logging.getLogger(__name__)

LOOPBACK, LOOPBACK_V6, ALL_INTERFACES = "127.0.0.1", "::1", "0.0.0.0"
NARROWEST_WIDE = 8
"""Bits of a network's address below which it is more than any that people have of their own, as 10.0.0.0/8 is."""
MAX_HOSTS = 1024
"""Refused hosts that are counted one by one: addresses of UDP packets can be forged, and must not fill memory or the
log."""
OTHERS = "others"
"""The name under which all further hosts are counted."""


class AccessPolicy:
    """Decides by the sender's address whether it is answered.

    Without a list the sockets are bound to this machine's own addresses alone, so that every sender is allowed.
    """

    def __init__(self, allow: Sequence[str] | None = None) -> None:
        """Take IPv4 addresses and networks; None keeps the daemon to this machine."""
        self.lan = allow is not None
        # 127.0.0.1 alone: it is what this machine's programs send from. The whole of 127/8 when nothing else is bound.
        own = [f"{LOOPBACK}/32"] if self.lan else ["127.0.0.0/8"]
        self.networks = tuple(ipaddress.IPv4Network(entry, strict=False) for entry in [*own, *(allow or ())])
        self.refused: dict[str, int] = {}
        """Packets and connections by the host they came from."""
        self._is_listed_cached = lru_cache(maxsize=MAX_HOSTS)(self._is_listed)

    @property
    def bind(self) -> str:
        """The IPv4 address to listen on."""
        return ALL_INTERFACES if self.lan else LOOPBACK

    def wide_networks(self) -> list[ipaddress.IPv4Network]:
        """Return the networks that were listed and hold more hosts than one person can know."""
        return [network for network in self.networks if self.lan and network.prefixlen < NARROWEST_WIDE]

    def allows(self, host: str) -> bool:
        """Return whether a host is answered; others are counted, and each is named in the log once."""
        if self._is_listed_cached(host):
            return True
        if host not in self.refused and len(self.refused) >= MAX_HOSTS:
            host = OTHERS
        if host not in self.refused:
            log.warning("%s is not among the hosts of --allow and is ignored", host)
        self.refused[host] = self.refused.get(host, 0) + 1
        return False

    def _is_listed(self, host: str) -> bool:
        address = ipaddress.ip_address(host)
        if address.version == 6:
            # A dual-stack socket shows IPv4 addresses as mapped ones.
            mapped = address.ipv4_mapped
            return address.is_loopback if mapped is None else self._is_listed(str(mapped))
        return any(address in network for network in self.networks)


def check_images(arguments: Sequence[Atom], peer: Peer) -> None:
    """Refuse images from other machines: only programs on this one may have its files read. Raises BadArgument."""
    if "@image" in arguments and not is_loopback(peer.host):
        raise BadArgument(f"image: came from {peer.host}, expected a program on the daemon's own machine")


def is_loopback(host: str) -> bool:
    """Return whether a peer's host is this machine; what is no address is not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
