"""`/bank/fire`: a slot whose clip is known sounds at once, one without is looked for, and made when it is not there."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from plugin_server.audio.playback.player import Cue
from plugin_server.errors import BadArgument, BadFile
from plugin_server.protocol.arguments import as_number, at_most, check_range
from plugin_server.protocol.commands.banks import read_slot
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Replies, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import Argument, Range, Row
from plugin_server.studio.banks.files import Slot
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.jobs import ClipMade, Done, Event, Failed, Job
from plugin_server.studio.requests import RenderSlot

FULL_VELOCITY = 127
VELOCITIES = Range(0, FULL_VELOCITY)
ROWS = (
    Row(
        "/bank/fire",
        "sound a slot, by its number from 0 or its name, at once when its clip is made, else as soon as it is",
        (Argument("slot"), Argument("velocity", "f", VELOCITIES, optional=True)),
        replies=("/queued", "/progress", "/clip", "/bank.slot", "/done"),
    ),
)
"""Rows of the address table that this file answers."""

ADDRESS = "/bank/fire"

Play = Callable[[Cue, Peer], Awaitable[bool]]
"""Gives a clip to the player at once, for a peer; returns or raises, when awaited, what `Player.play` does."""
RefreshClips = Callable[[Collection[Peer]], None]
"""Looks for clips of the loaded bank and sends those that are new to these peers and all who follow."""


@dataclass(frozen=True, slots=True)
class _Trigger:
    """One request to hear a slot of a bank."""

    peer: Peer
    bank: str
    number: int
    slot: Slot
    velocity: float


@dataclass(slots=True)
class _PendingRender:
    """A job whose clip sounds once for all who fired its slot: as the last of them asked for."""

    request: RenderSlot
    clip: asyncio.Future[ClipMade | None]
    """Done when the job has ended; None when it failed."""
    triggers: list[_Trigger] = field(default_factory=list)
    played: asyncio.Task[ClipMade | None] | None = None
    """Plays the clip when it is there."""


class SlotTrigger:
    """Fires slots. Its methods belong to the loop, but for `on_event`."""

    def __init__(
        self,
        bank: LoadedBank,
        thread: CommandThread,
        refresh_clips: RefreshClips,
        events: JobEvents,
        play: Play,
        replies: Replies,
    ) -> None:
        """`thread` is the one that reads banks, in which `refresh_clips` works."""
        self._bank, self._thread, self._refresh_clips = bank, thread, refresh_clips
        self._events, self._play_cue, self._replies = events, play, replies
        self._pending: dict[str, _PendingRender] = {}

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {ADDRESS: self._fire}

    def fire_note(self, peer: Peer, note: int, velocity: float) -> Answer:
        """Fire the slots of a MIDI note, if there are any; each answers for itself."""

        def fire() -> Answer:
            for number, slot in enumerate(self._bank.require_bank().slots):
                if slot.note == note:
                    self._replies.run(peer, ADDRESS, partial(self._trigger, peer, number, velocity))
            return ()

        return self._with_bank(fire)

    def on_event(self, job: Job, event: Event) -> None:
        """Go on with a slot whose job has ended; from any thread.

        Not at the clip itself: those who asked get that a moment after this.
        """
        if isinstance(job.request, RenderSlot) and isinstance(event, Done | Failed):
            clip = next((event for event in job.events if isinstance(event, ClipMade)), None)
            self._replies.on_loop(self._end_render, job.request.id, clip)

    def _fire(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        at_most(2, "a slot and a velocity", arguments)
        if not arguments:
            raise BadArgument("slot: got nothing, expected a slot's number or name")
        velocity = _read_velocity(arguments[1]) if len(arguments) == 2 else FULL_VELOCITY

        def fire() -> Answer:
            number = read_slot(self._bank, arguments[0])
            if velocity:
                return self._trigger(peer, number, velocity)
            # As MIDI's note-on of velocity 0: the pad was let go, and what it started sounds to its end.
            return [("/done", ADDRESS, number, "", "", "")]

        return self._with_bank(fire)

    def _with_bank(self, fire: Callable[[], Answer]) -> Answer:
        """Fire at once when a bank is loaded, else when it is."""
        return fire() if self._bank.bank else self._load_bank_and(fire)

    async def _load_bank_and(self, fire: Callable[[], Answer]) -> Iterable[Reply]:
        await self._thread.run(self._bank.require_bank)
        answer = fire()
        return await answer if isinstance(answer, Awaitable) else answer

    def _trigger(self, peer: Peer, number: int, velocity: float) -> Awaitable[list[Reply]]:
        """Give a clip that is known to the player before anything is awaited: a pad has to sound at once."""
        bank = self._bank.require_bank()
        trigger = _Trigger(peer, bank.name, number, bank.slot(number), velocity)
        clip = self._bank.clip(number)
        return self._play_or_render(trigger, clip, self._play(trigger, clip) if clip else None)

    async def _play_or_render(
        self, trigger: _Trigger, clip: ClipMade | None, playing: Awaitable[bool] | None
    ) -> list[Reply]:
        """Answer when the slot sounds; `playing` is the known clip, which may turn out not to be there any more."""
        is_lost = False
        if clip and playing:
            try:
                await playing
                return [_done(trigger, clip)]
            except BadFile:
                # Its file was taken away or broken since it was found. It is looked for again, once.
                is_lost = True
        await self._thread.run(partial(self._refresh, trigger, is_lost=is_lost))
        # Another bank may have been loaded meanwhile.
        clip = self._bank.clip(trigger.number) if self._bank.require_bank().name == trigger.bank else None
        if clip is None:
            return await self._render(trigger)
        await self._play(trigger, clip)
        return [_done(trigger, clip)]

    async def _render(self, trigger: _Trigger) -> list[Reply]:
        """Submit a job, the same for all who fire the slot before its clip is there, and answer when that sounds."""
        pending = self._find_pending(trigger) or _new_render(trigger)
        self._events.submit(trigger.peer, pending.request)
        self._pending[pending.request.id] = pending
        has_fired = any(other.peer == trigger.peer for other in pending.triggers)
        pending.triggers.append(trigger)
        if has_fired:
            # Who fires several times gets one answer, for the first.
            return []
        if pending.played is None:
            pending.played = asyncio.create_task(self._play_rendered(pending))
        clip = await pending.played
        # The job itself sends why it failed.
        return [_done(trigger, clip, pending.request.id)] if clip else []

    async def _play_rendered(self, pending: _PendingRender) -> ClipMade | None:
        clip = await pending.clip
        if clip:
            await self._play(pending.triggers[-1], clip)
        return clip

    def _play(self, trigger: _Trigger, clip: ClipMade) -> Awaitable[bool]:
        return self._play_cue(cue_of(trigger.slot, clip, trigger.velocity), trigger.peer)

    def _refresh(self, trigger: _Trigger, *, is_lost: bool) -> None:
        """Look for clips that were made; in the banks' thread."""
        if is_lost:
            self._bank.invalidate(trigger.number)
        self._refresh_clips([trigger.peer])

    def _find_pending(self, trigger: _Trigger) -> _PendingRender | None:
        key = (trigger.bank, trigger.number, trigger.slot.request)
        for pending in self._pending.values():
            if (pending.request.name, pending.request.number, pending.request.request) == key:
                return pending
        return None

    def _end_render(self, job: str, clip: ClipMade | None) -> None:
        pending = self._pending.pop(job, None)
        if pending and not pending.clip.done():
            pending.clip.set_result(clip)


def cue_of(slot: Slot, clip: ClipMade, velocity: float) -> Cue:
    """Return how a slot sounds at a velocity above 0, up to 127: gain goes with its square, as in SFZ samplers.

    A loop silences itself, so that firing it again starts it anew.
    """
    choke = slot.choke or (str(clip.path) if slot.request.loop else "")
    return Cue(clip.path, gain=(velocity / FULL_VELOCITY) ** 2, loop=slot.request.loop, choke=choke)


def _new_render(trigger: _Trigger) -> _PendingRender:
    request = RenderSlot(trigger.bank, trigger.number, trigger.slot.request, f"fire-{secrets.token_hex(6)}")
    return _PendingRender(request, asyncio.get_running_loop().create_future())


def _done(trigger: _Trigger, clip: ClipMade, job: str = "") -> Reply:
    return ("/done", ADDRESS, trigger.number, clip.id, str(clip.path), job)


def _read_velocity(atom: Atom) -> float:
    return check_range("velocity", as_number("velocity", atom), VELOCITIES)
