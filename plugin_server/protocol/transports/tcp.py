"""OSC over TCP: connections, each with its framing, its deadlines and what it has not read yet."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from plugin_server.errors import BadPacket, ClipsonicError
from plugin_server.protocol.access import LOOPBACK, AccessPolicy
from plugin_server.protocol.transports.connections import Connections
from plugin_server.protocol.transports.framing import Framing
from plugin_server.protocol.transports.receiver import PacketReceiver

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
FIRST_PACKET_S = 10.0
"""Seconds until a connection has to have sent a whole packet."""
UNFRAMED_S = 0.4
"""Seconds after which a stream that began like a packet, and has had no end of one yet, is taken for one without
framing."""
MAX_UNSENT = 1 << 20
"""Bytes that may wait for a slow client before it is dropped."""
PAUSE_UNSENT = 1 << 18
"""Bytes from which on no more commands are read from a client that does not read its replies."""
UNREAD_S = 30.0
"""Seconds that a client may take to read what waits for it, before it is dropped."""
LINGER_S = 0.25
"""Seconds between two looks whether a client that has sent its last still waits for something."""
UNFRAMED = BadPacket(
    "packet: got OSC without framing, expected SLIP (an END byte, 192, before and after each packet) or a length "
    "before each packet (four bytes, the highest first); UDP needs neither"
)


@dataclass(frozen=True, slots=True, eq=False)
class TcpPeer:
    """A TCP connection, answered in the framing that it uses."""

    host: str
    transport: asyncio.Transport
    framing: Framing

    @property
    def is_behind(self) -> bool:
        """Whether many replies wait to be read."""
        return self.transport.get_write_buffer_size() > PAUSE_UNSENT

    def send(self, packet: bytes) -> None:
        """Queue for sending; a client that does not read is cut off."""
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("a TCP client does not read its replies and was dropped")
            self.transport.abort()
            return
        self.transport.write(self.framing.wrap(packet))


class TcpConnection(asyncio.Protocol):
    """One connection: reads packets, and is closed when they do not come or their replies are not read."""

    def __init__(self, receiver: PacketReceiver, access: AccessPolicy, connections: Connections) -> None:
        self._receiver, self._access, self._connections = receiver, access, connections
        self._loop = asyncio.get_running_loop()
        self._peer: TcpPeer | None = None
        self._has_packet = False
        self._is_served, self._is_taken = True, True
        self._first_packet_timer: asyncio.TimerHandle | None = None
        self._unframed_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit a client that the access policy allows."""
        # typeshed types the argument as BaseTransport; asyncio gives a stream protocol a Transport.
        # A client that is gone already has no name, and gets nothing.
        host, *_ = transport.get_extra_info("peername") or (LOOPBACK,)
        if not self._access.allows(host):
            transport.abort()
            return
        transport.set_write_buffer_limits(PAUSE_UNSENT)
        self._peer = TcpPeer(host, transport, Framing())
        late = BadPacket(f"packet: got no whole packet within {FIRST_PACKET_S:g} s of the connection, expected one")
        self._first_packet_timer = self._loop.call_later(FIRST_PACKET_S, self._refuse, late)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Receive every whole packet so far."""
        peer = self._peer
        if peer is None or peer.transport.is_closing():
            # Was not allowed, or refused; an aborted transport brings nothing.
            return
        self._connections.touch(self)
        # Nothing more is read until it is served: what else a client sends waits on its own side.
        self._is_served = False
        peer.transport.pause_reading()
        self._receiver.follow(self._packets(data, peer), peer)

    def _packets(self, data: bytes, peer: TcpPeer) -> Iterator[bytes]:
        try:
            for packet in peer.framing.feed(data):
                self._note_packet()
                yield packet
        except BadPacket as error:
            self._refuse(error)
            return
        if peer.framing.may_be_unframed and not self._unframed_timer:
            self._unframed_timer = self._loop.call_later(UNFRAMED_S, self._refuse_unframed)
        self._is_served = True
        self._read_on()

    def _read_on(self) -> None:
        """Read more when what was read is served, and its replies are taken."""
        if self._peer and self._is_served and self._is_taken and not self._peer.transport.is_closing():
            self._peer.transport.resume_reading()

    def eof_received(self) -> bool:
        """Keep the connection while replies are awaited: a client may have closed its sending side alone."""
        peer = self._peer
        if peer is None:
            return False
        if peer.framing.may_be_unframed:
            self._refuse_unframed()
        else:
            self._close_when_answered()
        return True

    def pause_writing(self) -> None:
        """Read no more commands from a client that does not read what they are answered by."""
        if self._peer:
            self._is_taken = False
            self._peer.transport.pause_reading()
            self._unread_timer = self._loop.call_later(UNREAD_S, self._drop_unread)

    def resume_writing(self) -> None:
        """Go on reading commands."""
        if self._unread_timer:
            self._unread_timer.cancel()
        self._is_taken = True
        self._read_on()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client, which gets nothing more."""
        self._connections.remove(self)
        for timer in (self._first_packet_timer, self._unframed_timer, self._unread_timer):
            if timer:
                timer.cancel()
        if self._peer:
            self._receiver.disconnect(self._peer)

    def make_room(self) -> None:
        """Close at once, whatever waits to be sent."""
        if self._peer:
            self._peer.transport.abort()

    def close(self) -> None:
        """Close once everything is sent to it."""
        if self._peer:
            self._peer.transport.close()

    def _note_packet(self) -> None:
        if not self._has_packet and self._first_packet_timer:
            self._first_packet_timer.cancel()
        self._has_packet = True

    def _refuse(self, error: ClipsonicError) -> None:
        """Send why the stream is not followed any longer, and close."""
        if self._peer and not self._peer.transport.is_closing():
            self._receiver.refuse(self._peer, error)
            # After the reply, which goes by way of the loop too.
            self._loop.call_soon(self.close)

    def _refuse_unframed(self) -> None:
        if self._peer and self._peer.framing.may_be_unframed:
            self._peer.framing.answer_unframed()
            self._refuse(UNFRAMED)

    def _close_when_answered(self) -> None:
        if self._peer is None or self._peer.transport.is_closing():
            return
        if self._receiver.is_awaited(self._peer):
            self._loop.call_later(LINGER_S, self._close_when_answered)
        else:
            self._loop.call_soon(self.close)

    def _drop_unread(self) -> None:
        log.warning("a TCP client does not read its replies and was dropped")
        self.make_room()
