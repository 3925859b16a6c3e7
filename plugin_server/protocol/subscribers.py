"""Who gets which replies. A bounded table with expiry, never one 'last client'."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

EXPIRY_S = 3600.0
"""A subscriber whose host has not been heard for this many seconds is forgotten. Every packet from a host counts for
all its subscribers, since a patch may receive on a socket that it never sends with."""
MAX_SUBSCRIBERS = 64


class Peer(Protocol):
    """Someone who can be answered: a UDP address and port, or a TCP connection."""

    @property
    def host(self) -> str:
        """The address that packets come from, without a port; "" for nobody."""
        ...

    def send(self, packet: bytes) -> None:
        """Send now, or not at all when the peer is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Nobody:
    """Stands for the asker where no message came, as for MIDI."""

    host: str = ""

    def send(self, packet: bytes) -> None:
        """Do nothing."""


NOBODY = Nobody()


@dataclass(frozen=True, slots=True)
class _Subscription:
    client_id: int
    heard: float


class Subscribers:
    """Peers that asked by /notify to hear of every job."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._table: dict[Peer, _Subscription] = {}
        self._ears: dict[Peer, set[str]] = {}

    def add(self, peer: Peer) -> int:
        """Client id of the peer, the old one when it is known.

        A full table forgets the one that was silent longest, and of those equally silent the one that subscribed
        first: patches that were closed without a word must not keep new ones out.
        """
        known = self._table.pop(peer, None)
        if known is None and len(self._table) >= MAX_SUBSCRIBERS:
            del self._table[min(self._table, key=lambda other: self._table[other].heard)]
        taken = {subscription.client_id for subscription in self._table.values()}
        client_id = known.client_id if known else next(i for i in range(MAX_SUBSCRIBERS) if i not in taken)
        self._table[peer] = _Subscription(client_id, self._clock())
        return client_id

    def remove(self, peer: Peer) -> None:
        """Forget a peer; no harm when it is unknown."""
        self._table.pop(peer, None)

    def listen(self, peer: Peer, address: str) -> None:
        """From now on the peer gets everything that is sent with this address, whoever asked for it."""
        self._ears.setdefault(peer, set()).add(address)

    def ignore(self, peer: Peer, address: str) -> None:
        """The opposite of `listen`; no harm when the peer does not listen."""
        self._ears.get(peer, set()).discard(address)

    def left(self, peer: Peer) -> None:
        """The peer's connection closed: nothing is sent to it any more."""
        self.remove(peer)
        self._ears.pop(peer, None)

    def listeners(self, address: str) -> list[Peer]:
        """Who listens to an address."""
        return [peer for peer, addresses in self._ears.items() if address in addresses]

    def heard(self, host: str) -> None:
        """A packet came from `host`: its subscribers live on, and others that were silent too long go."""
        now = self._clock()
        for peer, subscription in list(self._table.items()):
            if peer.host == host:
                self._table[peer] = replace(subscription, heard=now)
            elif now - subscription.heard > EXPIRY_S:
                del self._table[peer]

    def all_but(self, peers: Collection[Peer], address: str = "") -> list[Peer]:
        """Every subscriber, and who listens to the address, that is none of `peers`, which hear of their jobs
        without subscribing."""
        return [peer for peer in dict.fromkeys([*self._table, *self.listeners(address)]) if peer not in peers]

    def for_reply(self, asker: Peer, address: str = "") -> list[Peer]:
        """Who gets the answer to a question: the asker, its host's subscribers, and who listens to the address.

        A Max or Pure Data patch receives on another socket than it sends with, and would not hear it otherwise. When
        nobody asked, as for MIDI, every subscriber gets it.
        """
        if asker == NOBODY:
            return self.all_but((asker,), address)
        own = (peer for peer in self._table if peer.host == asker.host)
        return list(dict.fromkeys([asker, *own, *self.listeners(address)]))
