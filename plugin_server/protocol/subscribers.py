"""Who gets which replies. A table with expiry, never one 'last client'."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

EXPIRY_S = 3600.0
"""A UDP subscriber whose host has not been heard for this long is forgotten."""
MAX_SUBSCRIBERS = 64


class Peer(Protocol):
    """Someone who can be answered: a UDP address and port, or a TCP connection."""

    host: str

    def send(self, packet: bytes) -> None:
        """Send now, or not at all when the peer is gone."""
        ...


@dataclass(frozen=True, slots=True)
class _Subscription:
    client_id: int
    heard: float


class Subscribers:
    """Peers that asked by /notify to hear of every job."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._table: dict[Peer, _Subscription] = {}

    def add(self, peer: Peer) -> int | None:
        """Client id of the peer, the old one when it is known; None when the table is full."""
        if peer not in self._table and len(self._table) >= MAX_SUBSCRIBERS:
            return None
        taken = {subscription.client_id for subscription in self._table.values()}
        known = self._table.get(peer)
        client_id = known.client_id if known else next(i for i in range(MAX_SUBSCRIBERS) if i not in taken)
        self._table[peer] = _Subscription(client_id, self._clock())
        return client_id

    def remove(self, peer: Peer) -> None:
        """Forget a peer; no harm when it is unknown."""
        self._table.pop(peer, None)

    def heard(self, host: str) -> None:
        """A packet came from `host`: its subscribers live on, and others that were silent too long go."""
        now = self._clock()
        for peer, subscription in list(self._table.items()):
            if peer.host == host:
                self._table[peer] = replace(subscription, heard=now)
            elif now - subscription.heard > EXPIRY_S:
                del self._table[peer]

    def for_events(self, asker: Peer) -> list[Peer]:
        """Who hears of a job: the one who asked, then every subscriber, each once."""
        return list(dict.fromkeys([asker, *self._table]))

    def for_reply(self, asker: Peer) -> list[Peer]:
        """Who gets the answer to a question: the asker, and its host's subscribers.

        A Max or Pure Data patch receives on another socket than it sends with, and would not hear it otherwise.
        """
        return list(dict.fromkeys([asker, *(peer for peer in self._table if peer.host == asker.host)]))
