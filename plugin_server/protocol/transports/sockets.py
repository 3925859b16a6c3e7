"""OSC over UDP and over TCP, on one port number."""

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from plugin_server.errors import BadArgument, PortTaken
from plugin_server.protocol.access import LOOPBACK_V6, AccessPolicy
from plugin_server.protocol.flow.outgoing import Outgoing
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.transports.connections import AT_ONCE, BACKLOG, Connections
from plugin_server.protocol.transports.receiver import PacketReceiver
from plugin_server.protocol.transports.tcp import MAX_CONNECTIONS, TcpConnection

log = logging.getLogger(__name__)

RECEIVE_BUFFER = 2**20
"""Bytes of datagrams that wait for the loop, where the system allows as many."""
DRAIN_S = 0.5
"""Seconds that replies over UDP which wait at the end have to be sent without hurry."""


@dataclass(frozen=True, slots=True)
class UdpPeer:
    """A UDP address; equal when host and port are."""

    host: str
    port: int
    outgoing: Outgoing

    @property
    def is_behind(self) -> bool:
        """Whether many replies wait to be sent."""
        return self.outgoing.is_behind((self.host, self.port))

    def send(self, packet: bytes) -> None:
        """Send one datagram in its turn; nobody knows whether it arrives."""
        self.outgoing.send(packet, (self.host, self.port))


class UdpSocket(asyncio.DatagramProtocol):
    """One socket: receives datagrams, and sends replies in an order and at a pace that each receiver can follow."""

    def __init__(self, receiver: PacketReceiver, access: AccessPolicy) -> None:
        self._receiver, self._access = receiver, access
        self._transport: asyncio.DatagramTransport
        self.outgoing = Outgoing(self._send, asyncio.get_running_loop())

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the transport, which sends."""
        # typeshed types the argument as BaseTransport; asyncio gives a datagram protocol a DatagramTransport.
        self._transport = transport

    def close(self) -> None:
        """Send what waits, and close."""
        self.outgoing.close()
        self._transport.close()

    def _send(self, packet: bytes, receiver: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(packet, receiver)

    def datagram_received(self, data: bytes, address: tuple[str, int, *tuple[int, ...]]) -> None:
        """Receive one packet of a host that is allowed."""
        # Addresses of IPv6 have two numbers more.
        host, port, *_ = address
        if self._access.allows(host):
            self.outgoing.heard_of((host, port))
            self._receiver.receive(data, UdpPeer(host, port, self.outgoing))

    def error_received(self, error: Exception) -> None:
        """Log what the system says of an earlier datagram."""
        # A client that went away answers by ICMP; others must not suffer from it.
        is_too_long = isinstance(error, OSError) and error.errno == errno.EMSGSIZE
        level = logging.WARNING if is_too_long else logging.DEBUG
        log.log(level, "UDP: %s", error)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The open sockets of UDP and TCP, of IPv4 and IPv6, and TCP's connections."""

    port: int
    udp: tuple[UdpSocket, ...]
    tcp: tuple[asyncio.Server, ...]
    connections: Connections

    def peer_on_port(self, peer: Peer, port: int) -> UdpPeer:
        """Return another UDP port of a peer's host. Raises BadArgument for the daemon's own."""
        # One number stands for UDP and TCP, on all addresses.
        if port == self.port and _is_of_this_machine(peer.host):
            raise BadArgument(f"port: got {port}, which is the daemon's own, expected the port that you receive on")
        # The last socket is that of IPv6 where there is one.
        return UdpPeer(peer.host, port, self.udp[-1 if ":" in peer.host else 0].outgoing)

    def close_sockets(self) -> None:
        """Listen no longer; connections stay."""
        for udp in self.udp:
            udp.close()
        for server in self.tcp:
            server.close()

    async def close(self) -> None:
        """Close all, connections included, once all replies are sent; 0.5 s for clients that do not read."""
        # Replies wait for a turn of the loop.
        await asyncio.sleep(0)
        await asyncio.gather(*(udp.outgoing.drain(DRAIN_S) for udp in self.udp))
        self.close_sockets()
        self.connections.close()
        for _ in range(50):
            if not len(self.connections):
                return
            await asyncio.sleep(0.01)


async def open_endpoints(receiver: PacketReceiver, port: int, access: AccessPolicy | None = None) -> Endpoints:
    """Listen on UDP and TCP of one port number, on IPv4 and on the loopback of IPv6 where there is one.

    Programs that are told `localhost` may try either.

    Args:
        receiver: Takes the packets.
        port: The port number; 0 takes a free one.
        access: Decides who is answered; nobody but this machine when it is None.

    Raises:
        PortTaken: Another program has the port, or this user may not open it.
    """
    access = access or AccessPolicy()
    hosts = (access.bind, LOOPBACK_V6) if has_loopback_v6() else (access.bind,)
    for _attempt in range(20):
        try:
            endpoints = await _open_all(receiver, port, access, hosts)
        except OSError as error:
            # A free port was found for one that is taken for another: try again.
            if port != 0:
                raise _port_taken(port, error) from error
        else:
            receiver.reach_ports_by(endpoints.peer_on_port)
            return endpoints
    raise PortTaken("no port was found that is free for both UDP and TCP")


def has_loopback_v6() -> bool:
    """Return whether a socket can be bound to IPv6's loopback address."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK_V6, 0))
    except OSError:
        return False
    return True


async def _open_all(receiver: PacketReceiver, port: int, access: AccessPolicy, hosts: Sequence[str]) -> Endpoints:
    """Listen on all of the hosts. Raises OSError, with nothing left open."""
    loop, connections = asyncio.get_running_loop(), Connections("OSC TCP", MAX_CONNECTIONS)
    udp: list[UdpSocket] = []
    tcp: list[asyncio.Server] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = socket.create_server((host, port), family=family)
            tcp.append(
                await loop.create_server(
                    lambda: TcpConnection(receiver, access, connections), sock=listening, backlog=AT_ONCE
                )
            )
            listening.listen(BACKLOG)
            port = port or listening.getsockname()[1]
            transport, udp_socket = await loop.create_datagram_endpoint(
                lambda: UdpSocket(receiver, access), (host, port)
            )
            _widen(transport)
            udp.append(udp_socket)
    except OSError:
        Endpoints(port, tuple(udp), tuple(tcp), connections).close_sockets()
        raise
    return Endpoints(port, tuple(udp), tuple(tcp), connections)


def _widen(transport: asyncio.DatagramTransport) -> None:
    """Ask the system for room for a burst of datagrams: a few hundred are lost by default, whoever sent them."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


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
