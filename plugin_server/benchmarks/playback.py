"""How soon a clip sounds, and whether the device ever waits.

A real daemon in this process, a real engine beside it, and packets over UDP. Sounds go to a real device: the system's,
or with `--silent` a PulseAudio of its own with a null sink (Debian's pulseaudio, pulseaudio-utils, libasound2-plugins).
Compare runs of one machine only.
"""

import argparse
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.playback.device import BLOCK_FRAMES, Output, PortAudioOutput
from plugin_server.audio.playback.mixer import MAX_VOICES, Mixer
from plugin_server.audio.playback.player import Player
from plugin_server.audio.playback.voice import Voice
from plugin_server.benchmarks.daemon_thread import daemon_in_thread
from plugin_server.benchmarks.report import Benchmarks, add_benchmark, percentiles
from plugin_server.benchmarks.silent_device import silent_device
from plugin_server.client import Client
from plugin_server.errors import ClipsonicError
from plugin_server.server import run_daemon
from plugin_server.settings import Settings, load_settings

BANK = """
[defaults]
seconds = 2
[[slots]]
name = "shot"
prompt = "glass breaking"
[[slots]]
name = "loop"
prompt = "stream"
loop = true
"""
LOAD = ("/generate", "sea waves", 10.0, "@variations", 16, "@id")

Latency = tuple[float, float, float]
"""Median, a high percentile and the longest, in milliseconds."""


@dataclass(slots=True)
class PlaybackFigures:
    """Figures of live output, in milliseconds unless their name says otherwise."""

    device: str = ""
    sample_rate: int = 0
    block_ms: float = 0.0
    """How long a block lasts, which is the longest pause between two of them that cannot be avoided."""
    latency: dict[str, Latency] = field(default_factory=dict)
    """Median, 99th percentile and longest, from sending to the end of the callback with the first sample."""
    latency_own: dict[str, Latency] = field(default_factory=dict)
    """The same to the moment at which the voice lay ready for the next callback."""
    voices: int = 0
    minutes: float = 0.0
    underruns: int = 0
    late_blocks: int = 0
    """Callbacks that took longer than their block lasts."""
    render: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Median, 99.9th percentile and longest callback."""

    def table(self) -> str:
        """Return the figures as Markdown."""
        lines = [
            f"{self.device}, {self.sample_rate} Hz, blocks of {BLOCK_FRAMES} frames ({self.block_ms:.1f} ms)",
            "",
            "| `/bank/fire` of a rendered slot | median | 99 of 100 within | longest |",
            "|---|---|---|---|",
        ]
        for name, rows in (("ready for the callback", self.latency_own), ("in the callback", self.latency)):
            lines += [f"| {name}, {load} | {a:.2f} ms | {b:.2f} ms | {c:.2f} ms |" for load, (a, b, c) in rows.items()]
        if self.minutes:
            a, b, c = self.render
            lines += [
                "",
                f"{self.voices} voices for {self.minutes:g} minutes, engine busy: {self.underruns} underruns; "
                f"callback {a:.2f} ms, 999 of 1000 within {b:.2f} ms, longest {c:.2f} ms, {self.late_blocks} of them "
                "longer than a block",
            ]
        return "\n".join(lines)


class Probe(Mixer):
    """The mixer of a PortAudio output that notes when it is asked for a block, and when the first sample is in one."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.output = PortAudioOutput(name, settings.sample_rate, settings.latency_ms / 1000)
        super().__init__(self.output.mixer.sample_rate)
        self.audible = threading.Event()
        self.audible_at = self.ready_at = 0.0
        self.is_waiting = False
        self.durations: list[float] = []
        # The stream runs already; from now on it asks this one.
        self.output.mixer = self

    def play(self, voice: Voice) -> None:
        """Play a voice from `voice.start_frame` on, and note when it lay ready."""
        super().play(voice)
        self.ready_at = time.perf_counter()

    def render(self, block: NDArray[np.float32]) -> None:
        """Fill a block, float32 (frames, 2), and note how long it took."""
        began = time.perf_counter()
        super().render(block)
        ended = time.perf_counter()
        self.durations.append(ended - began)
        if self.is_waiting and block.any():
            self.is_waiting, self.audible_at = False, ended
            self.audible.set()


def add_parser(benchmarks: Benchmarks) -> None:
    """Add the benchmark `playback` to the parser of all."""
    parser = add_benchmark(benchmarks, "playback", __doc__ or "", run)
    parser.add_argument("--shots", type=int, default=1000, help="of each load (default: 1000)")
    parser.add_argument("--minutes", type=float, default=5.0, help="with all voices; 0 for none (default: 5)")
    parser.add_argument("--silent", action="store_true", help="play into a null sink of its own, at 48000 Hz")


def run(options: argparse.Namespace) -> PlaybackFigures:
    """Measure with the options of the command line. Raises DeviceUnavailable, and what `measure` raises."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if options.silent:
            os.environ.update(stack.enter_context(silent_device(Path(folder), 48000)))
        return measure(Path(folder), options.shots, options.minutes)


def measure(folder: Path, n_shots: int, minutes: float) -> PlaybackFigures:
    """Return all figures of this machine, from a daemon whose files lie in `folder`.

    Raises ClipsonicError and TimeoutError when the daemon fails.
    """
    (folder / "banks").mkdir()
    (folder / "banks" / "bench.toml").write_text(BANK)
    settings = replace(
        load_settings(),
        osc_port=0,
        http_port=0,
        folder=folder / "clips",
        bank="bench",
        advertise=False,
        bank_folder=folder / "banks",
        index_folder=folder / "library",
    )
    figures = PlaybackFigures()
    with _running(settings) as (port, probes), Client(port) as client:
        client.ask("/bank/render", reply="/done", timeout_s=120)
        _shoot(client, 1)
        probe = probes[0]
        mixer = probe.output.mixer
        figures.device, figures.sample_rate = probe.output.name, mixer.sample_rate
        figures.block_ms = 1000 * BLOCK_FRAMES / mixer.sample_rate
        figures.latency_own["engine idle"], figures.latency["engine idle"] = _time_shots(client, probe, n_shots)
        with _busy(port):
            figures.latency_own["engine busy"], figures.latency["engine busy"] = _time_shots(client, probe, n_shots)
            if minutes:
                _hold_voices(figures, client, probe, minutes)
    return figures


@contextmanager
def _running(settings: Settings) -> Iterator[tuple[int, list[Probe]]]:
    """Run a daemon in a thread, and give its port and the outputs that its player opens."""
    probes: list[Probe] = []

    def open_output(name: str) -> Output:
        probes.append(Probe(name, settings))
        return probes[-1].output

    with daemon_in_thread(lambda: run_daemon(settings, Player(open_output))) as daemon:
        yield daemon.endpoints.port, probes


@contextmanager
def _busy(port: int) -> Iterator[None]:
    """Keep the engine at work, in a thread that mostly waits."""
    stop = threading.Event()

    def work() -> None:
        with Client(port) as client:
            number = 0
            while not stop.is_set():
                client.send(*LOAD, f"load-{number}")
                number += 1
                while not stop.is_set():
                    try:
                        message = client.receive(1.0)
                    except TimeoutError:
                        continue
                    if message.address in ("/done", "/fail"):
                        break
            client.send("/cancel", "all")
            client.receive(10)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _time_shots(client: Client, probe: Probe, n_shots: int) -> tuple[Latency, Latency]:
    ready_ms, audible_ms = [], []
    for _ in range(n_shots):
        # At any point within a block, and after the last shot has faded.
        time.sleep(random.uniform(0.02, 0.04))
        probe.audible.clear()
        probe.is_waiting = True
        began = time.perf_counter()
        client.send("/bank/fire", 0)
        if not probe.audible.wait(5):
            raise TimeoutError("a shot was not heard within 5 s")
        ready_ms.append(1000 * (probe.ready_at - began))
        audible_ms.append(1000 * (probe.audible_at - began))
        _until_done(client, "/bank/fire")
        client.send("/stop", "all")
        _until_done(client, "/stop")
    return _spread(ready_ms, 99), _spread(audible_ms, 99)


def _hold_voices(figures: PlaybackFigures, client: Client, probe: Probe, minutes: float) -> None:
    """All voices at once, each at a rate of its own, so that each is interpolated."""
    path = str(client.ask("/bank/fire", 1, reply="/done")[3])
    for i in range(MAX_VOICES):
        client.send("/play", path, "@loop", 1, "@gain", 0.02, "@rate", 0.8 + i / 160, "@pan", i / 32 - 1)
        _until_done(client, "/play")
    output = probe.output
    output.n_underruns = 0
    probe.durations.clear()
    time.sleep(60 * minutes)
    durations = list(probe.durations)
    figures.voices, figures.minutes = output.mixer.n_voices, minutes
    figures.underruns = output.n_underruns
    figures.late_blocks = sum(1000 * duration > figures.block_ms for duration in durations)
    figures.render = _spread([1000 * duration for duration in durations], 99.9)


def _shoot(client: Client, slot: int) -> None:
    client.ask("/bank/fire", slot, reply="/done", timeout_s=30)
    client.ask("/stop", "all", reply="/done")
    time.sleep(1)


def _until_done(client: Client, address: str) -> None:
    while True:
        message = client.receive(10)
        if message.address == "/fail":
            raise ClipsonicError(str(message.arguments[2]))
        if message.address == "/done" and message.arguments[0] == address:
            return


def _spread(values: Sequence[float], percentile: float) -> Latency:
    return (*percentiles(values, percentile), max(values))
