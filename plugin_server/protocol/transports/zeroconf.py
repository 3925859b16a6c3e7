"""Advertises the daemon by zeroconf: `_osc._udp` for OSC, `_oscjson._tcp` for OSCQuery."""

import asyncio
import logging
import re
import socket
from typing import TYPE_CHECKING, cast

from plugin_server import __version__
from plugin_server.protocol.access import LOOPBACK, AccessPolicy
from plugin_server.protocol.transports.oscquery import NAME

if TYPE_CHECKING:
    from zeroconf import ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

log = logging.getLogger(__name__)

OSC, QUERY = "_osc._udp.local.", "_oscjson._tcp.local."
LISTEN_S = 1.4
"""Seconds in which those who have the name can say so: the question waits up to 120 ms, the answer as long, and a
second more when it was given just before (RFC 6762, section 6)."""
STOP_S = 2.0
"""Seconds that saying goodbye may take."""


def host_name() -> str:
    """Return the name of this machine that is advertised with the services; zeroconf resolves it."""
    return f"clipsonic-{re.sub(r'[^a-z0-9-]+', '-', socket.gethostname().lower())[:40].strip('-') or 'host'}.local"


class Advertiser:
    """Advertises on this machine, with `--lan` on the network. Nothing that fails here stops the daemon."""

    def __init__(self, access: AccessPolicy, *, is_enabled: bool) -> None:
        """Take the access policy, which knows whether the network is served; does nothing unless enabled."""
        self._access = access
        self.state = "starts" if is_enabled else "off"
        """'off', 'starts', the name that the daemon is found by, or what went wrong."""
        self._zeroconf: AsyncZeroconf | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_enabled = is_enabled

    def start(self, osc_port: int, http_port: int) -> None:
        """Advertise the ports soon: names must be asked for first, which takes a second or two. Port 0 is none."""
        if self._is_enabled:
            ports = {OSC: osc_port, QUERY: http_port}
            self._task = asyncio.create_task(self._register({kind: port for kind, port in ports.items() if port}))

    async def stop(self) -> None:
        """Say goodbye, so that browsers forget the daemon at once."""
        if not self._task:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._zeroconf:
            try:
                async with asyncio.timeout(STOP_S):
                    await self._zeroconf.async_unregister_all_services()
                    await self._zeroconf.async_close()
            except Exception as error:
                log.warning("zeroconf was not left cleanly: %r", error)

    async def _register(self, ports: dict[str, int]) -> None:
        try:
            infos = await asyncio.to_thread(_service_infos, ports, lan=self._access.lan)
            self._zeroconf = _open(lan=self._access.lan)
            await self._zeroconf.zeroconf.async_wait_for_start()
            if not self._access.lan:
                _receive_loopback_only(self._zeroconf)
            await _learn_names(self._zeroconf)
            await asyncio.gather(*(self._announce(self._zeroconf, info) for info in infos))
            self.state = infos[0].name.removesuffix(f".{infos[0].type}")
        except Exception as error:
            self.state = f"failed: {error!r}"
            log.warning("zeroconf does not work, so that clients must be told the ports: %r", error)

    async def _announce(self, zeroconf: "AsyncZeroconf", info: "ServiceInfo") -> None:
        # A name that another daemon has gets a number. The answer is awaited until all of it is sent.
        await (await zeroconf.async_register_service(info, allow_name_change=True))


def _service_infos(ports: dict[str, int], *, lan: bool) -> "list[ServiceInfo]":
    # Imported here, in a thread, so that the daemon answers meanwhile.
    from zeroconf import ServiceInfo

    addresses, server = _addresses(lan=lan), f"{host_name()}."
    properties = {"version": __version__}
    return [
        ServiceInfo(kind, f"{NAME}.{kind}", port, properties=properties, server=server, parsed_addresses=addresses)
        for kind, port in ports.items()
    ]


def _open(*, lan: bool) -> "AsyncZeroconf":
    from zeroconf import InterfaceChoice, IPVersion
    from zeroconf.asyncio import AsyncZeroconf

    return AsyncZeroconf(InterfaceChoice.All if lan else [LOOPBACK], ip_version=IPVersion.V4Only)


async def _learn_names(zeroconf: "AsyncZeroconf") -> None:
    """Find out which names other daemons have.

    Zeroconf's own probe asks to be answered at its port alone, which all daemons of a machine share, so that another
    one may get the answer.
    """
    from zeroconf import DNSQuestionType
    from zeroconf.asyncio import AsyncServiceBrowser

    def on_change(**change: object) -> None:
        """Do nothing: the answers stay in zeroconf's cache, where its probe looks them up."""

    kinds, question = [OSC, QUERY], DNSQuestionType.QM
    browser = AsyncServiceBrowser(zeroconf.zeroconf, kinds, handlers=[on_change], question_type=question)
    await asyncio.sleep(LISTEN_S)
    await browser.async_cancel()


class _LoopbackOnly(asyncio.DatagramProtocol):
    """Passes on the datagrams of this machine's loopback interface."""

    def __init__(self, listener: asyncio.DatagramProtocol) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if address[0].startswith("127."):
            self._listener.datagram_received(data, address)

    def error_received(self, error: Exception) -> None:
        self._listener.error_received(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.connection_lost(error)


def _receive_loopback_only(zeroconf: "AsyncZeroconf") -> None:
    # Whatever its interfaces are, zeroconf receives on port 5353 of all of them, and would answer a question that comes
    # to that port from the network.
    for reader in zeroconf.zeroconf.engine.readers:
        # Zeroconf's listener has a datagram protocol's methods, though it does not inherit from it.
        listener = cast("asyncio.DatagramProtocol", reader.transport.get_protocol())
        reader.transport.set_protocol(_LoopbackOnly(listener))


def _addresses(*, lan: bool) -> list[str]:
    """Return this machine's addresses on its networks, or loopback alone. Raises OSError when it is on no network."""
    if not lan:
        return [LOOPBACK]
    import ifaddr

    # Those of IPv4 are text, those of IPv6 are not.
    ips = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    found = sorted({address for address in ips if isinstance(address, str) and not address.startswith("127.")})
    if not found:
        raise OSError("this machine has no address on a network")
    return found
