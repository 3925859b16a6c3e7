"""A daemon in a thread of this process, for benchmarks and tests that look inside it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from plugin_server.server import Daemon

START_S = 20.0
"""Longest time that a daemon may take until it listens."""
STOP_S = 20.0


@contextmanager
def daemon_in_thread(open_daemon: Callable[[], AbstractAsyncContextManager[Daemon]]) -> Iterator[Daemon]:
    """Run a daemon on the event loop of a thread of its own until the block ends.

    Args:
        open_daemon: Opens the daemon, as `run_daemon` of plugin_server.server with its arguments bound.

    Raises:
        TimeoutError: It does not listen within START_S, or does not stop within STOP_S.
        Exception: Whatever opening the daemon or closing it raises.
    """
    runner = _Runner(open_daemon)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    if not runner.is_ready.wait(START_S):
        raise TimeoutError(f"the daemon did not listen within {START_S:g} s")
    try:
        if runner.daemon is not None:
            yield runner.daemon
    finally:
        runner.stop()
        thread.join(STOP_S)
    if runner.error:
        raise runner.error
    if thread.is_alive():
        raise TimeoutError(f"the daemon did not stop within {STOP_S:g} s")


class _Runner:
    """The loop in the thread, and what became of it."""

    def __init__(self, open_daemon: Callable[[], AbstractAsyncContextManager[Daemon]]) -> None:
        self._open_daemon = open_daemon
        self._loop, self._stopping = asyncio.new_event_loop(), asyncio.Event()
        self.is_ready = threading.Event()
        self.daemon: Daemon | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:
            # Of every kind: the thread that waits raises it.
            self.error = error
        finally:
            self._loop.close()
            self.is_ready.set()

    async def _serve(self) -> None:
        async with self._open_daemon() as self.daemon:
            self.is_ready.set()
            await self._stopping.wait()

    def stop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
