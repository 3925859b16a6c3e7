"""`clipsonic doctor`: what is installed, what is missing, and how fast it is here."""

import importlib.util
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from plugin_server import __version__
from plugin_server.client import Client
from plugin_server.engine.bundles.registry import Bundle, BundleRegistry, verify_bundle
from plugin_server.engine.messages import GenerationParams
from plugin_server.errors import ClipsonicError, MidiUnavailable
from plugin_server.server import PROVIDERS, build_engine, build_library
from plugin_server.settings import Settings, bundle_folders
from plugin_server.studio.generator import check_folder

TRIAL_SECONDS = 10.0


def print_report(settings: Settings) -> None:
    """A line a subject, 'ok' or what is wrong with it. Raises ClipsonicError at the end when something is wrong."""
    wrong = []
    for name, look in _subjects(settings):
        try:
            print(f"{name:22} ok   {look()}", flush=True)
        except Exception as error:
            # Of every kind: what is broken in an installation must be told, whatever breaks.
            told = error if isinstance(error, ClipsonicError) else f"{type(error).__name__}: {error}"
            wrong.append(name)
            print(f"{name:22} BAD  {told}", flush=True)
    if wrong:
        raise ClipsonicError(f"not everything is well: {', '.join(wrong)}")


def _subjects(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
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
    # Imported here and below, so that a broken one is a line of the report.
    import onnxruntime

    return f"{onnxruntime.__version__}; {', '.join(onnxruntime.get_available_providers())}"


def _pictures() -> str:
    from PIL import Image, features

    Image.init()
    kinds = [kind for kind in ("JPEG", "PNG", "WebP", "AVIF") if kind.upper() in Image.OPEN]
    missing = [
        what for what, module in (("HEIC", "pillow_heif"), ("videos", "av")) if importlib.util.find_spec(module) is None
    ]
    kinds += [what for what in ("HEIC", "videos") if what not in missing]
    wanted = f'; {" and ".join(missing)}: pip install "clipsonic-live[pictures]"' if missing else ""
    return f"{', '.join(kinds)} (Pillow {features.version('pil')}){wanted}"


def _device(settings: Settings) -> str:
    from plugin_server.engine.sessions import choose_provider

    return PROVIDERS[choose_provider(settings.device)]


def _gpu() -> str:
    from plugin_server.engine.sessions import count_cuda_devices

    count = count_cuda_devices()
    return f"{count} CUDA device{'s' * (count > 1)}" if count else "none with CUDA; the CPU is used"


def _midi() -> str:
    """As live output, a convenience."""
    from plugin_server.protocol.transports.midi import list_inputs

    try:
        return ", ".join(list_inputs()) or "no inputs"
    except MidiUnavailable as error:
        return f"not used ({error})"


def _portaudio() -> str:
    """Live output is a convenience: without it clips are made all the same, so nothing here is called bad."""
    try:
        import sounddevice
    except OSError:
        return "not found; clips are made, but cannot be played by the daemon"
    outputs = [device for device in sounddevice.query_devices() if device["max_output_channels"] > 0]
    return f"{sounddevice.get_portaudio_version()[1]}; {len(outputs)} output devices"


def _folder(settings: Settings) -> str:
    check_folder(settings.clip_folder)
    return str(settings.clip_folder)


def _library(settings: Settings) -> str:
    with closing(build_library(settings)) as library:
        return f"{library.newest(1).total} clips; {settings.index_path}"


def _network(settings: Settings) -> str:
    if not settings.lan:
        return "this machine alone; --lan --allow HOST lets others in"
    return f"the local network, for {', '.join(settings.allow)}"


def _daemon(settings: Settings) -> str:
    """What a daemon that runs tells of itself; that none does is no fault."""
    with Client(settings.osc_port) as client:
        try:
            told = client.ask("/network", reply="/network.reply", timeout_s=1.0)
        except TimeoutError:
            return f"none on port {settings.osc_port}"
    port, web, zeroconf, _lan, hosts, packets = map(str, told)
    refused = f"; refused {packets} packets and connections of {hosts} hosts" if int(hosts) else ""
    return f"OSC on {settings.osc_port}, HTTP on {port} ({web}), zeroconf: {zeroconf}{refused}"


def _bundle(bundle: Bundle) -> str:
    verify_bundle(bundle)
    return bundle.checksum()


def _speed(settings: Settings) -> str:
    """Time of a clip of 10 s with the model's own settings, warm."""
    bundles = BundleRegistry(bundle_folders()).bundles()
    engine = build_engine(settings)
    try:
        began = time.perf_counter()
        loaded = engine.load(settings.model)
        start_s = time.perf_counter() - began
        sampling = bundles[settings.model].card.sampling
        seconds = min(TRIAL_SECONDS, bundles[settings.model].card.lengths.maximum)
        order = GenerationParams("sea waves", "", seconds, 0, sampling.steps, sampling.guidance)
        spent = [engine.run_one(settings.model, order).seconds_spent for _ in range(2)][-1]
    finally:
        engine.stop()
    where = PROVIDERS.get(loaded.provider, loaded.provider)
    return f"{seconds:g} s of sound in {spent:.2f} s on {where}; the engine starts in {start_s:.2f} s"
