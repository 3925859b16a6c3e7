"""The sockets: OSC over UDP and over TCP, on one port number."""

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from plugin_server.errors import BadPacket, ClipsonicError, PortTaken
from plugin_server.protocol.access import LOOPBACK, AccessPolicy
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.transports.framing import Framing

log = logging.getLogger(__name__)

MAX_UNSENT = 1 << 20
"""Bytes that may wait for a slow TCP client before it is dropped."""


class Service(Protocol):
    """What packets are given to."""

    def receive(self, packet: bytes, peer: Peer) -> None: ...

    def refuse(self, peer: Peer, error: ClipsonicError) -> None: ...

    def left(self, peer: Peer) -> None: ...

    def reach_ports_by(self, peer_on_port: Callable[[Peer, int], Peer]) -> None: ...


@dataclass(frozen=True, slots=True)
class UdpPeer:
    """A UDP address; equal when host and port are."""

    host: str
    port: int
    transport: asyncio.DatagramTransport

    def send(self, packet: bytes) -> None:
        """One datagram; nobody knows whether it arrives."""
        if not self.transport.is_closing():
            self.transport.sendto(packet, (self.host, self.port))


@dataclass(frozen=True, slots=True, eq=False)
class TcpPeer:
    """A TCP connection, answered in the framing that it uses."""

    host: str
    transport: asyncio.Transport
    framing: Framing

    def send(self, packet: bytes) -> None:
        """Queue for sending; a client that does not read is cut off."""
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("a TCP client does not read its replies and was dropped")
            self.transport.abort()
            return
        self.transport.write(self.framing.wrap(packet))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, service: Service, guard: AccessPolicy) -> None:
        self._service, self._guard = service, guard
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        # typeshed types the argument as BaseTransport; asyncio gives a datagram protocol a DatagramTransport.
        self._transport = transport
        self._service.reach_ports_by(lambda peer, port: UdpPeer(peer.host, port, transport))

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if not self._guard.admits(address[0]):
            return
        self._service.receive(data, UdpPeer(address[0], address[1], self._transport))

    def error_received(self, error: Exception) -> None:
        # A client that went away answers by ICMP; others must not suffer from it.
        is_too_long = isinstance(error, OSError) and error.errno == errno.EMSGSIZE
        level = logging.WARNING if is_too_long else logging.DEBUG
        log.log(level, "UDP: %s", error)


class _Tcp(asyncio.Protocol):
    def __init__(self, service: Service, guard: AccessPolicy, peers: set[TcpPeer]) -> None:
        self._service, self._guard, self._peers = service, guard, peers
        self._peer: TcpPeer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # typeshed types the argument as BaseTransport; asyncio gives a stream protocol a Transport.
        # A client that is gone already has no name, and gets nothing.
        host, *_ = transport.get_extra_info("peername") or (LOOPBACK,)
        if not self._guard.admits(host):
            transport.abort()
            return
        self._peer = TcpPeer(host, transport, Framing())
        self._peers.add(self._peer)

    def data_received(self, data: bytes) -> None:
        peer = self._peer
        if peer is None:
            # Was not admitted; an aborted transport brings nothing.
            return
        try:
            for packet in peer.framing.feed(data):
                self._service.receive(packet, peer)
        except BadPacket as error:
            self._service.refuse(peer, error)
            # After what was just said, which goes by way of the loop too.
            asyncio.get_running_loop().call_soon(peer.transport.close)

    def connection_lost(self, error: Exception | None) -> None:
        if self._peer is None:
            return
        self._peers.discard(self._peer)
        self._service.left(self._peer)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Both open sockets."""

    port: int
    udp: asyncio.DatagramTransport
    tcp: asyncio.Server
    peers: set[TcpPeer]

    async def close(self) -> None:
        """Close both, connections included, once what was said before is sent; 0.5 s for clients that do not read."""
        # Replies wait for a turn of the loop.
        await asyncio.sleep(0)
        self.udp.close()
        self.tcp.close()
        for peer in list(self.peers):
            peer.transport.close()
        for _ in range(50):
            if not self.peers:
                return
            await asyncio.sleep(0.01)


async def open_endpoints(service: Service, port: int, guard: AccessPolicy | None = None) -> Endpoints:
    """Listen on UDP and TCP of one port number, on this machine alone unless the guard says otherwise; 0 takes a free
    one. Raises PortTaken."""
    for _attempt in range(20):
        try:
            return await _open_both(service, port, guard or AccessPolicy())
        except OSError as error:
            # A free port was found for TCP that is taken for UDP: try another.
            if port != 0:
                raise _taken(port, error) from error
    raise PortTaken("no port was found that is free for both UDP and TCP")


async def _open_both(service: Service, port: int, guard: AccessPolicy) -> Endpoints:
    loop = asyncio.get_running_loop()
    peers: set[TcpPeer] = set()
    tcp = await loop.create_server(lambda: _Tcp(service, guard, peers), guard.bind, port)
    number = tcp.sockets[0].getsockname()[1]
    try:
        udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(service, guard), (guard.bind, number))
    except OSError:
        tcp.close()
        raise
    return Endpoints(number, udp, tcp, peers)


def _taken(port: int, error: OSError) -> PortTaken:
    if error.errno == errno.EACCES:
        return PortTaken(f"port {port} may not be opened by this user; choose one above 1023 with --osc-port")
    return PortTaken(f"port {port} is taken by another program (perhaps a daemon that runs already); choose --osc-port")
