"""Work on many files in processes, and folders that are made once, whichever run asks first."""

import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that limit numpy's threads. They are read once, when it is imported."""
MIN_ITEMS = 64
"""Fewer are done here: processes take about a second to start."""
CHUNK = 8
"""Items that a process takes at once."""
AHEAD = 4
"""Chunks for each process that may wait: results are large, and whoever uses them may be slower."""


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], n_processes: int | None = None
) -> Iterator[Result]:
    """Yield the function's result for each item, in the items' order, computed by processes of one thread each.

    Args:
        function: One that can be pickled.
        items: What it is called with.
        n_processes: None for one a processor that this process may use.
    """
    n_processes = n_processes or _processors()
    if n_processes == 1 or len(items) < MIN_ITEMS:
        yield from map(function, items)
        return
    # A fresh interpreter each: a copy of one that runs PyTorch's threads can hang, and keeps numpy's own.
    context = multiprocessing.get_context("spawn")
    with _one_thread_each(), ProcessPoolExecutor(n_processes, context) as pool:
        window = n_processes * CHUNK * AHEAD
        for start in range(0, len(items), window):
            yield from pool.map(function, items[start : start + window], chunksize=CHUNK)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit the threads of processes that are started meanwhile: theirs would fight for the same processors."""
    former = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def make_once(folder: Path, last: str, write: Callable[[Path], None]) -> None:
    """Fill a folder unless it is there: whole or not at all, and by one run while others wait for it.

    Args:
        folder: The folder to be.
        last: Name of the file that is written last; a folder without it is left from a run that was stopped.
        write: Is given an empty folder beside it, which is renamed when it returns.
    """
    if (folder / last).exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_name(f"{folder.name}.lock")):
        if (folder / last).exists():
            return
        part = folder.with_name(f"{folder.name}.part")
        for left in (part, folder):
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir()
        write(part)
        part.rename(folder)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a file for this process alone; the system lets go of it when the process ends, however it ends."""
    with open(path, "a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError:
                    # It gives up after ten seconds.
                    continue
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
