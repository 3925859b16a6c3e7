"""The object that every transport gives its packets to."""

from collections.abc import Iterator
from typing import Protocol

from plugin_server.errors import ClipsonicError
from plugin_server.protocol.subscribers import Peer, PeerOnPort


class PacketReceiver(Protocol):
    """Takes packets and listeners; every method belongs to the event loop."""

    def receive(self, packet: bytes, peer: Peer) -> None:
        """Answer every message of a datagram, in order, when its turn comes."""

    def follow(self, packets: Iterator[bytes], peer: Peer) -> None:
        """Answer the packets of a stream in order; each is taken from the iterator when that before is answered."""

    def refuse(self, peer: Peer, error: ClipsonicError) -> None:
        """Send why a stream cannot be followed."""

    def disconnect(self, peer: Peer) -> None:
        """Forget a peer whose connection closed."""

    def is_awaited(self, peer: Peer) -> bool:
        """Return whether a peer will be sent something that it asked for."""

    def listen(self, peer: Peer, address: str) -> None:
        """Send the peer everything that goes out with an address. Raises UnknownAddress when nothing ever does."""

    def ignore(self, peer: Peer, address: str) -> None:
        """Undo `listen`; no harm when the peer does not listen."""

    def reach_ports_by(self, peer_on_port: PeerOnPort) -> None:
        """Set how the other ports of a host are reached; known once a UDP socket is open."""
