"""`clipsonic doctor`: what is installed, what is missing, and how fast it is here."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from plugin_server import __version__
from plugin_server.commands.flags import Commands, add_settings, find_daemon, settings_of
from plugin_server.errors import ClipsonicError, MidiUnavailable
from plugin_server.settings import Settings, bundle_folders

if TYPE_CHECKING:
    from plugin_server.engine.bundles.registry import Bundle

TRIAL_SECONDS = 10.0
"""Length of the clip whose time is taken."""


def add_parser(commands: Commands) -> None:
    """Add the command `doctor` to the parser of `clipsonic`."""
    parser = commands.add_parser("doctor", help="report what is installed and how fast it is here")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the report. Raises ClipsonicError at the end when something is wrong."""
    print_report(settings_of(options))


def print_report(settings: Settings) -> None:
    """Print a line a subject, 'ok' or what is wrong with it.

    Raises ClipsonicError at the end when something is wrong.
    """
    wrong = []
    for name, examine in _subjects(settings):
        try:
            print(f"{name:22} ok   {examine()}", flush=True)
        except Exception as error:
            # Of every kind: what is broken in an installation must be told, whatever breaks.
            sentence = error if isinstance(error, ClipsonicError) else f"{type(error).__name__}: {error}"
            wrong.append(name)
            print(f"{name:22} BAD  {sentence}", flush=True)
    if wrong:
        raise ClipsonicError(f"not everything is well: {', '.join(wrong)}")


def _subjects(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    from plugin_server.engine.bundles.registry import BundleRegistry

    yield "clipsonic", lambda: __version__
    yield "python", lambda: f"{platform.python_version()} on {platform.platform()}"
    yield "onnxruntime", _onnxruntime
    yield "gpu", _gpu
    yield "device", lambda: _device(settings)
    yield "portaudio", _portaudio
    yield "midi", _midi
    yield "pictures", _pictures
    yield "sample folder", lambda: _folder(settings)
    yield "library", lambda: _library(settings)
    yield "network", lambda: _network(settings)
    yield "running daemon", lambda: _daemon(settings)
    for name, bundle in sorted(BundleRegistry(bundle_folders()).bundles().items()):
        yield f"bundle {name}", partial(_bundle, bundle)
    yield "speed", lambda: _speed(settings)


def _onnxruntime() -> str:
    # Imported in the functions, here and below, so that a broken one is a line of the report.
    import onnxruntime

    return f"{onnxruntime.__version__}; {', '.join(onnxruntime.get_available_providers())}"


def _pictures() -> str:
    from PIL import Image, features

    Image.init()
    kinds = [kind for kind in ("JPEG", "PNG", "WebP", "AVIF") if kind.upper() in Image.OPEN]
    extra = {"HEIC": "pillow_heif", "videos": "av"}
    missing = [kind for kind, module in extra.items() if importlib.util.find_spec(module) is None]
    kinds += [kind for kind in extra if kind not in missing]
    advice = f'; {" and ".join(missing)}: pip install "clipsonic-live[pictures]"' if missing else ""
    return f"{', '.join(kinds)} (Pillow {features.version('pil')}){advice}"


def _device(settings: Settings) -> str:
    from plugin_server.engine.sessions import choose_provider
    from plugin_server.server import PROVIDERS

    return PROVIDERS[choose_provider(settings.device)]


def _gpu() -> str:
    from plugin_server.engine.sessions import count_cuda_devices

    count = count_cuda_devices()
    return f"{count} CUDA device{'s' * (count > 1)}" if count else "none with CUDA; the CPU is used"


def _midi() -> str:
    """Return the MIDI inputs. They are a convenience, as live output is: without them nothing is called bad."""
    from plugin_server.protocol.transports.midi import list_inputs

    try:
        return ", ".join(list_inputs()) or "no inputs"
    except MidiUnavailable as error:
        return f"not used ({error})"


def _portaudio() -> str:
    """Return PortAudio's version and outputs.

    Live output is a convenience: without it clips are made all the same, so nothing here is called bad.
    """
    try:
        import sounddevice
    except OSError:
        return "not found; clips are made, but cannot be played by the daemon"
    outputs = [device for device in sounddevice.query_devices() if device["max_output_channels"] > 0]
    return f"{sounddevice.get_portaudio_version()[1]}; {len(outputs)} output devices"


def _folder(settings: Settings) -> str:
    from plugin_server.studio.generator import check_folder

    check_folder(settings.clip_folder)
    return str(settings.clip_folder)


def _library(settings: Settings) -> str:
    from plugin_server.server import build_library

    with closing(build_library(settings)) as library:
        return f"{library.newest(1).total} clips; {settings.index_path}"


def _network(settings: Settings) -> str:
    if not settings.lan:
        return "this machine alone; --lan --allow HOST lets others in"
    return f"the local network, for {', '.join(settings.allow)}"


def _daemon(settings: Settings) -> str:
    """Return what a running daemon says of itself; that none runs is no fault."""
    from plugin_server.client import Client

    record = find_daemon(settings)
    osc_port = record.osc_port if record else settings.osc_port
    with Client(osc_port) as client:
        try:
            reply = client.ask("/network", reply="/network.reply", timeout_s=1.0)
        except TimeoutError:
            return f"none on port {osc_port}"
    port, web, zeroconf, _lan, hosts, packets = map(str, reply)
    refused = f"; refused {packets} packets and connections of {hosts} hosts" if int(hosts) else ""
    return f"OSC on {osc_port}, HTTP on {port} ({web}), zeroconf: {zeroconf}{refused}"


def _bundle(bundle: Bundle) -> str:
    from plugin_server.engine.bundles.registry import verify_bundle

    verify_bundle(bundle)
    return bundle.checksum()


def _speed(settings: Settings) -> str:
    """Return the time of a clip of 10 s with the model's own settings, warm."""
    from plugin_server.engine.bundles.registry import BundleRegistry
    from plugin_server.engine.messages import GenerationParams
    from plugin_server.server import PROVIDERS, build_engine

    card = BundleRegistry(bundle_folders()).find(settings.model).card
    engine = build_engine(settings)
    try:
        began = time.perf_counter()
        loaded = engine.load(settings.model)
        start_s = time.perf_counter() - began
        sampling = card.sampling
        seconds = min(TRIAL_SECONDS, card.lengths.maximum)
        params = GenerationParams("sea waves", "", seconds, 0, sampling.steps, sampling.guidance)
        spent = [engine.run_one(settings.model, params).seconds_spent for _ in range(2)][-1]
    finally:
        engine.stop()
    provider = PROVIDERS.get(loaded.provider, loaded.provider)
    return f"{seconds:g} s of sound in {spent:.2f} s on {provider}; the engine starts in {start_s:.2f} s"
