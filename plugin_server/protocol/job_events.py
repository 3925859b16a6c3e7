"""Requests into the queue, and what comes of them back to those who asked and to those who follow."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from plugin_server.protocol.packets import address_of
from plugin_server.protocol.replies import MAX_SENTENCE, Replies, Reply, encode_or_fail
from plugin_server.protocol.subscribers import Peer, Subscribers
from plugin_server.studio.jobs import ClipMade, Done, Event, Failed, Job, Jobs, Progress, Queued
from plugin_server.studio.requests import Generate, LoadModel, RenderBank, RenderSlot, Request, UnloadModel

log = logging.getLogger(__name__)

ADDRESS_OF = {
    Generate: "/generate",
    LoadModel: "/model/load",
    UnloadModel: "/model/unload",
    RenderBank: "/bank/render",
    RenderSlot: "/bank/fire",
}
"""The address that asks for each kind of request."""


class JobEvents:
    """Sends the events of jobs, which come from other threads, by way of the loop."""

    def __init__(self, jobs: Jobs, subscribers: Subscribers, replies: Replies) -> None:
        self._jobs, self._subscribers, self._replies = jobs, subscribers, replies
        self._unsent: dict[Job, list[Callable[[], None]]] = {}
        """Jobs that have ended and whose end is sent later, with what waits for that; of the loop."""

    def submit(self, peer: Peer, request: Request) -> Job:
        """Queue a request for a peer, from any thread; return its job. Raises what the queue raises."""
        return self._jobs.submit(request, _Listener(peer, self))

    def askers(self, job: Job) -> set[Peer]:
        """Return who asked for a job that has not ended."""
        return {listener.peer for listener in job.listeners if isinstance(listener, _Listener)}

    def is_awaited(self, peer: Peer) -> bool:
        """Return whether a job of a peer has not ended."""
        return any(peer in self.askers(job) for job in self._jobs.active())

    def on_event(self, job: Job, event: Event) -> None:
        """Send an event of any job to all who follow but did not ask for it; from any thread."""
        if isinstance(event, ClipMade) and event.take == 1 and event.n_heard < event.n_words:
            log.warning("%s: the model heard %d of %d words", job.id, event.n_heard, event.n_words)
        if not _is_sent_later(job, event):
            self._replies.on_loop(self._broadcast, _event_packet(job, event), self.askers(job))

    def notify(self, peer: Peer, job: Job, event: Event) -> None:
        """Send one event of a job to who asked for it; from any thread."""
        if not _is_sent_later(job, event):
            self._replies.on_loop(peer.send, _event_packet(job, event))

    def hold_end(self, job: Job) -> None:
        """Let those who wait for the end of a job wait until `send_end`; on the loop."""
        self._unsent.setdefault(job, [])

    def send_end(self, job: Job, event: Event, askers: set[Peer]) -> None:
        """Send the end of a job to who asked and all who follow, then let those go on who wait for it; on the loop."""
        packet = _event_packet(job, event)
        for peer in askers:
            peer.send(packet)
        self._broadcast(packet, askers)
        for go_on in self._unsent.pop(job, []):
            go_on()

    def wait_until_published(self) -> None:
        """Return when an event that is being published has been given to every listener; from any other thread."""
        # Events are published with the lock of the jobs held, which this waits for.
        self._jobs.active()

    def watch_active(self) -> list[asyncio.Future[None]]:
        """Return a future for each job that waits or runs, which is done when the job has ended; on the loop."""
        ended: dict[Job, asyncio.Future[None]] = {}

        def end(job: Job) -> None:
            waiting, go_on = self._unsent.get(job), partial(ended[job].set_result, None)
            go_on() if waiting is None else waiting.append(go_on)

        def on_event(job: Job, _event: Event) -> None:
            if job.ended:
                self._replies.on_loop(end, job)

        loop = asyncio.get_running_loop()
        ended |= {job: loop.create_future() for job in self._jobs.subscribe_active(on_event)}
        return list(ended.values())

    def _broadcast(self, packet: bytes, askers: set[Peer]) -> None:
        for listener in self._subscribers.except_for(askers, address_of(packet)):
            listener.send(packet)


@dataclass(frozen=True, slots=True)
class _Listener:
    """Sends to its own peer. Compares by it, so that a client which asks twice with one id gets everything once."""

    peer: Peer
    events: JobEvents

    def __call__(self, job: Job, event: Event) -> None:
        self.events.notify(self.peer, job, event)


def _is_sent_later(job: Job, event: Event) -> bool:
    """Return whether the event is the end of a job of banks that is done.

    A slot that was fired is done when it sounds, a bank that was rendered when its slots have been sent.
    """
    return isinstance(job.request, RenderSlot | RenderBank) and isinstance(event, Done)


def _event_packet(job: Job, event: Event) -> bytes:
    about = ADDRESS_OF[type(job.request)]
    address, *arguments = _event_message(job, event, about)
    return encode_or_fail(address, *arguments, about=about, job=job.id)


def _event_message(job: Job, event: Event, about: str) -> Reply:
    match event:
        case Queued(position):
            return ("/queued", job.id, about, position)
        case Progress(fraction, stage):
            return ("/progress", job.id, float(fraction), stage)
        case ClipMade(clip_id, path, seconds, take, seed):
            return ("/clip", job.id, clip_id, str(path), float(seconds), take, seed)
        case Done(n_clips, confidence, nearest, n_heard, n_words) if isinstance(job.request, Generate):
            cut = (n_heard, n_words) if n_heard < n_words else ()
            return ("/done", about, job.id, n_clips, float(confidence), nearest, *cut)
        case Done(n_clips) if isinstance(job.request, RenderBank):
            return ("/done", about, job.request.name, job.id, n_clips)
        case Done():
            return ("/done", about, job.request.name, job.id)
        case Failed(code, message):
            return ("/fail", about, code, message[:MAX_SENTENCE], job.id)
