"""Messages of bundles with a time tag, which wait for their time."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

from plugin_server.errors import BadArgument, QueueFull
from plugin_server.protocol.packets import Message
from plugin_server.protocol.subscribers import Peer

MAX_AHEAD_S = 60.0
"""Seconds that a bundle may be ahead."""
MIN_COST = 512
"""Bytes that a message which waits counts for at least."""
MAX_COST = 2**20
"""Bytes of a peer's messages that may wait."""
MAX_COST_OF_ALL = 8 * 2**20
UNIX_EPOCH = 2_208_988_800
"""Seconds from 1900, where time tags begin, to 1970."""

OnTime = Callable[[Message, Peer], None]


class TimedMessages:
    """The messages that wait. Every method belongs to the event loop."""

    def __init__(
        self, on_time: OnTime, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.time
    ) -> None:
        """Call `on_time` with each message at its time; `clock` returns seconds since 1970, as clients have them."""
        self._on_time, self._loop, self._clock = on_time, loop, clock
        self._timers: dict[asyncio.TimerHandle, tuple[Peer, int]] = {}
        self._costs: Counter[Peer] = Counter()

    def __contains__(self, peer: object) -> bool:
        """Return whether a message of a peer waits."""
        return peer in self._costs

    def seconds_ahead(self, messages: Sequence[Message]) -> list[float]:
        """Return how long each message has to wait, 0 or less for those that are due.

        Raises BadArgument when one is farther ahead than MAX_AHEAD_S.
        """
        now = self._clock() + UNIX_EPOCH
        ahead = [message.time_tag / 2**32 - now for message in messages]
        if (farthest := max(ahead, default=0.0)) > MAX_AHEAD_S:
            raise BadArgument(
                f"time tag: got a bundle for {farthest:.0f} s from now, expected at most {MAX_AHEAD_S:g} s"
            )
        return ahead

    def add(self, message: Message, peer: Peer, ahead_s: float, size: int) -> None:
        """Have a message of `size` bytes wait. Raises QueueFull when too many do."""
        cost = max(size, MIN_COST)
        if self._costs[peer] + cost > MAX_COST or self._costs.total() + cost > MAX_COST_OF_ALL:
            raise QueueFull(f"{len(self._timers)} messages wait for their time already; send bundles later")
        self._costs[peer] += cost
        timer: asyncio.TimerHandle = self._loop.call_later(ahead_s, lambda: self._fire(timer, message))
        self._timers[timer] = peer, cost

    def disconnect(self, peer: Peer) -> None:
        """Drop the messages of a peer that is gone."""
        for timer in [timer for timer, (whose, _) in self._timers.items() if whose == peer]:
            self._remove(timer).cancel()

    def stop(self) -> None:
        """Drop all messages that wait."""
        for timer in list(self._timers):
            timer.cancel()
        self._timers.clear()
        self._costs.clear()

    def _fire(self, timer: asyncio.TimerHandle, message: Message) -> None:
        peer, _ = self._timers[timer]
        self._remove(timer)
        self._on_time(message, peer)

    def _remove(self, timer: asyncio.TimerHandle) -> asyncio.TimerHandle:
        peer, cost = self._timers.pop(timer)
        self._costs[peer] -= cost
        if not self._costs[peer]:
            del self._costs[peer]
        return timer
