"""Work that peers ask for: a queue for each of them, served in turns of the event loop, one command of each at a time.

A turn is short, so that no packet, and no peer, keeps the loop from the others. A peer that has not taken its replies
waits for the next turn.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from plugin_server.errors import ClipsonicError, QueueFull
from plugin_server.protocol.subscribers import Peer

log = logging.getLogger(__name__)

TURN_S = 0.004
"""Seconds of a turn, but for what its last command takes longer."""
MAX_COMMANDS = 128
"""Commands of a turn."""
MAX_REPLIES = 256
"""Replies of a turn, but for those of its last command: they are sent after it, each to all who follow."""
MAX_WAITING = 1024
"""Datagrams of a peer that may wait."""
MAX_BYTES = 256 * 1024
"""Bytes of a peer's datagrams that may wait."""
MAX_BYTES_OF_ALL = 8 * 2**20
MAX_PEERS = 1024
"""Peers of whom something waits."""
MAX_ARRIVALS = 64
"""Datagrams that are taken from the socket before a turn: those of others lie behind those of who sends fastest."""
RETRY_S = 0.01
"""Seconds until it is looked again whether a peer has taken its replies."""

Steps = Iterator[None]
"""Does one command a step."""


@dataclass(slots=True)
class _Queue:
    """The work of one peer: datagrams, or the packets of a stream."""

    waiting: deque[tuple[int, Steps]] = field(default_factory=deque)
    """Bytes, and what is to be done."""
    n_bytes: int = 0
    stream: Iterator[bytes] | None = None
    steps: Steps | None = None
    """The work that has begun."""
    is_told: bool = False
    """Whether the peer was told that its queue is full."""


class Incoming:
    """The queues of all peers. Every method belongs to the event loop."""

    def __init__(
        self,
        answer: Callable[[bytes, Peer], Steps],
        refuse: Callable[[Peer, ClipsonicError], None],
        loop: asyncio.AbstractEventLoop,
        n_replies: Callable[[], int] = lambda: 0,
    ) -> None:
        """Take what answers a packet in steps, what sends a refusal, the loop, and what counts all replies so far."""
        self._answer, self._refuse, self._loop, self._n_replies = answer, refuse, loop, n_replies
        self._queues: dict[Peer, _Queue] = {}
        self._n_bytes = 0
        self._next_turn: asyncio.Handle | None = None
        self._is_next_turn_later = False
        self._n_arrived, self._n_put_off = 0, 0
        self._rests_until = 0.0

    def __contains__(self, peer: object) -> bool:
        """Return whether something of a peer waits."""
        return peer in self._queues

    def receive(self, packet: bytes, peer: Peer) -> None:
        """Answer a datagram in its turn; at once when nothing waits. One too many is dropped, and the first told."""
        self._n_arrived += 1
        queue = self._queue_of(peer)
        if queue is None:
            return
        size = len(packet)
        is_full = len(queue.waiting) >= MAX_WAITING or queue.n_bytes + size > MAX_BYTES
        if is_full or self._n_bytes + size > MAX_BYTES_OF_ALL:
            self._drop(queue, peer)
        else:
            self._put(queue, size, self._answer(packet, peer))
        self._wake()

    def follow(self, packets: Iterator[bytes], peer: Peer) -> None:
        """Answer the packets of a stream, each in its turn, up to the end of the iterator.

        It is asked for a packet when that before is answered: who brings the stream pauses it until then.
        """
        if queue := self._queue_of(peer):
            queue.stream = packets
            self._wake()

    def resume(self, steps: Steps, peer: Peer) -> None:
        """Do something for a peer in its turn, after what waits."""
        if queue := self._queue_of(peer):
            self._put(queue, 0, steps)
            self._wake()

    def disconnect(self, peer: Peer) -> None:
        """Drop what waits of a peer that is gone."""
        if queue := self._queues.pop(peer, None):
            self._n_bytes -= queue.n_bytes

    def stop(self) -> None:
        """Drop all that waits."""
        for peer in list(self._queues):
            self.disconnect(peer)
        if self._next_turn:
            self._next_turn.cancel()
            self._next_turn = None

    def _queue_of(self, peer: Peer) -> _Queue | None:
        """Return the queue of a peer; None for a new one that is too many."""
        if peer not in self._queues:
            if len(self._queues) >= MAX_PEERS:
                log.warning("packets of more than %d peers wait: those of others are dropped", MAX_PEERS)
                return None
            self._queues[peer] = _Queue()
        return self._queues[peer]

    def _put(self, queue: _Queue, size: int, steps: Steps) -> None:
        queue.waiting.append((size, steps))
        queue.n_bytes += size
        self._n_bytes += size

    def _drop(self, queue: _Queue, peer: Peer) -> None:
        if queue.is_told:
            return
        queue.is_told = True
        log.warning("too many packets of %s wait: further ones are dropped", peer.host)
        self._refuse(peer, QueueFull(f"{len(queue.waiting)} of your packets wait already; others were dropped"))

    def _wake(self) -> None:
        """Have a turn now when the loop rests, else in its next round."""
        if self._next_turn:
            if not self._is_next_turn_later:
                return
            self._next_turn.cancel()
            self._next_turn = None
        if time.perf_counter() >= self._rests_until:
            self._turn()
        else:
            self._schedule()

    def _schedule(self) -> None:
        self._is_next_turn_later = False
        self._next_turn = self._loop.call_soon(self._turn_of_loop)

    def _turn_of_loop(self) -> None:
        """Have a turn, unless datagrams still arrive: the loop takes one from the socket in each of its rounds."""
        self._next_turn = None
        if self._n_arrived and self._n_put_off < MAX_ARRIVALS:
            self._n_arrived = 0
            self._n_put_off += 1
            self._schedule()
        else:
            self._turn()

    def _turn(self) -> None:
        began = time.perf_counter()
        self._n_arrived, self._n_put_off = 0, 0
        ready = deque(peer for peer in self._queues if not peer.is_behind)
        n_done = 0
        n_replies = self._n_replies()
        while (
            ready
            and n_done < MAX_COMMANDS
            and self._n_replies() < n_replies + MAX_REPLIES
            and time.perf_counter() < began + TURN_S
        ):
            peer = ready.popleft()
            self._step(peer)
            n_done += 1
            if peer in self._queues and not peer.is_behind:
                ready.append(peer)
        ended = time.perf_counter()
        # Who comes at once after a long turn waits as long: others' packets may lie in the socket.
        self._rests_until = 2 * ended - began
        if ready:
            self._schedule()
        elif self._queues:
            self._is_next_turn_later = True
            self._next_turn = self._loop.call_later(RETRY_S, self._turn_of_loop)

    def _step(self, peer: Peer) -> None:
        """Do one command of a peer, who goes to the end of the row."""
        queue = self._queues.pop(peer)
        if queue.steps is None:
            queue.steps = self._next_steps(queue, peer)
        if queue.steps is None:
            return
        self._queues[peer] = queue
        try:
            next(queue.steps)
        except StopIteration:
            queue.steps = None
        except Exception:
            log.exception("a packet of %s", peer.host)
            queue.steps = None

    def _next_steps(self, queue: _Queue, peer: Peer) -> Steps | None:
        if queue.waiting:
            size, steps = queue.waiting.popleft()
            queue.n_bytes -= size
            self._n_bytes -= size
            return steps
        packet = next(queue.stream, None) if queue.stream else None
        return None if packet is None else self._answer(packet, peer)
