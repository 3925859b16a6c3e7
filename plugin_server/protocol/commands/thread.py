"""Work that may wait for files, a device or another process: done in one thread beside the loop, in order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from plugin_server.errors import ClipsonicError, QueueFull

MAX_WAITING = 256
"""Commands that may wait for one thread."""
T = TypeVar("T")


class Executor(Protocol):
    """A thread that does one piece of work after another."""

    def submit(self, work: Callable[[], T], /) -> Future[T]:
        """Do the work after what was submitted before. Raises RuntimeError once the thread was stopped."""
        ...


class CommandThread:
    """One thread, and the commands that wait for it. Its methods belong to the loop, but for `stop`."""

    def __init__(self, name: str, executor: Executor | None = None) -> None:
        """`executor` is the thread when somebody else owns and stops it; else it is one of this object's own."""
        self._name = name
        self._own = ThreadPoolExecutor(1, name)
        self._executor: Executor = executor or self._own
        self._n_waiting = 0

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Submit work at once, to be awaited: results come in the order of the calls.

        Raises QueueFull when too many commands wait, and ClipsonicError once the thread was stopped.
        """
        if self._n_waiting >= MAX_WAITING:
            raise QueueFull(f"{MAX_WAITING} commands wait for the {self._name} already; try again later")
        try:
            future = self._executor.submit(work)
        except RuntimeError as error:
            raise ClipsonicError("the daemon is being stopped") from error
        self._n_waiting += 1
        result = asyncio.wrap_future(future)
        result.add_done_callback(self._count_down)
        return result

    def stop(self) -> None:
        """Do what waits, then nothing more; from any thread, and not needed where somebody else owns the thread."""
        self._own.shutdown()

    def _count_down(self, _result: asyncio.Future[T]) -> None:
        self._n_waiting -= 1
