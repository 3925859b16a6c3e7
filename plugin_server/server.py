"""The composition root: builds every object, in order, and stops them in reverse."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from plugin_server.audio.finish import Finish
from plugin_server.audio.playback.device import PortAudioOutput
from plugin_server.audio.playback.player import Player
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.messages import EngineOptions
from plugin_server.engine.process.client import Engine
from plugin_server.protocol.access import LOOPBACK, AccessPolicy
from plugin_server.protocol.dispatcher import Dispatcher, Services
from plugin_server.protocol.subscribers import Subscribers
from plugin_server.protocol.table import TABLE, LiveRange, Range
from plugin_server.protocol.transports.midi import MidiIn
from plugin_server.protocol.transports.network import Network
from plugin_server.protocol.transports.oscquery import OscQuery
from plugin_server.protocol.transports.sockets import Endpoints, open_endpoints
from plugin_server.protocol.transports.web import HttpApp, WebServer
from plugin_server.protocol.transports.zeroconf import Advertiser, host_name
from plugin_server.settings import Settings, bundle_folders
from plugin_server.studio.banks.files import BankRegistry
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.generator import ClipGenerator, GeneratorSettings, check_folder
from plugin_server.studio.jobs import Jobs
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.undo_files import move_to_trash

PROVIDERS = {
    "CPUExecutionProvider": "the CPU",
    "CUDAExecutionProvider": "the GPU (CUDA)",
    "CoreMLExecutionProvider": "CoreML",
}
"""onnxruntime's providers as a person calls them."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that runs."""

    settings: Settings
    endpoints: Endpoints
    engine: Engine
    studio: ClipGenerator
    jobs: Jobs
    library: Library
    network: Network
    midi: MidiIn | None


def build_engine(settings: Settings) -> Engine:
    """An engine that is not started yet."""
    return Engine(EngineOptions(bundle_folders(), settings.device, settings.threads))


def build_library(settings: Settings) -> Library:
    """The library of the sample folder; not opened yet."""
    return Library(settings.clip_folder, settings.index_path, move_to_trash)


def build_player(settings: Settings) -> Player:
    """A player whose device is opened when it is needed."""
    latency_s = settings.latency_ms / 1000
    return Player(lambda name: PortAudioOutput(name, settings.sample_rate, latency_s))


def build_studio(settings: Settings, bundles: BundleRegistry, engine: Engine, library: Library) -> ClipGenerator:
    """The studio of these settings, which enters what it makes into the library."""
    finish = Finish(sample_rate=settings.sample_rate, loudness_lufs=settings.loudness_lufs)
    studio_settings = GeneratorSettings(settings.clip_folder, settings.model, settings.bits, finish)
    return ClipGenerator(studio_settings, bundles, engine, library)


@contextmanager
def open_studio(settings: Settings) -> Iterator[tuple[ClipGenerator, Engine]]:
    """A studio without a daemon, whose engine starts when it is needed and is stopped at the end."""
    engine = build_engine(settings)
    library = build_library(settings)
    try:
        yield build_studio(settings, BundleRegistry(bundle_folders()), engine, library), engine
    finally:
        engine.stop()
        library.close()


@asynccontextmanager
async def run_daemon(settings: Settings, player: Player | None = None) -> AsyncIterator[Daemon]:
    """A daemon that listens; stopped when the block ends, and so is its player, PortAudio's when none is given.

    Raises FolderNotWritable, UnknownModel, BundleDamaged, PortTaken or MidiUnavailable before anything is started, or
    EngineFailed.
    """
    check_folder(settings.clip_folder)
    bundles = BundleRegistry(bundle_folders())
    bundles.find(settings.model)
    engine = build_engine(settings)
    library = build_library(settings)
    studio = build_studio(settings, bundles, engine, library)
    jobs = Jobs(studio, settings.queue_size)
    guard = AccessPolicy(settings.allow if settings.lan else None)
    network = Network(guard, WebServer(guard, settings.http_port), Advertiser(guard, settings.advertise))
    player = player or build_player(settings)
    pads = LoadedBank(BankRegistry(settings.bank_folders), studio.find_existing, settings.bank)
    parts = Services(jobs, studio, engine, bundles, settings.sample_rate, library, network, player, pads)
    loop = asyncio.get_running_loop()

    def later(work: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(work)

    service = Dispatcher(parts, Subscribers(), loop)
    endpoints = await open_endpoints(service, settings.osc_port, guard)
    midi = None
    try:
        if settings.midi:
            midi = MidiIn(settings.midi, service.midi, later)
        network.start(_pages(service, guard, endpoints.port, studio, bundles), endpoints.port)
        engine.start(settings.model)
        jobs.start()
        library.open()
        yield Daemon(settings, endpoints, engine, studio, jobs, library, network, midi)
    finally:
        if midi:
            midi.close()
        # In a thread, since the loop has yet to send what those who wait for a job are told: that it was cancelled.
        await asyncio.gather(asyncio.to_thread(jobs.stop, engine.stop), network.leave())
        service.fall_silent()
        await asyncio.to_thread(player.close)
        library.stop_scanning()
        await asyncio.to_thread(service.stop)
        await asyncio.to_thread(library.close)
        await network.stop()
        await endpoints.close()


def _pages(
    service: Dispatcher, guard: AccessPolicy, osc_port: int, studio: ClipGenerator, bundles: BundleRegistry
) -> HttpApp:
    """What HTTP answers, with the ranges that only this daemon knows."""

    def ranges() -> dict[LiveRange, Range]:
        lengths = studio.card("").lengths
        return {
            LiveRange.LENGTHS: Range(lengths.least, lengths.most),
            LiveRange.MODELS: Range(choices=tuple(sorted(bundles.bundles()))),
        }

    return HttpApp(OscQuery(TABLE, osc_port, ranges), service, guard, names=[host_name()])


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until cancelled; `say` gets the lines that a person reads."""
    async with run_daemon(settings) as daemon:
        bind, allowed = daemon.network.guard.bind, f", for {', '.join(settings.allow)}" if settings.lan else ""
        say(f"Clipsonic Live listens for OSC on {bind}:{daemon.endpoints.port} (UDP and TCP){allowed}")
        if daemon.network.web.port:
            say(f"OSCQuery is on http://{LOOPBACK}:{daemon.network.web.port}")
        if daemon.midi:
            say(f"MIDI comes in through {daemon.midi.name!r}")
        say(f"clips go to {settings.clip_folder}")
        while (loaded := daemon.engine.loaded) is None:
            if daemon.engine.load_error:
                raise daemon.engine.load_error
            await asyncio.sleep(0.02)
        say(f"{loaded.model} runs on {PROVIDERS.get(loaded.provider, loaded.provider)}")
        say("ready; Ctrl-C stops it")
        await _sleep_for_ever()


async def _sleep_for_ever() -> None:
    # Windows' selector does not wake for Ctrl-C: it is heard as soon as anything else wakes the loop.
    while True:
        await asyncio.sleep(0.25 if sys.platform == "win32" else 3600)
