"""Replies over UDP, sent so slowly that a patch which prints each of them loses none.

The first of a burst go at once; the rest follows in small groups, in order. Others are not delayed by it. UDP does not
tell what was read: Pure Data prints some 900 packets a second, and has room for 170.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

BURST = 32
"""Packets that are sent at once: the smallest buffers of sockets hold about 50."""
GROUP, PAUSE_S = 8, 0.01
"""Packets that follow after each pause of so many seconds."""
MAX_GROUPS = 32
"""Groups that are sent in one turn of the event loop."""
MAX_BYTES = 2**20
"""Bytes that may wait for one receiver."""
MAX_BYTES_OF_ALL = 8 * 2**20
MANY = 512
"""Packets that wait for a receiver who asks for nothing more until they are sent."""

Receiver = tuple[str, int]
"""Host and port."""


@dataclass(slots=True)
class _Line:
    """The packets of one receiver."""

    credit: int = BURST
    """Packets that may be sent before the next pause."""
    waiting: deque[bytes] = field(default_factory=deque)
    n_bytes: int = 0


class Outgoing:
    """The lines of all receivers of one socket. Every method belongs to the event loop."""

    def __init__(self, send: Callable[[bytes, Receiver], object], loop: asyncio.AbstractEventLoop) -> None:
        """Take what sends one datagram, and the loop."""
        self._send, self._loop = send, loop
        self._lines: dict[Receiver, _Line] = {}
        self._n_bytes = 0
        self._timer: asyncio.Handle | None = None

    def send(self, packet: bytes, receiver: Receiver) -> None:
        """Send a packet as soon as the receiver may have it; it is dropped where too much waits."""
        line = self._lines.setdefault(receiver, _Line())
        if line.credit and not line.waiting:
            line.credit -= 1
            self._send(packet, receiver)
        elif line.n_bytes + len(packet) > MAX_BYTES or self._n_bytes + len(packet) > MAX_BYTES_OF_ALL:
            log.warning("too many replies wait for %s port %d: further ones are dropped", *receiver)
        else:
            line.waiting.append(packet)
            line.n_bytes += len(packet)
            self._n_bytes += len(packet)
        if not self._timer:
            self._timer = self._loop.call_later(PAUSE_S, self._refill)

    def heard_of(self, receiver: Receiver) -> None:
        """Let a receiver that sent something have a whole burst again: it asks anew once it has read the answer."""
        line = self._lines.get(receiver)
        if line and not line.waiting:
            line.credit = BURST

    def is_behind(self, receiver: Receiver) -> bool:
        """Return whether many packets wait for a receiver."""
        line = self._lines.get(receiver)
        return line is not None and len(line.waiting) >= MANY

    async def drain(self, timeout_s: float) -> None:
        """Send what waits, for at most so many seconds, and what is left then without pauses."""
        until = self._loop.time() + timeout_s
        while self._n_bytes and self._loop.time() < until:
            await asyncio.sleep(PAUSE_S)
        self.close()

    def close(self) -> None:
        """Send what waits without pauses, and forget all receivers."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        lines, self._lines, self._n_bytes = self._lines, {}, 0
        for receiver, line in lines.items():
            for packet in line.waiting:
                self._send(packet, receiver)

    def _refill(self) -> None:
        """Let every receiver have its next group, and forget those that needed none."""
        for receiver, line in list(self._lines.items()):
            if line.credit == BURST and not line.waiting:
                del self._lines[receiver]
            line.credit = min(line.credit + GROUP, BURST)
        self._send_groups()

    def _send_groups(self) -> None:
        """Send some groups, and the others in the next turns; then pause."""
        busy = [receiver for receiver, line in self._lines.items() if line.waiting and line.credit]
        for receiver in busy[:MAX_GROUPS]:
            line = self._lines[receiver]
            while line.waiting and line.credit:
                packet = line.waiting.popleft()
                line.credit -= 1
                line.n_bytes -= len(packet)
                self._n_bytes -= len(packet)
                self._send(packet, receiver)
        if len(busy) > MAX_GROUPS:
            self._timer = self._loop.call_soon(self._send_groups)
        else:
            self._timer = self._loop.call_later(PAUSE_S, self._refill) if self._lines else None
