"""Routes packets: to the handler of each address that a message matches, whose replies go back to who asked."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from plugin_server.errors import BadArgument, ClipsonicError, UnknownAddress, short_repr
from plugin_server.protocol.address_patterns import match_addresses
from plugin_server.protocol.addresses import ADDRESSES, TABLE, is_answer
from plugin_server.protocol.arguments import find_id
from plugin_server.protocol.flow.incoming import Incoming, Steps
from plugin_server.protocol.flow.timed import TimedMessages
from plugin_server.protocol.given_arguments import arguments_of
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.packets import Message, read_messages
from plugin_server.protocol.replies import Handler, Replies, ReplyPorts
from plugin_server.protocol.subscribers import Peer, PeerOnPort, Subscribers
from plugin_server.protocol.table import reply_sources

RELEASED = "released"
"""Answer to a button that was let go."""
READ_AT_ONCE = 32
"""Messages of a packet that are read in one step."""


class Dispatcher:
    """Answers packets. Every command answers, also when it cannot be parsed, and to the one who asked."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        replies: Replies,
        ports: ReplyPorts,
        subscribers: Sequence[Subscribers],
        jobs: JobEvents,
    ) -> None:
        """Route to `handlers`, which run on the event loop and so must not compute.

        `subscribers` are all tables that must know which hosts still send; peers listen to addresses in the first one.
        """
        self._handlers, self._replies, self._ports, self._subscribers = handlers, replies, ports, subscribers
        self._jobs = jobs
        loop = asyncio.get_running_loop()
        self._incoming = Incoming(self._answer, self.refuse, loop, lambda: replies.n_sent)
        self._timed = TimedMessages(lambda message, peer: self._incoming.resume(self._run(message, peer), peer), loop)

    def reach_ports_by(self, peer_on_port: PeerOnPort) -> None:
        """Set how `/notify 1 port` finds the other port; known once a UDP socket is open."""
        self._ports.peer_on_port = peer_on_port

    def receive(self, packet: bytes, peer: Peer) -> None:
        """Answer every message of a datagram, in order, when its turn comes."""
        self._incoming.receive(packet, peer)

    def follow(self, packets: Iterator[bytes], peer: Peer) -> None:
        """Answer the packets of a stream in order; each is taken from the iterator when that before is answered."""
        self._incoming.follow(packets, peer)

    def stop(self) -> None:
        """Drop all that waits, for its turn or its time."""
        self._incoming.stop()
        self._timed.stop()

    def disconnect(self, peer: Peer) -> None:
        """Forget a peer whose connection closed."""
        self._incoming.disconnect(peer)
        self._timed.disconnect(peer)
        for subscribers in self._subscribers:
            subscribers.disconnect(peer)

    def is_awaited(self, peer: Peer) -> bool:
        """Return whether a peer will be sent something that it asked for."""
        is_subscribed = any(peer in subscribers for subscribers in self._subscribers)
        is_served = peer in self._incoming or peer in self._timed
        return is_served or is_subscribed or self._replies.is_awaited(peer) or self._jobs.is_awaited(peer)

    def listen(self, peer: Peer, address: str) -> None:
        """Send the peer everything that goes out with this address. Raises UnknownAddress when nothing ever does."""
        if address not in (known := reply_sources(TABLE)):
            raise UnknownAddress(f"LISTEN: got {short_repr(address)}, expected one of {' '.join(known)}")
        self._subscribers[0].listen(peer, address)

    def ignore(self, peer: Peer, address: str) -> None:
        """Undo `listen`; no harm when the peer does not listen."""
        self._subscribers[0].ignore(peer, address)

    def refuse(self, peer: Peer, error: ClipsonicError) -> None:
        """Send why a stream cannot be followed."""
        self._replies.fail(peer, "", error)

    def _answer(self, packet: bytes, peer: Peer) -> Steps:
        """Read a packet, then run its commands that are due, one a step; the others wait for their time."""
        for subscribers in self._subscribers:
            subscribers.touch(peer.host)
        try:
            messages = []
            for message in read_messages(packet):
                messages.append(message)
                if len(messages) % READ_AT_ONCE == 0:
                    yield
            ahead = self._timed.seconds_ahead(messages)
        except ClipsonicError as error:
            self._replies.fail(peer, "", error)
            return
        for message, seconds in zip(messages, ahead, strict=True):
            if seconds <= 0:
                yield from self._run(message, peer)
            else:
                self._run_later(message, peer, seconds, len(packet) // len(messages))

    def _run_later(self, message: Message, peer: Peer, seconds: float, size: int) -> None:
        try:
            self._timed.add(message, peer, seconds, size)
        except ClipsonicError as error:
            self._replies.fail(peer, message.address, error)

    def _run(self, message: Message, peer: Peer) -> Steps:
        """Run the command of a message, and of a pattern all that it may reach, one a step."""
        if is_answer(message.address):
            # Two programs that answer each other's answers would never stop.
            return
        try:
            addresses = match_addresses(message.address, ADDRESSES)
            # Of a pattern each address answers for itself: one that fails must not silence those after it.
            for address in _reachable(addresses):
                self._run_at(address, message, peer)
                yield
            _check_reachable(message.address, addresses)
        except ClipsonicError as error:
            self._replies.fail(peer, message.address, error)
            yield

    def _run_at(self, address: str, message: Message, peer: Peer) -> None:
        arguments = arguments_of(ADDRESSES[address], message.arguments)
        if arguments is None:
            self._replies.send(peer, "/done", address, RELEASED)
        else:
            command = partial(self._handlers[address], peer, arguments)
            self._replies.run(peer, address, command, find_id(arguments))


def _reachable(addresses: Sequence[str]) -> list[str]:
    """Return those of the addresses of a pattern that it may reach: several at once when they change nothing."""
    return [address for address in addresses if len(addresses) == 1 or ADDRESSES[address].is_read_only]


def _check_reachable(pattern: str, addresses: Sequence[str]) -> None:
    """Check that a pattern reaches all that it matches. Raises BadArgument that names the others."""
    if others := [address for address in addresses if address not in _reachable(addresses)]:
        came = f"{short_repr(pattern)}, which matches {' '.join(others)}"
        raise BadArgument(f"address: got {came}, expected a pattern of one address where something is changed")
