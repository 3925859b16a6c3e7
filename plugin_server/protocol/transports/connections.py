"""The open connections of one kind: at most so many, of which the one that was silent longest goes for a new one."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that may wait to be accepted; beyond these a client tries again a second later."""
AT_ONCE = 16
"""Connections that are accepted in one turn of the loop: each has a file descriptor before it can be closed again."""
TELL_EVERY_S = 60.0
"""Seconds between two lines of the log about connections that were closed."""


class Connection(Protocol):
    """Can be closed to make room."""

    def make_room(self) -> None:
        """Close at once, without waiting for the other side."""
        ...

    def close(self) -> None:
        """Close once everything is sent to it."""
        ...


class Connections:
    """Connections in the order in which they were last heard of. Every method belongs to the event loop."""

    def __init__(self, kind: str, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Hold `limit` of a kind, which the log names; `clock` returns seconds."""
        self._kind, self._limit, self._clock = kind, limit, clock
        # A dictionary keeps its order.
        self._open: dict[Connection, None] = {}
        self._n_closed = 0
        self._told_at = -TELL_EVERY_S

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Add a new one, and close another where there are too many."""
        self._open[connection] = None
        while len(self._open) > self._limit:
            silent = next(iter(self._open))
            del self._open[silent]
            silent.make_room()
            self._n_closed += 1
            self._tell()

    def touch(self, connection: Connection) -> None:
        """Note that a connection was heard of."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget one that was closed; no harm when it is unknown."""
        self._open.pop(connection, None)

    def close(self) -> None:
        """Close all; each is removed once it is closed."""
        for connection in list(self._open):
            connection.close()

    def _tell(self) -> None:
        now = self._clock()
        if now - self._told_at >= TELL_EVERY_S:
            log.warning(
                "more than %d %s connections: closed %d that were silent longest",
                self._limit,
                self._kind,
                self._n_closed,
            )
            self._told_at, self._n_closed = now, 0
