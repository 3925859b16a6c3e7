"""Peers that get replies: a bounded table with expiry, never one 'last client'."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

EXPIRY_S = 3600.0
"""Seconds without a packet from its host after which a subscriber is forgotten. Every packet from a host counts for
all its subscribers, since a patch may receive on a socket that it never sends with."""
MAX_SUBSCRIBERS = 64


class Peer(Protocol):
    """Someone who can be answered: a UDP address and port, or a TCP connection."""

    @property
    def host(self) -> str:
        """The address that packets come from, without a port; "" for nobody."""
        ...

    @property
    def is_behind(self) -> bool:
        """Whether many replies wait for the peer: it has not taken them yet."""
        ...

    def send(self, packet: bytes) -> None:
        """Send in order, or not at all when the peer is gone."""
        ...


PeerOnPort = Callable[[Peer, int], Peer]
"""Returns the same host on another UDP port. Raises BadArgument for the port that the daemon itself receives on."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """The sender where no message came, as for MIDI."""

    host: str = ""
    is_behind: bool = False

    def send(self, packet: bytes) -> None:
        """Do nothing: there is nobody to send to."""


NOBODY = Nobody()


@dataclass(frozen=True, slots=True)
class _Subscription:
    client_id: int
    last_seen: float
    """Time of the last packet from the peer's host, by the table's clock."""


class Subscribers:
    """Peers that asked by /notify for the events of every job, and peers that listen to single addresses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock, which returns seconds."""
        self._clock = clock
        self._subscriptions: dict[Peer, _Subscription] = {}
        self._address_subscriptions: dict[Peer, set[str]] = {}

    def add(self, peer: Peer) -> int:
        """Return the client id of the peer, the old one when it is known.

        A full table forgets the one that was silent longest, and of those equally silent the one that subscribed
        first: patches that were closed without a word must not keep new ones out.
        """
        table = self._subscriptions
        known = table.pop(peer, None)
        if known is None and len(table) >= MAX_SUBSCRIBERS:
            del table[min(table, key=lambda other: table[other].last_seen)]
        client_id = known.client_id if known else self._free_id()
        table[peer] = _Subscription(client_id, self._clock())
        return client_id

    def find(self, peer: Peer) -> int | None:
        """Return the client id of a peer, None when it is unknown."""
        subscription = self._subscriptions.get(peer)
        return subscription.client_id if subscription else None

    def remove(self, peer: Peer) -> None:
        """Forget a peer; no harm when it is unknown."""
        self._subscriptions.pop(peer, None)

    def listen(self, peer: Peer, address: str) -> None:
        """Send the peer everything that is sent with this address from now on, whoever asked for it."""
        self._address_subscriptions.setdefault(peer, set()).add(address)

    def ignore(self, peer: Peer, address: str) -> None:
        """Undo `listen`; no harm when the peer does not listen."""
        self._address_subscriptions.get(peer, set()).discard(address)

    def disconnect(self, peer: Peer) -> None:
        """Forget a peer whose connection closed: nothing is sent to it any more."""
        self.remove(peer)
        self._address_subscriptions.pop(peer, None)

    def __contains__(self, peer: Peer) -> bool:
        return peer in self._subscriptions

    def listeners(self, address: str) -> list[Peer]:
        """Return the peers that listen to an address."""
        return [peer for peer, addresses in self._address_subscriptions.items() if address in addresses]

    def touch(self, host: str) -> None:
        """Keep the subscribers of a host that a packet came from, and forget others that were silent too long."""
        now = self._clock()
        for peer, subscription in list(self._subscriptions.items()):
            if peer.host == host:
                self._subscriptions[peer] = replace(subscription, last_seen=now)
            elif now - subscription.last_seen > EXPIRY_S:
                del self._subscriptions[peer]

    def except_for(self, peers: Collection[Peer], address: str = "") -> list[Peer]:
        """Return every subscriber and every listener of the address that is none of `peers`.

        Those get the events of their own jobs without a subscription.
        """
        return [peer for peer in dict.fromkeys([*self._subscriptions, *self.listeners(address)]) if peer not in peers]

    def for_reply(self, sender: Peer, address: str = "") -> list[Peer]:
        """Return who gets the reply to a command: its sender, its host's subscribers, and the address's listeners.

        A Max or Pure Data patch receives on another socket than it sends with, and would not get it otherwise. When
        nobody sent the command, as for MIDI, every subscriber gets the reply.
        """
        if sender == NOBODY:
            return self.except_for((sender,), address)
        same_host = (peer for peer in self._subscriptions if peer.host == sender.host)
        return list(dict.fromkeys([sender, *same_host, *self.listeners(address)]))

    def _free_id(self) -> int:
        taken = {subscription.client_id for subscription in self._subscriptions.values()}
        return next(i for i in range(MAX_SUBSCRIBERS) if i not in taken)
