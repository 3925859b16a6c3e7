"""The composition root: builds every object, in order, and stops them in reverse."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from plugin_server.audio.finish import Finish
from plugin_server.audio.player import Player
from plugin_server.engine.bundles import Shelf, find_bundle
from plugin_server.engine.worker import Engine, EngineOptions
from plugin_server.protocol.endpoints import HOST, Endpoints, open_endpoints
from plugin_server.protocol.service import OscService, Parts
from plugin_server.protocol.subscribers import Subscribers
from plugin_server.settings import Settings, bundle_folders
from plugin_server.studio.jobs import Jobs
from plugin_server.studio.studio import Studio, StudioSettings, check_folder

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
    studio: Studio
    jobs: Jobs


def build_engine(settings: Settings) -> Engine:
    """An engine that is not started yet."""
    return Engine(EngineOptions(bundle_folders(), settings.device, settings.threads))


def build_studio(settings: Settings, engine: Engine) -> Studio:
    """The studio of these settings."""
    finish = Finish(sample_rate=settings.sample_rate, loudness_lufs=settings.loudness_lufs)
    studio_settings = StudioSettings(settings.clip_folder, bundle_folders(), settings.model, settings.bits, finish)
    return Studio(studio_settings, engine)


@asynccontextmanager
async def run_daemon(settings: Settings) -> AsyncIterator[Daemon]:
    """A daemon that listens; stopped when the block ends.

    Raises FolderNotWritable, UnknownModel, BundleDamaged or PortTaken before anything is started, or EngineFailed.
    """
    check_folder(settings.clip_folder)
    find_bundle(bundle_folders(), settings.model)
    engine = build_engine(settings)
    studio = build_studio(settings, engine)
    jobs = Jobs(studio, settings.queue_size)
    player = Player()
    parts = Parts(jobs, studio, engine, Shelf(bundle_folders()), settings.sample_rate, player)
    service = OscService(parts, Subscribers(), asyncio.get_running_loop())
    endpoints = await open_endpoints(service, settings.osc_port)
    try:
        engine.start(settings.model)
        jobs.start()
        yield Daemon(settings, endpoints, engine, studio, jobs)
    finally:
        # In a thread, since the loop has yet to send what those who wait for a job are told: that it was cancelled.
        await asyncio.to_thread(jobs.stop, engine.stop)
        await asyncio.to_thread(player.close)
        await endpoints.close()


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until cancelled; `say` gets the lines that a person reads."""
    async with run_daemon(settings) as daemon:
        say(f"Clipsonic Live listens for OSC on {HOST}:{daemon.endpoints.port} (UDP and TCP)")
        say(f"clips go to {settings.clip_folder}")
        while not (daemon.engine.loaded or daemon.engine.load_error):
            await asyncio.sleep(0.02)
        if daemon.engine.load_error:
            raise daemon.engine.load_error
        loaded = daemon.engine.loaded
        say(f"{loaded.model} runs on {PROVIDERS.get(loaded.provider, loaded.provider)}")
        say("ready; Ctrl-C stops it")
        await _sleep_for_ever()


async def _sleep_for_ever() -> None:
    # Windows' selector does not wake for Ctrl-C: it is heard as soon as anything else wakes the loop.
    while True:
        await asyncio.sleep(0.25 if sys.platform == "win32" else 3600)
