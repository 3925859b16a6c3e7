"""Work that may wait for files or for another process: done in one thread beside the loop, and answered in the order in
which it was asked."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from plugin_server.errors import ClipsonicError, QueueFull
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.subscribers import Peer

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""Commands that may wait for a clerk."""

Reply = tuple[str, *tuple[str | int | float, ...]]
"""Address and arguments."""
Handler = Callable[[Peer, Sequence[Atom]], None]
Work = Callable[[Peer, Sequence[Atom]], list[Reply]]


class Answers(Protocol):
    """The way back to who asked."""

    def later(self, work: Callable[[], None]) -> None: ...

    def reply(self, peer: Peer, address: str, *arguments: str | int | float) -> None: ...

    def fail(self, peer: Peer, address: str, error: ClipsonicError) -> None: ...


class CommandThread:
    """One thread, and the commands that wait for it. To be called on the loop."""

    def __init__(self, name: str, answers: Answers) -> None:
        self._name, self._answers = name, answers
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting = 0

    def handlers(self, works: dict[str, Work]) -> dict[str, Handler]:
        """What answers each address by the work that is done for it."""
        return {address: self._handler(address, work) for address, work in works.items()}

    def do(self, peer: Peer, address: str, work: Callable[[], list[Reply]]) -> None:
        """Work in the thread, and tell what comes of it; a /fail when too many wait, or once `stop` was called."""
        if self._waiting >= MAX_WAITING:
            told = f"{MAX_WAITING} commands wait for the {self._name} already; try again later"
            self._answers.fail(peer, address, QueueFull(told))
            return
        try:
            self._thread.submit(self._do, peer, address, work)
        except RuntimeError:
            self._answers.fail(peer, address, ClipsonicError("the daemon is being stopped"))
        else:
            self._waiting += 1

    def stop(self) -> None:
        """Do what waits, then nothing more."""
        self._thread.shutdown()

    def _handler(self, address: str, work: Work) -> Handler:
        return lambda peer, arguments: self.do(peer, address, lambda: work(peer, arguments))

    def _do(self, peer: Peer, address: str, work: Callable[[], list[Reply]]) -> None:
        """In the thread: work, and let the loop tell what came of it."""
        try:
            replies = work()
        except ClipsonicError as error:
            self._answers.later(partial(self._refuse, peer, address, error))
        except Exception as error:
            log.exception("%s", address)
            told = ClipsonicError(f"something unforeseen went wrong: {error!r}")
            self._answers.later(lambda: self._refuse(peer, address, told))
        else:
            self._answers.later(lambda: self._tell(peer, replies))

    def _refuse(self, peer: Peer, address: str, error: ClipsonicError) -> None:
        self._waiting -= 1
        self._answers.fail(peer, address, error)

    def _tell(self, peer: Peer, replies: list[Reply]) -> None:
        self._waiting -= 1
        for address, *arguments in replies:
            self._answers.reply(peer, address, *arguments)
