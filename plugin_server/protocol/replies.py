"""The way back: what commands answer becomes packets for those who asked and for those who follow."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from plugin_server.errors import BadArgument, Cancelled, ClipsonicError, DuplicateJob, one_line, unforeseen
from plugin_server.protocol.arguments import as_whole
from plugin_server.protocol.packets import Atom, encode_message
from plugin_server.protocol.subscribers import Peer, PeerOnPort, Subscribers
from plugin_server.protocol.table import PORTS

log = logging.getLogger(__name__)

MAX_ECHO = 80
"""Characters of an address that are sent back."""
MAX_SENTENCE = 1000
"""Characters of a sentence: even with four bytes each, a reply stays under the 9216 bytes that macOS lets through."""
STOP_S = 0.3
"""Seconds that commands have to answer when the daemon stops."""

Reply = tuple[str, *tuple[str | int | float, ...]]
"""Address and arguments of a message that is sent."""
Answer = Iterable[Reply] | Awaitable[Iterable[Reply]]
"""What a command answers, or where that is awaited."""
Handler = Callable[[Peer, Sequence[Atom]], Answer]
"""Runs a command, on the loop. What lasts goes on in what it returns, so that the next command need not wait."""


class Replies:
    """Sends replies. Every method belongs to the event loop, but for `on_loop`."""

    def __init__(self, subscribers: Subscribers, loop: asyncio.AbstractEventLoop) -> None:
        self._subscribers, self._loop = subscribers, loop
        self._tasks: dict[asyncio.Task[None], Peer] = {}
        self.n_sent = 0
        """Packets that were sent in answer to commands."""

    def on_loop(self, work: Callable[..., object], *arguments: object) -> None:
        """Have the event loop call `work` soon; from any thread."""
        self._loop.call_soon_threadsafe(work, *arguments)

    def run(self, peer: Peer, address: str, command: Callable[[], Answer], job: str = "") -> None:
        """Run a command and send what it answers, or why it failed.

        Args:
            peer: Who asked.
            address: Address of the command, which failures name.
            command: Runs at once, and what it returns is awaited beside other commands.
            job: Id that the request chose, which a failure at once names.
        """
        try:
            answer = command()
            if isinstance(answer, Awaitable):
                self._start(peer, address, answer)
            else:
                self._send_all(peer, answer)
        except DuplicateJob as error:
            # The job that has this id goes on.
            self.fail(peer, address, error)
        except ClipsonicError as error:
            self.fail(peer, address, error, job)
        except Exception as error:
            self._fail_unforeseen(peer, address, error)

    def send(self, peer: Peer, address: str, *arguments: str | int | float) -> None:
        """Answer who asked, its host's subscribers and all who listen to the address.

        Raises BadArgument, and sends nothing, when OSC cannot hold an argument.
        """
        packet = encode_message(address, *arguments)
        listeners = self._subscribers.for_reply(peer, address)
        self.n_sent += len(listeners)
        for listener in listeners:
            # By way of the loop, as events come from other threads: so that nothing overtakes what was sent before.
            self._loop.call_soon(listener.send, packet)

    def fail(self, peer: Peer, address: str, error: ClipsonicError, job: str = "") -> None:
        """Send why a command cannot be done."""
        self.send(peer, "/fail", one_line(address[:MAX_ECHO]), error.code, str(error)[:MAX_SENTENCE], one_line(job))

    def announce(self, peers: Collection[Peer], address: str, *arguments: str | int | float) -> None:
        """Send something new to these peers, to all subscribers and to all who listen to the address.

        When OSC cannot hold an argument, they are sent `/fail` in its stead.
        """
        packet = encode_or_fail(address, *arguments)
        for listener in dict.fromkeys([*peers, *self._subscribers.except_for(peers, address)]):
            self._loop.call_soon(listener.send, packet)

    def is_awaited(self, peer: Peer) -> bool:
        """Return whether a command of a peer is not answered yet."""
        return peer in self._tasks.values()

    async def drain(self) -> None:
        """Wait for the commands that are not answered yet, not long, and answer those that last with `/fail`."""
        if self._tasks:
            _, unanswered = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in unanswered:
                task.cancel()
            # Each sends why in its next turn.
            await asyncio.sleep(0)

    def _start(self, peer: Peer, address: str, answer: Awaitable[Iterable[Reply]]) -> None:
        # At once: `CommandThread` counts on its first step in the loop's next turn.
        task = self._loop.create_task(self._await(peer, address, answer))
        # The loop holds tasks weakly.
        self._tasks[task] = peer
        task.add_done_callback(self._tasks.pop)

    async def _await(self, peer: Peer, address: str, answer: Awaitable[Iterable[Reply]]) -> None:
        try:
            self._send_all(peer, await answer)
        except asyncio.CancelledError:
            self.fail(peer, address, Cancelled("the daemon is being stopped"))
            raise
        except ClipsonicError as error:
            self.fail(peer, address, error)
        except Exception as error:
            self._fail_unforeseen(peer, address, error)

    def _send_all(self, peer: Peer, replies: Iterable[Reply]) -> None:
        for reply in replies:
            self.send(peer, *reply)

    def _fail_unforeseen(self, peer: Peer, address: str, error: Exception) -> None:
        log.exception("%s", address)
        self.fail(peer, address, unforeseen(error))


def encode_or_fail(address: str, *arguments: str | int | float, about: str = "", job: str = "") -> bytes:
    """Return a message as bytes, or a `/fail` about an address where OSC cannot hold one of the arguments."""
    try:
        return encode_message(address, *arguments)
    except BadArgument as error:
        log.exception("%s", address)
        return encode_message("/fail", about or address, error.code, str(error)[:MAX_SENTENCE], job)


class ReplyPorts:
    """Finds where a client wants to receive: a patch may receive on another port than it sends from."""

    def __init__(self) -> None:
        self.peer_on_port: PeerOnPort = lambda peer, _port: peer
        """Known once a UDP socket is open."""

    def find(self, peer: Peer, arguments: Sequence[Atom]) -> Peer:
        """Return the socket that was sent from, or the port that is the only argument. Raises BadArgument."""
        if not arguments:
            return peer
        return self.peer_on_port(peer, as_whole("port", arguments[0], PORTS))
