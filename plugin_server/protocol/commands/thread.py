"""Work that may wait for files, a device or another process: done in one thread beside the loop, in order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from plugin_server.errors import Cancelled, QueueFull

MAX_WAITING = 256
"""Commands that may wait for one thread."""
STOP_S = 1.0
"""Seconds that commands which wait have to be done when the thread is stopped."""
T = TypeVar("T")
OnLoop = Callable[..., None]
"""Has the event loop call a function with arguments soon; from any thread."""


class Executor(Protocol):
    """A thread that does one piece of work after another."""

    def submit(self, work: Callable[[], None], /) -> object:
        """Do the work after what was submitted before. Raises RuntimeError once the thread was stopped."""
        ...


class CommandThread:
    """One thread, and the commands that wait for it. Its methods belong to the loop, but for `stop`."""

    def __init__(self, name: str, on_loop: OnLoop, executor: Executor | None = None) -> None:
        """`executor` is the thread when somebody else owns and stops it; else it is one of this object's own."""
        self._name, self._on_loop = name, on_loop
        self._own = ThreadPoolExecutor(1, name)
        self._executor: Executor = executor or self._own
        self._n_waiting = 0

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Submit work at once, to be awaited: results come in the order of the calls.

        Raises QueueFull when too many commands wait, and Cancelled once the thread was stopped.
        """
        if self._n_waiting >= MAX_WAITING:
            raise QueueFull(f"{MAX_WAITING} commands wait for the {self._name} already; try again later")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            # Nothing comes after it: what Python does here meanwhile, the thread waits for.
            self._executor.submit(partial(self._work, work, result))
        except RuntimeError as error:
            raise Cancelled("the daemon is being stopped") from error
        self._n_waiting += 1
        return result

    async def settle(self) -> None:
        """Wait until all that was submitted before is done, and what it had the loop call in order was called."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with suppress(QueueFull, Cancelled):
            self.call_last(partial(_set_done, settled))
            await settled

    def call_last(self, work: Callable[[], object]) -> None:
        """Have the loop call `work` when all that was submitted before is done, and what that sends was sent.

        Raises what `run` raises.
        """
        # One turn after what was called in order, which sends by way of the loop.
        self.run(partial(self.call_in_order, _soon, work))

    def call_in_order(self, work: Callable[..., object], *arguments: object) -> None:
        """Have the loop call `work` after those who wait for earlier work went on; from this thread."""
        self._on_loop(_soon, _soon, work, *arguments)

    def stop(self, longest_s: float = STOP_S) -> None:
        """Do what waits, but not for long, then nothing more; what is left of it is never answered.

        From any thread, and not needed where somebody else owns the thread.
        """
        last = self._own.submit(lambda: None)
        self._own.shutdown(wait=False)
        wait([last], longest_s)
        self._own.shutdown(wait=False, cancel_futures=True)

    def _work(self, work: Callable[[], T], result: asyncio.Future[T]) -> None:
        """Work in the thread, and have the loop deliver what came of it."""
        try:
            value = work()
        except Exception as error:
            self._on_loop(_soon, self._fail, result, error)
        else:
            self._on_loop(_soon, self._succeed, result, value)

    def _succeed(self, result: asyncio.Future[T], value: T) -> None:
        self._n_waiting -= 1
        if not result.cancelled():
            result.set_result(value)

    def _fail(self, result: asyncio.Future[T], error: Exception) -> None:
        self._n_waiting -= 1
        if not result.cancelled():
            result.set_exception(error)


def _set_done(result: asyncio.Future[None]) -> None:
    # Who waited for it may have given up.
    if not result.done():
        result.set_result(None)


def _soon(work: Callable[..., object], *arguments: object) -> None:
    """Call `work` in the loop's next turn.

    Whoever was given a future in this turn awaits it by then. One that were done before would be answered at once, and
    so before those asked for earlier, who are woken in the turn after.
    """
    asyncio.get_running_loop().call_soon(work, *arguments)
