"""The composition root: builds every object, in order, and stops them in reverse."""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plugin_server.audio.finish import FinishSettings
from plugin_server.audio.formats.partial_files import remove_stale_parts
from plugin_server.audio.playback.device import PortAudioOutput
from plugin_server.audio.playback.player import Player
from plugin_server.daemon_records import announce_daemon, record_now
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.messages import EngineOptions
from plugin_server.engine.process.client import EngineClient
from plugin_server.errors import ClipsonicError
from plugin_server.protocol.access import LOOPBACK, AccessPolicy
from plugin_server.protocol.addresses import ADDRESSES, TABLE
from plugin_server.protocol.commands.bank_changes import BankChangeCommands
from plugin_server.protocol.commands.banks import BankCommands, read_slot
from plugin_server.protocol.commands.clips import ClipCommands
from plugin_server.protocol.commands.daemon import DaemonCommands, DaemonStatus
from plugin_server.protocol.commands.jobs import JobCommands
from plugin_server.protocol.commands.meter import MeterCommands
from plugin_server.protocol.commands.midi import MidiPads
from plugin_server.protocol.commands.models import ModelCommands
from plugin_server.protocol.commands.playback import PlaybackCommands
from plugin_server.protocol.commands.slots import SlotTrigger
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.dispatcher import Dispatcher
from plugin_server.protocol.flow.spare_memory import give_back_memory
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.replies import Handler, Replies, ReplyPorts
from plugin_server.protocol.subscribers import Subscribers
from plugin_server.protocol.table import LiveRange, Range
from plugin_server.protocol.transports.midi import MidiIn
from plugin_server.protocol.transports.network import Network, addresses_towards
from plugin_server.protocol.transports.oscquery import OscQuery
from plugin_server.protocol.transports.sockets import Endpoints, open_endpoints
from plugin_server.protocol.transports.web import HttpApp, WebServer
from plugin_server.protocol.transports.zeroconf import Advertiser, host_name
from plugin_server.settings import Settings, bundle_folders
from plugin_server.studio.banks.changes import BankChanges, bank_data_folders
from plugin_server.studio.banks.files import BankRegistry
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.generator import ClipGenerator, GeneratorSettings, check_folder
from plugin_server.studio.jobs import Jobs
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.undo_files import MoveToTrash, move_to_trash

log = logging.getLogger(__name__)

SWITCH_S = 0.0005
"""Seconds after which a thread of Python lets another one run: each packet that is sent may have to wait so long."""
PROVIDERS = {
    "CPUExecutionProvider": "the CPU",
    "CUDAExecutionProvider": "the GPU (CUDA)",
    "CoreMLExecutionProvider": "CoreML",
}
"""onnxruntime's providers as a person calls them."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that runs, until its context ends."""

    settings: Settings
    endpoints: Endpoints
    engine: EngineClient
    generator: ClipGenerator
    jobs: Jobs
    library: Library
    network: Network
    midi: MidiIn | None


def build_engine(settings: Settings, folders: tuple[Path, ...] | None = None) -> EngineClient:
    """Return an engine that is not started yet; `folders` hold bundles, see `run_daemon`."""
    return EngineClient(EngineOptions(folders or bundle_folders(), settings.device, settings.threads))


def build_library(settings: Settings, trash: MoveToTrash = move_to_trash) -> Library:
    """Return the library of the sample folder; not opened yet."""
    return Library(settings.clip_folder, settings.index_path, trash)


def build_player(settings: Settings) -> Player:
    """Return a player whose device is opened when it is needed."""
    latency_s = settings.latency_ms / 1000
    return Player(lambda name: PortAudioOutput(name, settings.sample_rate, latency_s))


def build_generator(
    settings: Settings, bundles: BundleRegistry, engine: EngineClient, library: Library
) -> ClipGenerator:
    """Return the generator of these settings, which enters what it makes into the library."""
    finish = FinishSettings(sample_rate=settings.sample_rate, loudness_lufs=settings.loudness_lufs)
    generator_settings = GeneratorSettings(settings.clip_folder, settings.model, settings.bits, finish)
    return ClipGenerator(generator_settings, bundles, engine, library)


@contextmanager
def open_generator(settings: Settings) -> Iterator[tuple[ClipGenerator, EngineClient]]:
    """Yield a generator without a daemon, whose engine starts when it is needed and is stopped at the end."""
    engine = build_engine(settings)
    library = build_library(settings)
    try:
        yield build_generator(settings, BundleRegistry(bundle_folders()), engine, library), engine
    finally:
        engine.stop()
        library.close()


@dataclass(frozen=True, slots=True)
class _Parts:
    """All that commands work on, below the protocol."""

    settings: Settings
    engine: EngineClient
    bundles: BundleRegistry
    library: Library
    generator: ClipGenerator
    jobs: Jobs
    player: Player
    bank: LoadedBank


def _build_parts(settings: Settings, player: Player, folders: tuple[Path, ...], trash: MoveToTrash) -> _Parts:
    """Build what commands work on; nothing is started yet. Raises UnknownModel or BundleDamaged."""
    bundles = BundleRegistry(folders)
    bundles.find(settings.model)
    # All cards are read now, so that no request has to wait on the loop for one.
    bundles.bundles()
    engine = build_engine(settings, folders)
    library = build_library(settings, trash)
    generator = build_generator(settings, bundles, engine, library)
    jobs = Jobs(generator, settings.queue_size)
    registry = BankRegistry(settings.bank_folders)
    changes = BankChanges(registry, settings.data_folder, trash)
    bank = LoadedBank(registry, generator.find_existing, settings.bank, changes)
    return _Parts(settings, engine, bundles, library, generator, jobs, player, bank)


@dataclass(frozen=True, slots=True)
class _Protocol:
    """All that answers packets and MIDI on the loop, and is stopped."""

    dispatcher: Dispatcher
    replies: Replies
    meter: MeterCommands
    midi: MidiPads
    library_thread: CommandThread
    bank_thread: CommandThread


def _build_protocol(parts: _Parts, network: Network) -> _Protocol:
    """Build the commands and subscribe them to the events of jobs; to be called on the loop."""
    generator, jobs, player = parts.generator, parts.jobs, parts.player
    loop = asyncio.get_running_loop()
    subscribers, meter_subscribers, ports = Subscribers(), Subscribers(), ReplyPorts()
    replies = Replies(subscribers, loop)
    events = JobEvents(jobs, subscribers, replies)
    player_thread = CommandThread("player", replies.on_loop, player)
    library_thread, bank_thread = CommandThread("library", replies.on_loop), CommandThread("banks", replies.on_loop)

    status = DaemonStatus(jobs, generator, parts.engine, parts.bundles, parts.settings.sample_rate)
    daemon = DaemonCommands(status, network, subscribers, ports, ADDRESSES)
    job_commands = JobCommands(jobs, generator, player, events)
    models = ModelCommands(parts.bundles, parts.engine, generator, events)
    clips = ClipCommands(parts.library, library_thread, job_commands.submit_checked, lambda: player.bpm)
    meter = MeterCommands(player, loop, meter_subscribers, ports)
    playback = PlaybackCommands(player, player_thread, parts.library, parts.bank, replies, meter.listeners)
    banks = BankCommands(parts.bank, bank_thread, generator, events, player, replies)
    bank_changes = BankChangeCommands(parts.bank, bank_thread, banks.announce, read_slot)
    slots = SlotTrigger(parts.bank, bank_thread, banks.refresh_clips, events, playback, replies)
    # What is fired already must not sound after all was stopped.
    playback.on_silence = slots.call_off

    # All who follow are sent an event before a bank looks for the clip that it is about.
    for on_event in (events.on_event, banks.on_event, slots.on_event):
        jobs.subscribe(on_event)
    handlers: dict[str, Handler] = {}
    for commands in (daemon, job_commands, models, clips, playback, meter, banks, bank_changes, slots):
        handlers |= commands.handlers()
    dispatcher = Dispatcher(handlers, replies, ports, (subscribers, meter_subscribers), events)
    midi = MidiPads(banks, slots, player, replies)
    return _Protocol(dispatcher, replies, meter, midi, library_thread, bank_thread)


@asynccontextmanager
async def run_daemon(
    settings: Settings,
    player: Player | None = None,
    *,
    bundles: tuple[Path, ...] | None = None,
    trash: MoveToTrash = move_to_trash,
) -> AsyncIterator[Daemon]:
    """Yield a daemon that listens; it is stopped when the block ends.

    Args:
        settings: Settings of the person who runs it.
        player: Player that is closed with the daemon; PortAudio's when none is given.
        bundles: Folders of models; those of the person and the shipped one when none are given.
        trash: Takes away a file that was deleted.

    Raises:
        ClipsonicError: FolderNotWritable, UnknownModel, BundleDamaged, PortTaken or MidiUnavailable before anything is
            started, or EngineFailed.
    """
    check_folder(settings.clip_folder)
    for folder in (
        *bank_data_folders(settings.data_folder),
        settings.bank_folders[0],
        (bundles or bundle_folders())[0],
    ):
        remove_stale_parts(folder)
    parts = _build_parts(settings, player or build_player(settings), bundles or bundle_folders(), trash)
    access = AccessPolicy(settings.allow if settings.lan else None)
    network = Network(access, WebServer(access, settings.http_port), Advertiser(access, is_enabled=settings.advertise))
    protocol = _build_protocol(parts, network)
    endpoints = await open_endpoints(protocol.dispatcher, settings.osc_port, access)
    midi = None
    try:
        if settings.midi:
            midi = MidiIn(settings.midi, protocol.midi, protocol.replies.on_loop)
        network.start(_http_app(parts, protocol.dispatcher, access, endpoints.port), endpoints.port)
        parts.engine.start(settings.model)
        parts.jobs.start()
        parts.library.open()
        yield Daemon(settings, endpoints, parts.engine, parts.generator, parts.jobs, parts.library, network, midi)
    finally:
        if midi:
            midi.close()
        await _stop(parts, protocol, network, endpoints)


async def _stop(parts: _Parts, protocol: _Protocol, network: Network, endpoints: Endpoints) -> None:
    """Stop what was built, in reverse; in threads, since the loop has yet to send what is answered meanwhile.

    Nothing is waited for without a limit: a file, a device or a command may hang, and whoever waits for it is told.
    """
    parts.library.stop_scanning()
    # Those who wait for a job are sent that it was cancelled.
    await _at_most(1.0, asyncio.to_thread(parts.jobs.stop, parts.engine.stop), network.stop_advertising())
    protocol.meter.stop()
    protocol.dispatcher.stop()
    threads = (protocol.library_thread, protocol.bank_thread)
    await _at_most(1.0, *(asyncio.to_thread(thread.stop, 0.8) for thread in threads))
    await _at_most(0.5, asyncio.to_thread(parts.player.close))
    await protocol.replies.drain()
    await _at_most(0.5, asyncio.to_thread(parts.library.close))
    await _at_most(1.0, network.stop(), endpoints.close())


async def _at_most(seconds: float, *works: Coroutine[None, None, None]) -> None:
    """Await works together, and go on without those that last longer; what goes wrong in them is logged."""
    tasks = [asyncio.create_task(work) for work in works]
    done, _ = await asyncio.wait(tasks, timeout=seconds)
    for error in [task.exception() for task in done]:
        if error:
            log.error("the daemon was not stopped cleanly", exc_info=error)


def _http_app(parts: _Parts, dispatcher: Dispatcher, access: AccessPolicy, osc_port: int) -> HttpApp:
    """Return what HTTP answers, with the ranges that only this daemon knows."""

    def ranges() -> dict[LiveRange, Range]:
        lengths = parts.generator.card("").lengths
        return {
            LiveRange.LENGTHS: Range(lengths.minimum, lengths.maximum),
            LiveRange.MODELS: Range(choices=tuple(sorted(parts.bundles.known()))),
        }

    return HttpApp(OscQuery(TABLE, osc_port, ranges), dispatcher, access, names=[host_name()])


@asynccontextmanager
async def _announced(daemon: Daemon) -> AsyncIterator[None]:
    """Let the commands of this person find the daemon while it runs."""
    settings = daemon.settings
    folders = (settings.clip_folder, settings.data_folder, settings.bank_folders[0])
    record = record_now(daemon.endpoints.port, daemon.network.web.port or 0, folders)
    with announce_daemon(settings.daemons_folder, record):
        yield


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run a daemon until cancelled; `say` gets the lines that a person reads."""
    async with run_daemon(settings) as daemon, _announced(daemon):
        _say_where(daemon, say)
        if daemon.midi:
            daemon.midi.on_change = say
            say(daemon.midi.state)
        say(f"clips go to {settings.clip_folder}")
        await asyncio.to_thread(_check_bank, settings)
        while (loaded := daemon.engine.loaded) is None:
            if daemon.engine.load_error:
                raise daemon.engine.load_error
            await asyncio.sleep(0.02)
        _favour_the_loop()
        say(f"{loaded.model} runs on {PROVIDERS.get(loaded.provider, loaded.provider)}")
        say("ready; Ctrl-C stops it")
        await give_back_memory()
        await _sleep_for_ever()


def _favour_the_loop() -> None:
    """Let the event loop wait less for other threads, and not for the objects of the start, which all stay."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()


def _say_where(daemon: Daemon, say: Callable[[str], None]) -> None:
    """Say which address others have to type: on the network that of this machine there."""
    settings, access, hosts, allowed = daemon.settings, daemon.network.access, [LOOPBACK], ""
    if settings.lan:
        hosts = addresses_towards(access.networks) or [access.bind]
        allowed = f", for {', '.join(settings.allow)}"
        for network in access.wide_networks():
            log.warning("allow: %s is wider than any network of your own; whoever is listed can delete clips", network)
    where = " and ".join(f"{host}:{daemon.endpoints.port}" for host in hosts)
    say(f"Clipsonic Live listens for OSC on {where} (UDP and TCP){allowed}")
    if daemon.network.web.port:
        say(f"OSCQuery is on {' and '.join(f'http://{host}:{daemon.network.web.port}' for host in hosts)}")


def _check_bank(settings: Settings) -> None:
    """Log why the bank under the pads cannot be used, before somebody fires one."""
    try:
        BankRegistry(settings.bank_folders).find(settings.bank)
    except ClipsonicError as error:
        log.warning("the pads have no bank: %s", error)


async def _sleep_for_ever() -> None:
    # Windows' selector does not wake for Ctrl-C: it is heard as soon as anything else wakes the loop.
    while True:
        await asyncio.sleep(0.25 if sys.platform == "win32" else 3600)
