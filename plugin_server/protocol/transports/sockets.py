"""OSC over UDP and over TCP, on one port number."""

import asyncio
import errno
import ipaddress
import logging
import socket
from dataclasses import dataclass

from plugin_server.errors import BadArgument, BadPacket, PortTaken
from plugin_server.protocol.access import LOOPBACK, AccessPolicy
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.transports.framing import Framing
from plugin_server.protocol.transports.receiver import PacketReceiver

log = logging.getLogger(__name__)

MAX_UNSENT = 1 << 20
"""Bytes that may wait for a slow TCP client before it is dropped."""


@dataclass(frozen=True, slots=True)
class UdpPeer:
    """A UDP address; equal when host and port are."""

    host: str
    port: int
    transport: asyncio.DatagramTransport

    def send(self, packet: bytes) -> None:
        """Send one datagram; nobody knows whether it arrives."""
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
    def __init__(self, receiver: PacketReceiver, access: AccessPolicy) -> None:
        self._receiver, self._access = receiver, access
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        # typeshed types the argument as BaseTransport; asyncio gives a datagram protocol a DatagramTransport.
        self._transport = transport
        self._receiver.reach_ports_by(self._peer_on_port)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if not self._access.allows(address[0]):
            return
        self._receiver.receive(data, UdpPeer(address[0], address[1], self._transport))

    def _peer_on_port(self, peer: Peer, port: int) -> UdpPeer:
        # One number stands for UDP and TCP, on all addresses.
        if port == self._transport.get_extra_info("sockname")[1] and _is_of_this_machine(peer.host):
            raise BadArgument(f"port: got {port}, which is the daemon's own, expected the port that you receive on")
        return UdpPeer(peer.host, port, self._transport)

    def error_received(self, error: Exception) -> None:
        # A client that went away answers by ICMP; others must not suffer from it.
        is_too_long = isinstance(error, OSError) and error.errno == errno.EMSGSIZE
        level = logging.WARNING if is_too_long else logging.DEBUG
        log.log(level, "UDP: %s", error)


class _Tcp(asyncio.Protocol):
    def __init__(self, receiver: PacketReceiver, access: AccessPolicy, peers: set[TcpPeer]) -> None:
        self._receiver, self._access, self._peers = receiver, access, peers
        self._peer: TcpPeer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # typeshed types the argument as BaseTransport; asyncio gives a stream protocol a Transport.
        # A client that is gone already has no name, and gets nothing.
        host, *_ = transport.get_extra_info("peername") or (LOOPBACK,)
        if not self._access.allows(host):
            transport.abort()
            return
        self._peer = TcpPeer(host, transport, Framing())
        self._peers.add(self._peer)

    def data_received(self, data: bytes) -> None:
        peer = self._peer
        if peer is None:
            # Was not allowed; an aborted transport brings nothing.
            return
        try:
            for packet in peer.framing.feed(data):
                self._receiver.receive(packet, peer)
        except BadPacket as error:
            self._receiver.refuse(peer, error)
            # After the reply, which goes by way of the loop too.
            asyncio.get_running_loop().call_soon(peer.transport.close)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._peer is None:
            return
        self._peers.discard(self._peer)
        self._receiver.disconnect(self._peer)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The open sockets of UDP and TCP, and TCP's connections."""

    port: int
    udp: asyncio.DatagramTransport
    tcp: asyncio.Server
    peers: set[TcpPeer]

    async def close(self) -> None:
        """Close both, connections included, once all replies are sent; 0.5 s for clients that do not read."""
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


async def open_endpoints(receiver: PacketReceiver, port: int, access: AccessPolicy | None = None) -> Endpoints:
    """Listen on UDP and TCP of one port number.

    Args:
        receiver: Takes the packets.
        port: The port number; 0 takes a free one.
        access: Decides who is answered; nobody but this machine when it is None.

    Raises:
        PortTaken: Another program has the port, or this user may not open it.
    """
    for _attempt in range(20):
        try:
            return await _open_both(receiver, port, access or AccessPolicy())
        except OSError as error:
            # A free port was found for TCP that is taken for UDP: try another.
            if port != 0:
                raise _port_taken(port, error) from error
    raise PortTaken("no port was found that is free for both UDP and TCP")


async def _open_both(receiver: PacketReceiver, port: int, access: AccessPolicy) -> Endpoints:
    loop = asyncio.get_running_loop()
    peers: set[TcpPeer] = set()
    tcp = await loop.create_server(lambda: _Tcp(receiver, access, peers), access.bind, port)
    number = tcp.sockets[0].getsockname()[1]
    try:
        udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(receiver, access), (access.bind, number))
    except OSError:
        tcp.close()
        raise
    return Endpoints(number, udp, tcp, peers)


def _is_of_this_machine(host: str) -> bool:
    """Return whether a host is one of this machine's addresses: those are the ones that a socket can be bound to."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _port_taken(port: int, error: OSError) -> PortTaken:
    if error.errno == errno.EACCES:
        return PortTaken(f"port {port} may not be opened by this user; choose one above 1023 with --osc-port")
    return PortTaken(f"port {port} is taken by another program (perhaps a daemon that runs already); choose --osc-port")
