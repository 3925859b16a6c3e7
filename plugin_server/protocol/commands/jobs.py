"""`/generate`, `/cancel` and `/sync`: requests into the queue, out of it, and to its end."""

import asyncio
from collections.abc import Sequence

from plugin_server.audio.playback.player import Player
from plugin_server.errors import BadArgument
from plugin_server.protocol.access import check_images
from plugin_server.protocol.arguments import WHOLE_NUMBERS, as_text, as_whole, at_most_one
from plugin_server.protocol.generate_arguments import parse_generate
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import Argument, LiveRange, Row, request_arguments
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.jobs import Jobs
from plugin_server.studio.requests import NAMED_ATTRIBUTES, Generate

ROWS = (
    Row(
        "/generate",
        "make a clip, or several takes, from words, from pictures (@image, absolute paths on this machine) or from "
        "both; a number after the words is its length in seconds, unless they are not quoted and no clip can be that "
        "long, as in: kick 808",
        (Argument("prompt"), Argument("seconds", "f", LiveRange.LENGTHS, optional=True)),
        request_arguments(NAMED_ATTRIBUTES),
        replies=("/queued", "/progress", "/clip", "/done"),
    ),
    Row(
        "/cancel",
        "stop one job, the running one, or all",
        (Argument("job", words=("all",), optional=True),),
    ),
    Row(
        "/sync",
        "answered when every job asked for before has ended",
        (Argument("id", "i", WHOLE_NUMBERS, optional=True),),
        replies=("/synced",),
        is_read_only=True,
    ),
)
"""Rows of the address table that this file answers."""


class JobCommands:
    """Handlers of the addresses of jobs."""

    def __init__(self, jobs: Jobs, generator: ClipGenerator, player: Player, events: JobEvents) -> None:
        self._jobs, self._generator, self._player, self._events = jobs, generator, player, events

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {"/generate": self._generate, "/cancel": self._cancel, "/sync": self._sync}

    def submit_checked(self, peer: Peer, request: Generate) -> None:
        """Queue a request that the model can serve, from any thread.

        Lengths and names that it cannot serve are refused at once, not after a wait in the queue. Raises what
        `ClipGenerator.check` and the queue raise.
        """
        self._generator.check(request)
        self._events.submit(peer, request)

    def _generate(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        check_images(arguments, peer)
        request = parse_generate(arguments, lambda model: self._generator.card(model).lengths, lambda: self._player.bpm)
        self.submit_checked(peer, request)
        return ()

    def _cancel(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        which = at_most_one("job", arguments)
        if which is None:
            running = self._jobs.active()[:1]
            if not running:
                raise BadArgument("job: got nothing, and no job waits or runs")
            which = running[0].id
        if which == "all":
            return [("/done", "/cancel", "all", self._jobs.cancel_all())]
        job = self._jobs.cancel(as_text("job", which))
        return [("/done", "/cancel", job.id)]

    def _sync(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        which = at_most_one("id", arguments)
        synced: Reply = ("/synced", 0 if which is None else as_whole("id", which))
        ends = self._events.watch_active()
        return _reply_after(ends, synced) if ends else [synced]


async def _reply_after(ends: Sequence[asyncio.Future[None]], reply: Reply) -> list[Reply]:
    await asyncio.wait(ends)
    return [reply]
