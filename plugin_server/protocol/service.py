"""What each address does: a message and its sender in, replies out. Runs on the event loop, computes nothing."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_server import __version__
from plugin_server.engine.bundles import list_bundles
from plugin_server.engine.worker import Engine
from plugin_server.errors import BadArgument, ClipsonicError, DuplicateJob
from plugin_server.protocol.osc import ADDRESSES, TABLE, as_text, as_whole, find_id, match_addresses, parse_generate
from plugin_server.protocol.packets import Atom, Message, decode_packet, encode_message
from plugin_server.protocol.subscribers import MAX_SUBSCRIBERS, Peer, Subscribers
from plugin_server.studio.jobs import ClipMade, Done, Event, Failed, Job, Jobs, Progress, Queued
from plugin_server.studio.studio import Studio

log = logging.getLogger(__name__)

PeerOnPort = Callable[[Peer, int], Peer]
"""The same host on another UDP port."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The rooms that the service talks to."""

    jobs: Jobs
    studio: Studio
    engine: Engine
    bundle_folders: tuple[Path, ...]
    sample_rate: int


class OscService:
    """Answers packets. Every command answers, also when it cannot be parsed, and to the one who asked."""

    def __init__(self, parts: Parts, subscribers: Subscribers, loop: asyncio.AbstractEventLoop) -> None:
        self._parts, self._subscribers, self._loop = parts, subscribers, loop
        self._tasks: set[asyncio.Task] = set()
        self._on_port: PeerOnPort = lambda peer, port: peer
        self._handlers: dict[str, Callable[[Peer, Sequence[Atom]], None]] = {
            "/generate": self._generate,
            "/cancel": self._cancel,
            "/status": self._status,
            "/version": self._version,
            "/sync": self._sync,
            "/notify": self._notify,
            "/help": self._help,
            "/model/list": self._list_models,
        }

    def reach_ports_by(self, peer_on_port: PeerOnPort) -> None:
        """How `/notify 1 port` finds the other port; known once a UDP socket is open."""
        self._on_port = peer_on_port

    def receive(self, packet: bytes, peer: Peer) -> None:
        """Answer every message of a packet, in order."""
        self._subscribers.heard(peer.host)
        try:
            messages = decode_packet(packet)
        except ClipsonicError as error:
            self._fail(peer, "", error)
            return
        for message in messages:
            self._answer(message, peer)

    def left(self, peer: Peer) -> None:
        """A connection closed."""
        self._subscribers.remove(peer)

    def refuse(self, peer: Peer, error: ClipsonicError) -> None:
        """Say why a stream cannot be followed."""
        self._fail(peer, "", error)

    def _answer(self, message: Message, peer: Peer) -> None:
        try:
            for address in match_addresses(message.address):
                self._handlers[address](peer, message.arguments)
        except DuplicateJob as error:
            # The job that has this id goes on.
            self._fail(peer, message.address, error)
        except ClipsonicError as error:
            self._fail(peer, message.address, error, find_id(message.arguments))
        except Exception as error:
            log.exception("%s", message.address)
            self._fail(peer, message.address, ClipsonicError(f"something unforeseen went wrong: {error!r}"))

    def _reply(self, peer: Peer, address: str, *arguments: str | int | float) -> None:
        packet = encode_message(address, *arguments)
        for listener in self._subscribers.for_reply(peer):
            listener.send(packet)

    def _fail(self, peer: Peer, address: str, error: ClipsonicError, job: str = "") -> None:
        self._reply(peer, "/fail", address, error.code, str(error), job)

    def _generate(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        request = parse_generate(arguments)
        # Lengths and names that the model cannot serve are told at once, not after a wait in the queue.
        self._parts.studio.resolve(request)
        self._parts.jobs.submit(request, _Listener(peer, self))

    def _cancel(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        jobs = self._parts.jobs
        which = _at_most_one("job", arguments)
        if which is None:
            running = jobs.active()[:1]
            if not running:
                raise BadArgument("job: got nothing, and no job waits or runs")
            which = running[0].id
        if which == "all":
            self._reply(peer, "/done", "/cancel", "all", jobs.cancel_all())
            return
        job = jobs.cancel(as_text("job", which))
        self._reply(peer, "/done", "/cancel", job.id)

    def _status(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        parts = self._parts
        active, loaded = parts.jobs.active(), parts.engine.loaded
        running = [job for job in active if job.state == "running"]
        # Nine that stand where SuperCollider's server has units, synths, groups, definitions, loads and rates.
        self._reply(
            peer,
            "/status.reply",
            1,
            len(running),
            len(active) - len(running),
            parts.studio.n_clips,
            len(list_bundles(parts.bundle_folders)),
            float(100 * bool(running)),
            float(100 * bool(running)),
            float(parts.sample_rate),
            float(parts.sample_rate),
            "ready" if loaded else "starting",
            loaded.model if loaded else parts.studio.settings.model,
            loaded.provider if loaded else "",
            str(parts.studio.settings.folder),
            float(parts.studio.model_seconds),
        )

    def _version(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        major, minor, patch = __version__.split(".", 2)
        self._reply(peer, "/version.reply", "clipsonic-live", int(major), int(minor), f".{patch}", "", "")

    def _sync(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        which = _at_most_one("id", arguments)
        number = 0 if which is None else as_whole("id", which)
        jobs = self._parts.jobs.active()
        if not jobs:
            self._reply(peer, "/synced", number)
            return

        async def wait() -> None:
            await asyncio.to_thread(self._parts.jobs.wait, jobs)
            self._reply(peer, "/synced", number)

        task = self._loop.create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notify(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise BadArgument(f"notify: got {len(arguments)} arguments, expected 0 or 1, and a port")
        switch = as_whole("notify", arguments[0])
        listener = peer
        if len(arguments) == 2:
            port = as_whole("port", arguments[1])
            if not 1 <= port <= 65535:
                raise BadArgument(f"port: got {port}, expected 1 to 65535")
            listener = self._on_port(peer, port)
        if switch == 0:
            self._subscribers.remove(listener)
            self._reply(peer, "/done", "/notify", 0)
        elif switch == 1:
            client_id = self._subscribers.add(listener)
            if client_id is None:
                raise BadArgument(f"notify: {MAX_SUBSCRIBERS} clients are subscribed already")
            self._reply(peer, "/done", "/notify", client_id, MAX_SUBSCRIBERS)
        else:
            raise BadArgument(f"notify: got {switch}, expected 0 or 1")

    def _help(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        which = _at_most_one("address", arguments)
        rows = TABLE if which is None else [ADDRESSES[a] for a in match_addresses(as_text("address", which))]
        for row in rows:
            self._reply(peer, "/help.reply", row.address, row.arguments, row.help)
        self._reply(peer, "/done", "/help", len(rows))

    def _list_models(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        bundles = list_bundles(self._parts.bundle_folders)
        loaded = self._parts.engine.loaded
        for name, bundle in sorted(bundles.items()):
            card = bundle.card
            is_loaded = int(loaded is not None and loaded.model == name)
            self._reply(peer, "/model", name, card.family, card.verb, card.version, card.embedding.name, is_loaded)
        self._reply(peer, "/done", "/model/list", len(bundles))

    def tell(self, peer: Peer, job: Job, event: Event) -> None:
        """Send one event of a job to who asked for it and to all subscribers; from any thread."""
        self._loop.call_soon_threadsafe(self._send_event, peer, _event_packet(job, event))

    def _send_event(self, peer: Peer, packet: bytes) -> None:
        for listener in self._subscribers.for_events(peer):
            listener.send(packet)


@dataclass(frozen=True, slots=True)
class _Listener:
    """Compares by its peer, so that a client which asks twice with one id hears everything once."""

    peer: Peer
    service: OscService

    def __call__(self, job: Job, event: Event) -> None:
        self.service.tell(self.peer, job, event)


def _event_packet(job: Job, event: Event) -> bytes:
    match event:
        case Queued(position):
            return encode_message("/queued", job.id, "/generate", position)
        case Progress(fraction, stage):
            return encode_message("/progress", job.id, float(fraction), stage)
        case ClipMade(clip_id, path, seconds, take, seed):
            return encode_message("/clip", job.id, clip_id, str(path), float(seconds), take, seed)
        case Done(n_clips):
            return encode_message("/done", "/generate", job.id, n_clips)
        case Failed(code, message):
            return encode_message("/fail", "/generate", code, message, job.id)


def _at_most_one(name: str, arguments: Sequence[Atom]) -> Atom:
    if len(arguments) > 1:
        raise BadArgument(f"{name}: got {len(arguments)} arguments, expected at most one")
    return arguments[0] if arguments else None
