"""How fast it is here, and where the time goes.

All figures of one run are taken on one machine, one after another. Compare runs by ratios only.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from plugin_server.audio.clip import Clip
from plugin_server.audio.finish import FinishSettings, finish
from plugin_server.audio.formats.files import read_clip, write_clip
from plugin_server.benchmarks.report import Benchmarks, add_benchmark, median_time
from plugin_server.client import Client, number_of
from plugin_server.daemon_process import start_daemon
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.families.clipsonic import Clipsonic, load
from plugin_server.engine.interface import ignore_progress
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation, SessionOptions, choose_provider
from plugin_server.errors import ClipsonicError
from plugin_server.settings import Settings, bundle_folders, load_settings

LENGTHS = (1.0, 5.0, 10.0, 30.0)
N_SLOTS = 16
CLIP_TIMEOUT_S = 120.0
PROMPTS = (
    "sea waves", "rain", "crackling fire", "birds singing", "church bells", "dog barking", "thunder", "helicopter",
    "kick drum", "wind", "clock ticking", "train", "piano", "footsteps", "glass breaking", "stream",
)  # fmt: skip
"""Prompts of the bank, and of the loops whose seams are measured."""


@dataclass(slots=True)
class GenerationFigures:
    """Figures of generation; all times are medians, in seconds."""

    machine: dict[str, str] = field(default_factory=dict)
    daemon_ready: float = 0.0
    """From starting the process to the answer to /status."""
    model_ready: float = 0.0
    """From starting the process to the line 'ready': the model is loaded."""
    clips: list[dict[str, float]] = field(default_factory=list)
    """Length, steps, packet in to /done, the model's own time, and the difference."""
    pictures: dict[str, float] = field(default_factory=dict)
    """A clip of 5 s from a picture, packet in to /done, by the picture; empty for a model that takes words only."""
    bank: dict[str, float] = field(default_factory=dict)
    """A bank of 16 slots of 5 s: all of it, and the longest time without a word of progress; nothing to make."""
    seams: dict[str, float] = field(default_factory=dict)
    """Loops of two bars at 128 bpm, by prompt: the step from the last sample to the first, 1 for the largest inside."""
    stages: dict[str, float] = field(default_factory=dict)
    """Stages of a clip of 10 s with the model's own settings."""
    peak_memory_mib: float = 0.0
    """Daemon and engine together, after all of the above."""
    eager: dict[str, float] = field(default_factory=dict)
    """One call of the denoiser, batch of two at 10 s: onnxruntime and, where torch is installed, eager PyTorch."""

    def table(self) -> str:
        """Return the figures as Markdown."""
        lines = [f"{key}: {value}" for key, value in self.machine.items()]
        lines += [
            f"daemon answers /status after {self.daemon_ready:.2f} s, model loaded after {self.model_ready:.2f} s"
        ]
        lines += [
            "",
            "| length | steps | packet to /done | model | added | times real time |",
            "|---|---|---|---|---|---|",
        ]
        for row in self.clips:
            lines.append(
                f"| {row['seconds']:g} s | {row['steps']:g} | {row['total']:.3f} s | {row['model']:.3f} s "
                f"| {1000 * row['added']:.0f} ms | {row['seconds'] / row['total']:.1f} |"
            )
        lines += [f"clip of 5 s from {name}, packet to /done: {value:.3f} s" for name, value in self.pictures.items()]
        if self.bank:
            lines += [
                "",
                *(f"bank of {N_SLOTS} slots of 5 s, {name}: {value:.2f} s" for name, value in self.bank.items()),
            ]
        if self.seams:
            worst = max(self.seams, key=lambda prompt: self.seams[prompt])
            lines += [
                f"seam of {len(self.seams)} loops, of the largest step inside: median "
                f"{statistics.median(self.seams.values()):.3f}, largest {self.seams[worst]:.3f} ({worst})"
            ]
        lines += ["", "| stage of a 10 s clip | time |", "|---|---|"]
        lines += [f"| {name} | {1000 * value:.1f} ms |" for name, value in self.stages.items()]
        lines += ["", f"peak memory of daemon and engine: {self.peak_memory_mib:.0f} MiB"]
        lines += [f"one denoiser call, {name}: {1000 * value:.1f} ms" for name, value in self.eager.items()]
        return "\n".join(lines)


def add_parser(benchmarks: Benchmarks) -> None:
    """Add the benchmark `generation` to the parser of all."""
    parser = add_benchmark(benchmarks, "generation", __doc__ or "", run)
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the median is taken (default: 3)")
    parser.add_argument("--lengths", type=float, nargs="+", default=LENGTHS, help="seconds (default: 1 5 10 30)")
    parser.add_argument("--steps", type=int, nargs="+", default=[4], help="steps beside the model's own (default: 4)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "coreml"))


def run(options: argparse.Namespace) -> GenerationFigures:
    """Measure with the options of the command line. Raises BadSettings, and what `measure` raises."""
    return measure(load_settings({"device": options.device}), options.lengths, options.steps, options.rounds)


def measure(settings: Settings, lengths: Sequence[float], steps: Sequence[int], rounds: int) -> GenerationFigures:
    """Return all figures of this machine. Raises ClipsonicError and TimeoutError when the daemon fails."""
    figures = GenerationFigures(machine=_machine(settings))
    card = BundleRegistry(bundle_folders()).find(settings.model).card
    with tempfile.TemporaryDirectory() as folder:
        _measure_daemon(figures, settings, Path(folder), lengths, [card.sampling.steps, *steps], rounds)
        _measure_stages(figures, settings, Path(folder), rounds)
    return figures


def _machine(settings: Settings) -> dict[str, str]:
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "provider": choose_provider(settings.device),
    }


def _measure_daemon(
    figures: GenerationFigures,
    settings: Settings,
    folder: Path,
    lengths: Sequence[float],
    steps: Sequence[int],
    rounds: int,
) -> None:
    """Time a daemon in its own process, asked by a client over UDP, as a musician's patch would."""
    flags = ["--folder", str(folder), "--device", settings.device, "--model", settings.model]
    began = time.perf_counter()
    variables = {"CLIPSONIC_INDEX_FOLDER": str(folder / "library"), "CLIPSONIC_BANK_FOLDER": str(folder / "banks")}
    with start_daemon(flags, lambda line: None, variables) as daemon, Client(daemon.port()) as client:
        client.ask("/status", reply="/status.reply", timeout_s=30)
        figures.daemon_ready = time.perf_counter() - began
        daemon.wait_until_ready()
        figures.model_ready = time.perf_counter() - began
        _ask_once(client, 1.0, 2)
        for seconds in lengths:
            for n_steps in steps:
                figures.clips.append(_time_clip(client, seconds, n_steps, rounds))
        if BundleRegistry(bundle_folders()).find(settings.model).card.image:
            figures.pictures = _time_pictures(client, folder, rounds)
        figures.bank = _time_bank(client, folder / "banks")
        figures.seams = {prompt: _measure_seam(client, prompt) for prompt in PROMPTS}
        figures.peak_memory_mib = _peak_memory_mib(daemon.pid)


def _time_pictures(client: Client, folder: Path, rounds: int) -> dict[str, float]:
    """Time clips from a small picture, and from one as phones take them."""
    times = {}
    for name, size in (("a picture of 320 x 240", (320, 240)), ("a photo of 12 megapixels", (4000, 3000))):
        path = folder / f"{size[0]}.jpg"
        # Noise made larger: about as many bytes as a photo of that size has.
        noise = np.random.default_rng(0).integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR).save(path, quality=90)
        _ask_once(client, 5.0, None, "", image=str(path))
        runs = [_ask_once(client, 5.0, None, "", image=str(path)) for _ in range(rounds)]
        times[name] = statistics.median(total for total, _ in runs)
    return times


def _time_bank(client: Client, folder: Path) -> dict[str, float]:
    folder.mkdir()
    slots = "".join(f'[[slots]]\nprompt = "{prompt}"\n' for prompt in PROMPTS[:N_SLOTS])
    (folder / "bench.toml").write_text(f"[defaults]\nseconds = 5\n{slots}")
    client.ask("/bank/load", "bench", reply="/done")
    first, pause = _render_bank(client)
    again, _ = _render_bank(client)
    return {"rendered": first, "longest wait for progress": pause, "again, with nothing to make": again}


def _render_bank(client: Client) -> tuple[float, float]:
    """Return the time to /done, and the longest between two messages."""
    began = last = time.perf_counter()
    pause = 0.0
    client.send("/bank/render")
    while True:
        message = client.receive(60)
        if message.address == "/fail":
            raise ClipsonicError("the daemon said: " + str(message.arguments[2]))
        now = time.perf_counter()
        pause, last = max(pause, now - last), now
        if message.address == "/done" and message.arguments[0] == "/bank/render":
            return now - began, pause


def _measure_seam(client: Client, prompt: str) -> float:
    samples = None
    for message in client.generate(prompt, seed=1, bars=2, bpm=128):
        if message.address == "/fail":
            raise ClipsonicError("the daemon said: " + str(message.arguments[2]))
        if message.address == "/clip":
            samples = read_clip(Path(str(message.arguments[2]))).samples[:, 0]
    if samples is None:
        raise ClipsonicError("the daemon said /done and sent no clip")
    return float(abs(samples[0] - samples[-1]) / np.abs(np.diff(samples)).max())


def _time_clip(client: Client, seconds: float, steps: int, rounds: int) -> dict[str, float]:
    runs = [_ask_once(client, seconds, steps) for _ in range(rounds)]
    total = statistics.median(total for total, _ in runs)
    model = statistics.median(model for _, model in runs)
    added = statistics.median(total - model for total, model in runs)
    return {"seconds": seconds, "steps": steps, "total": total, "model": model, "added": added}


def _ask_once(
    client: Client, seconds: float, steps: int | None, prompt: str = "sea waves", **asked: str
) -> tuple[float, float]:
    """Return the time from the packet to /done, and the model's own part of it, as the daemon says."""
    before = number_of(client.ask("/status", reply="/status.reply")[13])
    began = time.perf_counter()
    # Anew each time: the same request is answered with the clip that is there.
    attributes: dict[str, str | int] = {"seed": 1, "again": 1, **asked}
    if steps is not None:
        attributes["steps"] = steps
    for message in client.generate(prompt, seconds, CLIP_TIMEOUT_S, **attributes):
        if message.address == "/fail":
            raise ClipsonicError("the daemon said: " + str(message.arguments[2]))
    total = time.perf_counter() - began
    return total, number_of(client.ask("/status", reply="/status.reply")[13]) - before


def _peak_memory_mib(pid: int) -> float:
    """Return the highest resident memory of a process and its children, where the system tells (Linux)."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (OSError, ValueError):
            continue
        if str(pid) in (lines["Pid"].strip(), lines["PPid"].strip()) and "VmHWM" in lines:
            total += int(lines["VmHWM"].split()[0]) / 1024
    return total


def _measure_stages(figures: GenerationFigures, settings: Settings, folder: Path, rounds: int) -> None:
    bundle = BundleRegistry(bundle_folders()).find(settings.model)
    model = load(bundle, SessionOptions(choose_provider(settings.device), settings.threads))
    card, stop = bundle.card, Cancellation()
    order = GenerationParams(
        "sea waves", "", min(10.0, card.lengths.maximum), 1, card.sampling.steps, card.sampling.guidance
    )
    embedding = model.embed_text(order.prompt, stop)
    (mel,) = model.sample(order, embedding, None, ignore_progress, stop)
    samples = Clip.mono(model.vocode(mel, stop), model.sample_rate)
    clip = finish(samples, order.seconds, FinishSettings(settings.sample_rate))
    names = iter(range(1_000_000))
    stages: dict[str, Callable[[], object]] = {
        "text": lambda: model.embed_text(order.prompt, stop),
        f"denoiser, {order.steps} steps": lambda: model.sample(order, embedding, None, ignore_progress, stop),
        "vocoder": lambda: model.vocode(mel, stop),
        "finishing": lambda: finish(samples, order.seconds, FinishSettings(settings.sample_rate)),
        "writing": lambda: write_clip(folder / f"bench{next(names)}.wav", clip, None, {"seed": 1}),
    }
    figures.stages = {name: median_time(stage, rounds) for name, stage in stages.items()}
    figures.eager = _compare_eager(model, mel.shape[1], rounds)


def _compare_eager(model: Clipsonic, n_frames: int, rounds: int) -> dict[str, float]:
    """Time the same weights in onnxruntime and in eager PyTorch; only in onnxruntime without the extra `train`."""
    card = model.card
    feeds = {
        "noised": np.zeros((2, card.mel.n_mels, n_frames // card.frame_multiple * card.frame_multiple), np.float32),
        "sigma": np.full(2, 0.5, np.float32),
        "embedding": np.zeros((2, card.embedding.size), np.float32),
        "seconds": np.full(2, 10, np.float32),
        "guidance": np.full(2, 1, np.float32),
    }
    # Older bundles have no guidance among their inputs.
    feeds = {tensor.name: feeds[tensor.name] for tensor in card.graphs["denoiser"].inputs}
    times = {"onnxruntime": median_time(lambda: model.denoiser.run(feeds, Cancellation()), rounds)}
    # The training package knows how to run its own networks; serving never imports it.
    probe = [sys.executable, "-m", "onnx_export.profiling.eager", str(n_frames), str(rounds)]
    found = subprocess.run(probe, capture_output=True, text=True)
    if found.returncode == 0:
        times["eager PyTorch"] = float(found.stdout)
    return times
