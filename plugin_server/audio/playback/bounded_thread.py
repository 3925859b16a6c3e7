"""A thread that does one piece of work after another: only so many wait, and none keeps the program from ending."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import ParamSpec, TypeVar

from plugin_server.errors import QueueFull

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_Work = tuple[Future[object], Callable[[], object]]


class BoundedThread:
    """One thread and the work that waits for it. Every method may be called from any thread."""

    def __init__(self, name: str, limit: int, on_idle: Callable[[], None], idle_s: float) -> None:
        """Take what it does, and start nothing yet.

        Args:
            name: Name of the thread.
            limit: Pieces of work that may wait.
            on_idle: Called in the thread about every `idle_s` seconds, between two pieces of work.
            idle_s: Seconds.
        """
        self._name, self._limit, self._on_idle, self._idle_s = name, limit, on_idle, idle_s
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._is_closed = False

    def submit(self, work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Have work done after what waits. Raises QueueFull when too much does, RuntimeError after `close`."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError(f"the {self._name} thread was stopped")
            if self._waiting.qsize() >= self._limit:
                raise QueueFull(f"{self._limit} commands wait for the {self._name} already; try again later")
            self._put(future, partial(work, *arguments, **named))
        return future

    def close(self, last: Callable[[], None], timeout_s: float) -> bool:
        """Cancel what waits, do one last thing and end; return False when that took longer than `timeout_s`.

        A thread that hangs is left behind: the program ends without it.
        """
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._cancel_all()
                self._put(Future(), last)
                self._waiting.put(None)
            thread = self._thread
        if thread:
            thread.join(timeout_s)
        return not (thread and thread.is_alive())

    def _put(self, future: Future[T], work: Callable[[], T]) -> None:
        self._waiting.put((future, work))  # type: ignore[arg-type]  # each future gets what its own work returns
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _cancel_all(self) -> None:
        while True:
            try:
                waiting = self._waiting.get_nowait()
            except Empty:
                return
            if waiting:
                waiting[0].cancel()

    def _run(self) -> None:
        next_look = time.monotonic() + self._idle_s
        while True:
            try:
                waiting = self._waiting.get(timeout=self._idle_s)
                if waiting is None:
                    return
                _do(*waiting)
                # What was done, and all that it holds, is not kept until there is more to do.
                del waiting
            except Empty:
                pass
            if time.monotonic() >= next_look:
                try:
                    self._on_idle()
                except Exception:
                    log.exception("%s", self._name)
                next_look = time.monotonic() + self._idle_s


def _do(future: Future[object], work: Callable[[], object]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
