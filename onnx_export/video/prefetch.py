"""Videos read by several processes, in order, whatever becomes of a process."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from onnx_export.video.reader import Read, Video

READ_AHEAD = 2
"""Videos under way for each process."""


def prefetch(videos: Iterable[Video], read: Callable[[Video], Read], workers: int) -> Iterator[Read]:
    """`read(video)` of each in order, `workers` processes ahead of whoever asks; in this process for one.

    A file that kills its process is counted as 'decoder crashed', and the others are read again.
    """
    if workers <= 1:
        yield from map(read, videos)
        return
    source, pool = iter(videos), _pool(workers)
    under_way: deque[tuple[Video, Future[Read]]] = deque()
    try:
        while True:
            for video in islice(source, READ_AHEAD * workers - len(under_way)):
                under_way.append((video, _submitted(pool, read, video)))
            if not under_way:
                return
            video, future = under_way.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:
                # Whose fault it was is not told: the first is read alone, the others as before.
                pool.shutdown()
                yield _read_alone(video, read)
                pool = _pool(workers)
                under_way = deque((other, _submitted(pool, read, other)) for other, _ in under_way)
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: torch has threads by now.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _submitted(pool: ProcessPoolExecutor, read: Callable[[Video], Read], video: Video) -> Future[Read]:
    """A pool that broke meanwhile is told by the result, as one that breaks later."""
    try:
        return pool.submit(read, video)
    except BrokenProcessPool as error:
        broken: Future[Read] = Future()
        broken.set_exception(error)
        return broken


def _read_alone(video: Video, read: Callable[[Video], Read]) -> Read:
    with _pool(1) as pool:
        try:
            return pool.submit(read, video).result()
        except BrokenProcessPool:
            return Read(skipped={"decoder crashed": 1})
