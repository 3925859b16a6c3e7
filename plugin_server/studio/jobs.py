"""Jobs: a queue, one worker thread, cancelling, and events for its listeners.

An Event is one of Queued, Progress, a result, Done and Failed. A result is ClipMade today; another kind of result, such
as a MIDI file, is one more dataclass in Result.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plugin_server.engine.messages import ProgressCallback
from plugin_server.errors import Cancelled, ClipsonicError, DuplicateJob, QueueFull, UnknownJob, short_repr, unforeseen
from plugin_server.studio.requests import Request

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
    n_heard: int = 0
    """Words that the model heard, of `n_words`: what does not fit is cut off. Those of the prompt, and those of the
    negative prompt, too, where that is cut off."""
    n_words: int = 0
    is_new: bool = True
    """False when it was made before, by the same request."""


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
    """Of the clips, as ClipMade has it, like those after it."""
    nearest: str = ""
    n_heard: int = 0
    n_words: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with nothing more to come."""

    code: str
    message: str


Result = ClipMade
"""One thing that a job made."""
Event = Queued | Progress | Result | Done | Failed
"""What listeners are called with. Queued is the first of a job, Done or Failed its last; results come between them."""


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way."""

    id: str
    request: Request
    state: str = "queued"
    """'queued', 'running', 'done' or 'failed'."""
    events: list[Event] = field(default_factory=list)
    """All events but progress, in order: a client that asks again is sent them."""
    listeners: list["Listener"] = field(default_factory=list)
    """Called with its events, for those who asked for it; empty once it has ended."""
    remaining: Request | None = None
    """What remains to be done of a request that is done in parts."""

    @property
    def ended(self) -> bool:
        """True when nothing more will come of it."""
        return self.state in ("done", "failed")


Listener = Callable[[Job, Event], None]


class JobRunner(Protocol):
    """Does the work of jobs: ClipGenerator."""

    def run(self, request: Request, report: ProgressCallback, on_clip: Callable[[ClipMade], None]) -> Request | None:
        """Do what is asked for, or raise a ClipsonicError; Cancelled when `report` or `on_clip` raises it.

        Long work may be done in parts: what remains of it is returned, and comes after the jobs that wait.
        """
        ...

    def cancel(self) -> None:
        """Let the running `run` raise Cancelled soon."""
        ...


def _done(job: Job) -> Done:
    """Return the event that ends a job: all its takes are made from the same words, so the last speaks for all."""
    clips = [event for event in job.events if isinstance(event, ClipMade)]
    if not clips:
        return Done(0)
    last = clips[-1]
    return Done(len(clips), last.confidence, last.nearest, last.n_heard, last.n_words)


class Jobs:
    """The queue and its worker thread.

    Listeners are called from that thread, from `submit` and from `cancel`, always with the lock held, so that each
    gets every event once and in order; they must not wait for anything.
    """

    def __init__(self, runner: JobRunner, size: int) -> None:
        self._runner, self._size = runner, size
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._subscribers: list[Listener] = []
        self._count = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Start the worker thread."""
        self._thread.start()

    def stop(self, stop_engine: Callable[[], None]) -> None:
        """Cancel everything, stop the engine so that nothing can hang on it, and wait for the thread, 5 s at most."""
        with self._lock:
            self._stopping = True
            self.cancel_all()
            self._changed.notify_all()
        stop_engine()
        if self._thread.is_alive():
            self._thread.join(5)

    def subscribe(self, listener: Listener) -> None:
        """Call a listener with the events of every job from now on, each once, also when a client joins a job."""
        with self._lock:
            self._subscribers.append(listener)

    def subscribe_active(self, listener: Listener) -> list[Job]:
        """Call a listener with what comes of every job that waits or runs; return these jobs."""
        with self._lock:
            jobs = self.active()
            for job in jobs:
                job.listeners.append(listener)
            return jobs

    def submit(self, request: Request, listener: Listener) -> Job:
        """Queue a request; the listener is called with Queued first.

        With an id that is known, the listener alone is called with the events of that job so far, and joins it; a job
        that failed or was cancelled is made anew. Raises QueueFull, Cancelled once `stop` was called, or DuplicateJob
        when the id stands for another request.
        """
        with self._lock:
            if self._stopping:
                raise Cancelled("the daemon is being stopped")
            known = self._known.get(request.id)
            if known and known.state != "failed":
                return self._join(known, request, listener)
            if len(self._waiting) >= self._size:
                raise QueueFull(f"the queue holds {self._size} jobs already; try again later, or /cancel some")
            return self._queue(Job(request.id or self._next_id(), request, listeners=[listener]))

    def _queue(self, job: Job) -> Job:
        position = len(self._waiting) + (self._running is not None)
        # A job that failed under this id is forgotten; the new one is the youngest.
        self._known.pop(job.id, None)
        self._known[job.id] = job
        self._waiting.append(job)
        self._publish(job, Queued(position))
        self._changed.notify_all()
        return job

    def cancel(self, job_id: str) -> Job:
        """End a job that waits or runs, at once: no event comes after the Failed that says so.

        What works for a running one is told to stop and may need a moment more, which nobody has to wait for. Raises
        UnknownJob for any other id.
        """
        with self._lock:
            job = self._known.get(job_id)
            if job is None or job.ended:
                raise UnknownJob(f"job: got {short_repr(job_id)}, expected the id of a job that waits or runs")
            if job is self._running:
                self._end(job, Cancelled("the job was cancelled"))
                self._runner.cancel()
            else:
                self._waiting.remove(job)
                self._end(job, Cancelled("the job was cancelled while it waited"))
            return job

    def cancel_all(self) -> int:
        """Stop every job; return how many there were."""
        with self._lock:
            jobs = self.active()
            for job in reversed(jobs):
                self.cancel(job.id)
            return len(jobs)

    def active(self) -> list[Job]:
        """Return the job that runs, if one does, then those that wait, in order."""
        with self._lock:
            running = [self._running] if self._running and not self._running.ended else []
            return running + list(self._waiting)

    def wait(self, jobs: list[Job], timeout_s: float | None = None) -> bool:
        """Wait until all of `jobs` have ended; return False when time ran out."""
        with self._lock:
            return self._changed.wait_for(lambda: all(job.ended for job in jobs), timeout_s)

    def _next_id(self) -> str:
        while True:
            self._count += 1
            if f"j{self._count}" not in self._known:
                return f"j{self._count}"

    def _join(self, job: Job, request: Request, listener: Listener) -> Job:
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
            error = self._run(job)
            with self._lock:
                self._running = None
                if job.remaining and not job.ended:
                    job.state = "queued"
                    self._waiting.append(job)
                elif not job.ended:
                    self._end(job, error)

    def _run(self, job: Job) -> ClipsonicError | None:
        request, job.remaining = job.remaining or job.request, None
        try:
            job.remaining = self._runner.run(
                request,
                lambda fraction, stage: self._publish_running(job, Progress(fraction, stage)),
                lambda clip: self._publish_running(job, clip),
            )
        except ClipsonicError as error:
            return error
        except Exception as error:
            log.exception("job %s", job.id)
            return unforeseen(error)
        return None

    def _publish_running(self, job: Job, event: Event) -> None:
        """Publish an event of the runner. Raises Cancelled when the job was, so that the runner stops."""
        with self._lock:
            if job.ended:
                raise Cancelled("the job was cancelled")
            self._publish(job, event)

    def _end(self, job: Job, error: ClipsonicError | None) -> None:
        job.state = "failed" if error else "done"
        self._publish(job, Failed(error.code, str(error)) if error else _done(job))
        job.listeners.clear()
        while len(self._known) > REMEMBERED + self._size and next(iter(self._known.values())).ended:
            self._known.popitem(last=False)
        self._changed.notify_all()

    def _publish(self, job: Job, event: Event) -> None:
        """Call the listeners. The lock is held: a client that joins meanwhile would miss an event or get it twice."""
        if not isinstance(event, Progress):
            job.events.append(event)
        # Subscribers first: a client may join upon an event, and must not get that one again.
        for listener in [*self._subscribers, *job.listeners]:
            try:
                listener(job, event)
            except Exception:
                log.exception("a listener of job %s failed", job.id)
