"""Jobs: a queue, one worker thread, cancelling, and events for whoever listens."""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plugin_server.engine.order import Report
from plugin_server.errors import Cancelled, ClipsonicError, DuplicateJob, QueueFull, UnknownJob
from plugin_server.studio.requests import Generate

log = logging.getLogger(__name__)

REMEMBERED = 256
"""Ended jobs that are still known by their id."""


@dataclass(frozen=True, slots=True)
class ClipMade:
    """A clip that lies in the sample folder."""

    id: str
    """Fingerprint of its samples."""
    path: Path
    seconds: float
    take: int
    """Counted from 1."""
    seed: int
    confidence: float = 1.0
    """0 to 1: how near the prompt lies to a sound that the model knows."""
    nearest: str = ""
    """That sound."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits; `position` jobs come before it."""

    position: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The job is at `fraction`, 0 to 1, of its work."""

    fraction: float
    stage: str


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done; every clip was announced before."""

    n_clips: int
    confidence: float = 1.0
    """Of the clips, as ClipMade has it."""
    nearest: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with nothing more to come."""

    code: str
    message: str


Event = Queued | Progress | ClipMade | Done | Failed


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way."""

    id: str
    request: Generate
    state: str = "queued"
    """'queued', 'running', 'done' or 'failed'."""
    cancelled: bool = False
    events: list[Event] = field(default_factory=list)
    """All but progress, in order: what a client that asks again is told."""
    listeners: list[Callable[["Job", Event], None]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Nothing more will come of it."""
        return self.state in ("done", "failed")


class Maker(Protocol):
    """What does the work: the studio."""

    def make(self, request: Generate, report: Report, on_clip: Callable[[ClipMade], None]) -> None:
        """Make every take, or raise a ClipsonicError."""
        ...

    def cancel(self) -> None:
        """Let the running `make` raise Cancelled soon."""
        ...


def _done(job: Job) -> Done:
    """All takes of a job are made from the same words, so the last speaks for all."""
    clips = [event for event in job.events if isinstance(event, ClipMade)]
    return Done(len(clips), clips[-1].confidence, clips[-1].nearest) if clips else Done(0)


class Jobs:
    """The queue and its worker thread. Listeners are called from that thread, and from `submit` for /queued."""

    def __init__(self, maker: Maker, size: int) -> None:
        self._maker, self._size = maker, size
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._count = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, stop_engine: Callable[[], None]) -> None:
        """Cancel everything, stop the engine so that nothing can hang on it, and wait for the thread, 5 s at most."""
        with self._lock:
            self._stopping = True
            self.cancel_all()
            self._changed.notify_all()
        stop_engine()
        self._thread.join(5)

    def submit(self, request: Generate, listener: Callable[[Job, Event], None]) -> Job:
        """Queue a request; the listener hears Queued first.

        With an id that is known, the listener hears again what the first asking brought, and joins it. Raises
        QueueFull, or DuplicateJob when the id stands for another request.
        """
        with self._lock:
            if request.id and request.id in self._known:
                return self._join(self._known[request.id], request, listener)
            if len(self._waiting) >= self._size:
                raise QueueFull(f"the queue holds {self._size} jobs already; try again later, or /cancel some")
            job = Job(request.id or self._next_id(), request, listeners=[listener])
            position = len(self._waiting) + (self._running is not None)
            self._known[job.id] = job
            self._waiting.append(job)
            self._tell(job, Queued(position))
            self._changed.notify_all()
            return job

    def cancel(self, job_id: str) -> Job:
        """Stop a job that waits or runs. Raises UnknownJob for any other id."""
        with self._lock:
            job = self._known.get(job_id)
            if job is None or job.ended:
                raise UnknownJob(f"job: got {job_id!r}, expected the id of a job that waits or runs")
            job.cancelled = True
            if job is self._running:
                self._maker.cancel()
            else:
                self._waiting.remove(job)
                self._end(job, Cancelled("the job was cancelled while it waited"))
            return job

    def cancel_all(self) -> int:
        """Stop every job; how many there were."""
        with self._lock:
            jobs = self.active()
            for job in reversed(jobs):
                self.cancel(job.id)
            return len(jobs)

    def active(self) -> list[Job]:
        """The job that runs, if one does, then those that wait, in order."""
        with self._lock:
            return ([self._running] if self._running else []) + list(self._waiting)

    def wait(self, jobs: list[Job], timeout_s: float | None = None) -> bool:
        """Until all of `jobs` have ended; False when time ran out."""
        with self._lock:
            return self._changed.wait_for(lambda: all(job.ended for job in jobs), timeout_s)

    def _next_id(self) -> str:
        while True:
            self._count += 1
            if f"j{self._count}" not in self._known:
                return f"j{self._count}"

    def _join(self, job: Job, request: Generate, listener: Callable[[Job, Event], None]) -> Job:
        if job.request != request:
            raise DuplicateJob(f"id: got {request.id!r}, which stands for another request already")
        for event in job.events:
            listener(job, event)
        if not job.ended and listener not in job.listeners:
            job.listeners.append(listener)
        return job

    def _work(self) -> None:
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                job = self._running = self._waiting.popleft()
                job.state = "running"
            error = self._make(job)
            with self._lock:
                self._running = None
                self._end(job, error)

    def _make(self, job: Job) -> ClipsonicError | None:
        def report(fraction: float, stage: str) -> None:
            if job.cancelled:
                raise Cancelled("the job was cancelled")
            self._tell(job, Progress(fraction, stage))

        try:
            self._maker.make(job.request, report, lambda clip: self._tell(job, clip))
        except ClipsonicError as error:
            return error
        except Exception as error:
            log.exception("job %s", job.id)
            return ClipsonicError(f"something unforeseen went wrong: {error!r}")
        return None

    def _end(self, job: Job, error: ClipsonicError | None) -> None:
        job.state = "failed" if error else "done"
        self._tell(job, Failed(error.code, str(error)) if error else _done(job))
        while len(self._known) > REMEMBERED + self._size and next(iter(self._known.values())).ended:
            self._known.popitem(last=False)
        self._changed.notify_all()

    def _tell(self, job: Job, event: Event) -> None:
        if not isinstance(event, Progress):
            job.events.append(event)
        for listener in list(job.listeners):
            try:
                listener(job, event)
            except Exception:
                log.exception("a listener of job %s failed", job.id)
