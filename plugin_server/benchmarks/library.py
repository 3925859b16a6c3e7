"""How fast the library answers when it is large.

Real files in a temporary folder, an index of them made by a scan, and a real daemon asked over UDP. Compare runs of
one machine only.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.benchmarks.report import Benchmarks, add_benchmark, percentiles, time_call
from plugin_server.client import Client
from plugin_server.daemon_process import start_daemon
from plugin_server.errors import BadArgument
from plugin_server.settings import load_settings
from plugin_server.studio.library.library import Library

WORDS = (
    "sea rain wind thunder bell kick drum dog fire door train bird piano engine glass water night forest metal crowd "
    "soft loud dark bright deep slow fast distant heavy light cold warm long short"
)
"""Each prompt has six of them, so that one word finds a sixth of all clips."""
SEARCHES = ("sea", "s", "dark night", "sea rain wind", "thunder s4", "notthere")
"""From what a sixth of all clips have to what none has; a single letter finds nearly all."""

Command = Callable[[int], tuple[str, *tuple[str | int, ...]]]
"""Address and arguments of the command of a round."""


@dataclass(slots=True)
class LibraryFigures:
    """Figures of the library, in milliseconds, but for `clips`, `rebuild_s` and `rescan_s`."""

    clips: int
    rebuild_s: float = 0.0
    """From no index to one of all files, in one thread."""
    rescan_s: float = 0.0
    """The same with an index that has all of them already."""
    rebuild_pause_ms: float = 0.0
    """The longest that another thread, which wakes every 5 ms, had to wait for its turn during the rebuild."""
    calls: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Median and 99th percentile of calls of the library."""
    osc: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The same from the packet to the last reply, with a daemon."""

    def table(self) -> str:
        """Return the figures as Markdown."""
        lines = [
            f"{self.clips} clips; index made from the files in {self.rebuild_s:.1f} s (longest pause of another thread "
            f"{self.rebuild_pause_ms:.0f} ms), compared with them in {self.rescan_s:.1f} s",
            "",
            "| what | median | 99 of 100 within |",
            "|---|---|---|",
        ]
        for title, rows in (("", self.calls), ("over OSC: ", self.osc)):
            lines += [f"| {title}{name} | {median:.2f} ms | {p99:.2f} ms |" for name, (median, p99) in rows.items()]
        return "\n".join(lines)


def add_parser(benchmarks: Benchmarks) -> None:
    """Add the benchmark `library` to the parser of all."""
    parser = add_benchmark(benchmarks, "library", __doc__ or "", run)
    parser.add_argument("--clips", type=int, default=100_000, help="files to make (default: 100000)")
    parser.add_argument("--rounds", type=int, default=500, help="calls of each kind (default: 500)")


def run(options: argparse.Namespace) -> LibraryFigures:
    """Measure with the options of the command line. Raises BadArgument, and what `measure` raises."""
    if options.clips < 1000 or options.rounds < 10:
        raise BadArgument("expected at least 1000 clips and 10 rounds")
    return measure(options.clips, options.rounds)


def measure(n_clips: int, rounds: int) -> LibraryFigures:
    """Return all figures of this machine. Raises ClipsonicError and TimeoutError when the daemon fails."""
    figures = LibraryFigures(n_clips)
    with tempfile.TemporaryDirectory() as temporary:
        folder, indexes = Path(temporary, "clips"), Path(temporary, "library")
        settings = load_settings({"folder": folder, "index_folder": indexes})
        folder.mkdir()
        _write_clips(folder, range(n_clips))
        # Files that are thrown away in the measurements go nowhere.
        with closing(Library(folder, settings.index_path, Path.unlink)) as library:
            _measure_scans(figures, library)
            _measure_calls(figures, library, rounds)
        _measure_daemon(figures, folder, indexes, rounds)
    return figures


def _write_clips(folder: Path, numbers: Sequence[int], first: str = "clip") -> list[Path]:
    """Write clips of a few samples and return their paths. Several at a time, as each waits for the disk."""

    def write(number: int) -> Path:
        words = random.Random(number).choices(vocabulary, k=6)
        path = folder / f"{first}-{'-'.join(words[:2])}_1s_s{number}_t1.wav"
        clip = _clip(number)
        recipe = {"prompt": " ".join(words), "seconds": clip.seconds, "seed": number, "model": "bench", "take": 1}
        recipe |= {"id": clip.fingerprint(), "negative": "", "steps": 16, "guidance": 3.0, "checksum": "bench"}
        write_clip(path, clip, ClipMetadata(title=str(recipe["prompt"])), recipe)
        return path

    vocabulary = WORDS.split()
    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(write, numbers))


def _clip(number: int) -> Clip:
    """Return a clip of a few samples, of which each number has others."""
    return Clip.mono(np.full(16, number / 2**23), 48000)


def _measure_scans(figures: LibraryFigures, library: Library) -> None:
    pauses, stop = [0.0], threading.Event()

    def wake() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            time.sleep(0.005)
            pauses.append(time.perf_counter() - began - 0.005)

    other = threading.Thread(target=wake)
    other.start()
    figures.rebuild_s = time_call(library.scan)
    stop.set()
    other.join()
    figures.rebuild_pause_ms = 1000 * max(pauses)
    figures.rescan_s = time_call(library.scan)


def _measure_calls(figures: LibraryFigures, library: Library, rounds: int) -> None:
    draw = random.Random(1)
    new = _write_clips(library.folder, range(figures.clips, figures.clips + rounds), "new")

    def search(words: str) -> Callable[[int], object]:
        return lambda i: library.search(words, 20)

    calls: dict[str, Callable[[int], object]] = {
        "list of 20": lambda i: library.newest(20),
        "list of 20 from anywhere": lambda i: library.newest(20, draw.randrange(figures.clips - 20)),
        **{f"search: {words}": search(words) for words in SEARCHES},
        "info": lambda i: library.find(_clip(draw.randrange(figures.clips)).fingerprint()),
        "entering a clip": lambda i: library.add(new[i], f"request {i}"),
        "undo of a clip": lambda i: library.undo(),
        "redo of a clip": lambda i: library.redo(),
        "star": lambda i: library.star(_clip(i).fingerprint()),
        "undo of a star": lambda i: library.undo(),
    }
    for name, call in calls.items():
        figures.calls[name] = _spread([time_call(partial(call, i)) for i in range(rounds)])


def _measure_daemon(figures: LibraryFigures, folder: Path, indexes: Path, rounds: int) -> None:
    """Time a daemon in its own process, asked as a patch asks; each command until its /done."""

    def search(words: str) -> Command:
        return lambda i: ("/clip/search", words)

    flags = ["--folder", str(folder)]
    variables = {"CLIPSONIC_INDEX_FOLDER": str(indexes)}
    with start_daemon(flags, lambda line: None, variables) as daemon, Client(daemon.port()) as client:
        daemon.wait_until_ready()
        # It compares index and folder when it starts; that has its own figure.
        client.ask("/clip/scan", reply="/done", timeout_s=600)
        commands: dict[str, Command] = {
            "list of 20": lambda i: ("/clip/list", 20),
            **{f"search: {words}": search(words) for words in SEARCHES},
            "star": lambda i: ("/clip/star", _clip(i).fingerprint(), i % 2),
            "undo of a star": lambda i: ("/clip/undo",),
        }
        for name, command in commands.items():
            times = [time_call(partial(client.ask, *command(i), reply="/done")) for i in range(rounds)]
            figures.osc[name] = _spread(times)


def _spread(times: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile of seconds, in milliseconds."""
    median, high = percentiles(times, 99)
    return 1000 * median, 1000 * high
