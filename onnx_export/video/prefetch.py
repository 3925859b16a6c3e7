"""Videos read by several processes, in order, whatever becomes of a process."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from onnx_export.video.reader import ReadResult, Video

READ_AHEAD = 2
"""Videos that are read at once for each process, or wait for it."""


def prefetch(videos: Iterable[Video], read: Callable[[Video], ReadResult], workers: int) -> Iterator[ReadResult]:
    """Yield `read(video)` of each in order, `workers` processes ahead of the caller; in this process for one.

    A file that kills its process is counted as 'decoder crashed', and the others are read again.
    """
    if workers <= 1:
        yield from map(read, videos)
        return
    source, pool = iter(videos), _pool(workers)
    pending: deque[tuple[Video, Future[ReadResult]]] = deque()
    try:
        while True:
            for video in islice(source, READ_AHEAD * workers - len(pending)):
                pending.append((video, _submit(pool, read, video)))
            if not pending:
                return
            video, future = pending.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:
                # Which file it was is not known: the first is read alone, the others as before.
                pool.shutdown()
                yield _read_alone(video, read)
                pool = _pool(workers)
                pending = deque((other, _submit(pool, read, other)) for other, _ in pending)
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: torch has threads by now.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _submit(pool: ProcessPoolExecutor, read: Callable[[Video], ReadResult], video: Video) -> Future[ReadResult]:
    """Return the future of a video; a pool that broke meanwhile shows in its result, as one that breaks later."""
    try:
        return pool.submit(read, video)
    except BrokenProcessPool as error:
        broken: Future[ReadResult] = Future()
        broken.set_exception(error)
        return broken


def _read_alone(video: Video, read: Callable[[Video], ReadResult]) -> ReadResult:
    with _pool(1) as pool:
        try:
            return pool.submit(read, video).result()
        except BrokenProcessPool:
            return ReadResult(skipped={"decoder crashed": 1})
