"""What each address does: a message and its sender in, replies out. Runs on the event loop, computes nothing."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from plugin_server import __version__
from plugin_server.audio.playback.player import Player
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.process.client import Engine
from plugin_server.errors import BadArgument, ClipsonicError, DuplicateJob, UnknownAddress, shown
from plugin_server.protocol.access import check_images
from plugin_server.protocol.address_patterns import match_addresses
from plugin_server.protocol.arguments import as_text, as_whole, check_range, find_id
from plugin_server.protocol.commands.banks import BankCommands
from plugin_server.protocol.commands.clips import ClipCommands
from plugin_server.protocol.commands.meter import MeterCommands
from plugin_server.protocol.commands.playback import PlaybackCommands
from plugin_server.protocol.commands.slots import SlotTrigger
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.generate_arguments import parse_generate
from plugin_server.protocol.packets import Atom, Message, address_of, decode_packet, encode_message
from plugin_server.protocol.subscribers import MAX_SUBSCRIBERS, NOBODY, Peer, Subscribers
from plugin_server.protocol.table import ADDRESSES, PORTS, TABLE, reply_sources
from plugin_server.protocol.transports.network import Network
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.jobs import ClipMade, Done, Event, Failed, Job, Jobs, Progress, Queued
from plugin_server.studio.library.library import Library
from plugin_server.studio.requests import Generate, LoadModel, RenderBank, RenderSlot, Request, UnloadModel

log = logging.getLogger(__name__)

MAX_ECHO = 80
"""Characters of an address that are sent back."""
MAX_SENTENCE = 1000
"""Characters of a sentence: even with four bytes each, a reply stays under the 9216 bytes that macOS lets through."""
ADDRESS_OF = {
    Generate: "/generate",
    LoadModel: "/model/load",
    UnloadModel: "/model/unload",
    RenderBank: "/bank/render",
    RenderSlot: "/bank/fire",
}
"""What a job was asked for by."""
PeerOnPort = Callable[[Peer, int], Peer]
"""The same host on another UDP port."""


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms that the service talks to."""

    jobs: Jobs
    studio: ClipGenerator
    engine: Engine
    bundles: BundleRegistry
    sample_rate: int
    library: Library
    network: Network
    player: Player
    pads: LoadedBank


class Dispatcher:
    """Answers packets. Every command answers, also when it cannot be parsed, and to the one who asked."""

    def __init__(self, parts: Services, subscribers: Subscribers, loop: asyncio.AbstractEventLoop) -> None:
        self._parts, self._subscribers, self._loop = parts, subscribers, loop
        self._on_port: PeerOnPort = lambda peer, port: peer
        self._handlers: dict[str, Callable[[Peer, Sequence[Atom]], None]] = {
            "/generate": self._generate,
            "/cancel": self._cancel,
            "/status": self._status,
            "/version": self._version,
            "/sync": self._sync,
            "/notify": self._notify,
            "/help": self._help,
            "/network": self._network,
            "/model/list": self._list_models,
            "/model/load": self._load_model,
            "/model/unload": self._unload_model,
        }
        self._clips = ClipCommands(parts.library, self._submit, self)
        self._handlers |= self._clips.handlers()
        self._handlers |= PlaybackCommands(parts.player, parts.library, loop, self._reply, self._fail).handlers()
        self._meter = MeterCommands(parts.player, loop, self._reply, self._listener)
        self._handlers |= self._meter.handlers()
        # Before the banks, which look for a clip only after everybody was told of it.
        parts.jobs.subscribe(self._hear)
        self._bank_clerk = CommandThread("banks", self)
        banks = BankCommands(parts.pads, self._bank_clerk, parts.studio, parts.jobs, parts.player, self)
        fire = SlotTrigger(parts.pads, self._bank_clerk, banks, parts.jobs, parts.player, self)
        self._handlers |= banks.handlers() | fire.handlers()
        self.midi = _MidiPads(banks, fire, parts.player)
        """What a MIDI keyboard plays on."""

    def stop(self) -> None:
        """Answer what was asked of the library and the banks before, then nothing more of them."""
        self._clips.stop()
        self._bank_clerk.stop()

    def fall_silent(self) -> None:
        """Send no levels any more; on the loop."""
        self._meter.stop()

    def reach_ports_by(self, peer_on_port: PeerOnPort) -> None:
        """How `/notify 1 port` finds the other port; known once a UDP socket is open."""
        self._on_port = peer_on_port

    def receive(self, packet: bytes, peer: Peer) -> None:
        """Answer every message of a packet, in order."""
        self._subscribers.heard(peer.host)
        self._meter.heard(peer.host)
        try:
            messages = decode_packet(packet)
        except ClipsonicError as error:
            self._fail(peer, "", error)
            return
        for message in messages:
            self._answer(message, peer)

    def left(self, peer: Peer) -> None:
        """A connection closed."""
        self._subscribers.left(peer)
        self._meter.left(peer)

    def listen(self, peer: Peer, address: str) -> None:
        """The peer gets everything that is sent with this address. Raises UnknownAddress when nothing ever is."""
        if address not in (known := reply_sources(TABLE)):
            raise UnknownAddress(f"LISTEN: got {shown(address)}, expected one of {' '.join(known)}")
        self._subscribers.listen(peer, address)

    def ignore(self, peer: Peer, address: str) -> None:
        """The opposite of `listen`."""
        self._subscribers.ignore(peer, address)

    def refuse(self, peer: Peer, error: ClipsonicError) -> None:
        """Say why a stream cannot be followed."""
        self._fail(peer, "", error)

    def _answer(self, message: Message, peer: Peer) -> None:
        try:
            addresses = match_addresses(message.address, ADDRESSES)
        except ClipsonicError as error:
            self._fail(peer, message.address, error)
            return
        # Of a pattern each address answers for itself: one that fails must not silence those after it.
        for address in addresses:
            self._answer_one(address, message.arguments, peer)

    def _answer_one(self, address: str, arguments: Sequence[Atom], peer: Peer) -> None:
        try:
            self._handlers[address](peer, arguments)
        except DuplicateJob as error:
            # The job that has this id goes on.
            self._fail(peer, address, error)
        except ClipsonicError as error:
            self._fail(peer, address, error, find_id(arguments))
        except Exception as error:
            log.exception("%s", address)
            self._fail(peer, address, ClipsonicError(f"something unforeseen went wrong: {error!r}"))

    def later(self, work: Callable[[], None]) -> None:
        """Have the loop do `work` soon; from any thread."""
        self._loop.call_soon_threadsafe(work)

    def reply(self, peer: Peer, address: str, *arguments: str | int | float) -> None:
        """Answer a question; on the loop only."""
        self._reply(peer, address, *arguments)

    def fail(self, peer: Peer, address: str, error: ClipsonicError) -> None:
        """Say why a command cannot be done; on the loop only."""
        self._fail(peer, address, error)

    def announce(self, peers: Collection[Peer], address: str, *arguments: str | int | float) -> None:
        """Tell these peers, and all who follow; on the loop only."""
        packet = encode_message(address, *arguments)
        for listener in dict.fromkeys([*peers, *self._subscribers.all_but(peers, address)]):
            self._loop.call_soon(listener.send, packet)

    def submit(self, peer: Peer, request: Request) -> None:
        """Queue a request for a peer, from any thread. Raises what the queue raises."""
        self._parts.jobs.submit(request, _Listener(peer, self))

    def askers(self, job: Job) -> set[Peer]:
        """Who asked for a job that has not ended."""
        return {listener.peer for listener in job.listeners if isinstance(listener, _Listener)}

    def _reply(self, peer: Peer, address: str, *arguments: str | int | float) -> None:
        packet = encode_message(address, *arguments)
        for listener in self._subscribers.for_reply(peer, address):
            # By way of the loop, as events come from other threads: so that nothing overtakes what was said before.
            self._loop.call_soon(listener.send, packet)

    def _fail(self, peer: Peer, address: str, error: ClipsonicError, job: str = "") -> None:
        self._reply(peer, "/fail", address[:MAX_ECHO], error.code, str(error)[:MAX_SENTENCE], job)

    def _generate(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        parts = self._parts
        check_images(arguments, peer)
        request = parse_generate(arguments, lambda model: parts.studio.card(model).lengths, lambda: parts.player.bpm)
        self._submit(peer, request)

    def _submit(self, peer: Peer, request: Generate) -> None:
        # Lengths and names that the model cannot serve are told at once, not after a wait in the queue.
        self._parts.studio.check(request)
        self.submit(peer, request)

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
            len(parts.bundles.bundles()),
            float(100 * bool(running)),
            float(100 * bool(running)),
            float(parts.sample_rate),
            float(parts.sample_rate),
            parts.engine.state,
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
        sync = _Sync(peer, number, self)
        sync.jobs.update(self._parts.jobs.subscribe_active(sync))
        if not sync.jobs:
            self._reply(peer, "/synced", number)

    def has_ended(self, job: Job, sync: "_Sync") -> None:
        """One job less that a `/sync` waits for; from any thread, which waits for nothing."""
        self._loop.call_soon_threadsafe(self._count_off, job, sync)

    def _count_off(self, job: Job, sync: "_Sync") -> None:
        sync.jobs.discard(job)
        if not sync.jobs:
            self._reply(sync.peer, "/synced", sync.number)

    def _notify(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise BadArgument(f"notify: got {len(arguments)} arguments, expected 0 or 1, and a port")
        switch = as_whole("notify", arguments[0])
        listener = self._listener(peer, arguments[1:])
        if switch == 0:
            self._subscribers.remove(listener)
            self._reply(peer, "/done", "/notify", 0)
        elif switch == 1:
            self._reply(peer, "/done", "/notify", self._subscribers.add(listener), MAX_SUBSCRIBERS)
        else:
            raise BadArgument(f"notify: got {switch}, expected 0 or 1")

    def _listener(self, peer: Peer, arguments: Sequence[Atom]) -> Peer:
        """Where someone wants to hear: on the socket that was sent from, or on the port that is the only argument."""
        if not arguments:
            return peer
        return self._on_port(peer, check_range("port", as_whole("port", arguments[0]), PORTS))

    def _help(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        which = _at_most_one("address", arguments)
        rows = TABLE if which is None else [ADDRESSES[a] for a in match_addresses(as_text("address", which), ADDRESSES)]
        for row in rows:
            self._reply(peer, "/help.reply", row.address, row.notation, row.help)
        self._reply(peer, "/done", "/help", len(rows))

    def _network(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        self._reply(peer, "/network.reply", *self._parts.network.facts())

    def _list_models(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        bundles = self._parts.bundles.bundles()
        loaded = self._parts.engine.loaded
        for name, bundle in sorted(bundles.items()):
            card = bundle.card
            is_loaded = int(loaded is not None and loaded.model == name)
            self._reply(peer, "/model", name, card.family, card.verb, card.version, card.embedding.name, is_loaded)
        self._reply(peer, "/done", "/model/list", len(bundles))

    def _load_model(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        name = _one("model", arguments)
        # As with clips: what cannot be is told at once.
        self._parts.studio.card(name)
        self.submit(peer, LoadModel(name))

    def _unload_model(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        self.submit(peer, UnloadModel(_one("model", arguments)))

    def tell(self, peer: Peer, job: Job, event: Event) -> None:
        """Send one event of a job to who asked for it; from any thread."""
        if not _is_told_later(job, event):
            self._loop.call_soon_threadsafe(peer.send, _event_packet(job, event))

    def _hear(self, job: Job, event: Event) -> None:
        if not _is_told_later(job, event):
            self._loop.call_soon_threadsafe(self._broadcast, _event_packet(job, event), self.askers(job))

    def _broadcast(self, packet: bytes, askers: set[Peer]) -> None:
        for listener in self._subscribers.all_but(askers, address_of(packet)):
            listener.send(packet)


@dataclass(frozen=True, slots=True)
class _MidiPads:
    """The pads as MIDI plays them; to be called on the loop. All who follow hear what comes of it."""

    banks: BankCommands
    fire: SlotTrigger
    player: Player

    def note(self, note: int, velocity: int) -> None:
        """Fire the slots of a note."""
        self.fire.note(NOBODY, note, velocity)

    def program(self, number: int) -> None:
        """Load the bank at this place of the list, from 0."""
        self.banks.load_number(NOBODY, number)

    def silence(self) -> None:
        """Fade everything out."""
        self.player.submit(self.player.stop)


@dataclass(eq=False, slots=True)
class _Sync:
    """A `/sync` that waits: listens to jobs until the last of them has ended."""

    peer: Peer
    number: int
    service: Dispatcher
    jobs: set[Job] = field(default_factory=set)
    """Those that have not ended yet; for the loop's eyes only."""

    def __call__(self, job: Job, event: Event) -> None:
        if job.ended:
            self.service.has_ended(job, self)


@dataclass(frozen=True, slots=True)
class _Listener:
    """Sends to its own peer. Compares by it, so that a client which asks twice with one id hears everything once."""

    peer: Peer
    service: Dispatcher

    def __call__(self, job: Job, event: Event) -> None:
        self.service.tell(self.peer, job, event)


def _is_told_later(job: Job, event: Event) -> bool:
    """A slot that was fired is done when it sounds."""
    return isinstance(job.request, RenderSlot) and isinstance(event, Done)


def _event_packet(job: Job, event: Event) -> bytes:
    address = ADDRESS_OF[type(job.request)]
    match event:
        case Queued(position):
            return encode_message("/queued", job.id, address, position)
        case Progress(fraction, stage):
            return encode_message("/progress", job.id, float(fraction), stage)
        case ClipMade(clip_id, path, seconds, take, seed):
            return encode_message("/clip", job.id, clip_id, str(path), float(seconds), take, seed)
        case Done(n_clips, confidence, nearest) if isinstance(job.request, Generate):
            return encode_message("/done", address, job.id, n_clips, float(confidence), nearest)
        case Done(n_clips) if isinstance(job.request, RenderBank):
            return encode_message("/done", address, job.request.name, job.id, n_clips)
        case Done():
            return encode_message("/done", address, job.request.name, job.id)
        case Failed(code, message):
            return encode_message("/fail", address, code, message[:MAX_SENTENCE], job.id)


def _one(name: str, arguments: Sequence[Atom]) -> str:
    if len(arguments) != 1:
        raise BadArgument(f"{name}: got {len(arguments)} arguments, expected one name")
    return as_text(name, arguments[0])


def _at_most_one(name: str, arguments: Sequence[Atom]) -> Atom:
    if len(arguments) > 1:
        raise BadArgument(f"{name}: got {len(arguments)} arguments, expected at most one")
    return arguments[0] if arguments else None
