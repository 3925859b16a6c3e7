"""`/bank/fire` and `/bank/stop`: a slot whose clip is known sounds at once, one without is looked for, and made."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Protocol

from plugin_server.audio.playback.player import Cue
from plugin_server.errors import BadArgument, BadFile, QueueFull
from plugin_server.protocol.arguments import as_words, at_most
from plugin_server.protocol.commands.banks import LAUNCH, read_slot, split_launch
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.commands.triggers import (
    ADDRESS,
    VELOCITIES,
    PendingRender,
    Trigger,
    as_velocity,
    silent_answer,
)
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Replies, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import Argument, Row
from plugin_server.studio.banks.cues import FULL_VELOCITY, cue_of
from plugin_server.studio.banks.launch import ANY_SLOT, GATE, TOGGLE, slot_tag
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.jobs import ClipMade, Done, Event, Failed, Job
from plugin_server.studio.requests import RenderSlot

ROWS = (
    Row(
        "/bank/fire",
        "sound a slot, by its number from 0 or its name, at once when its clip is made, else as soon as it is; "
        "velocity 0, the pad's release, ends a slot whose mode is gate; @at beat or bar waits for /tempo, a "
        "bundle for its time tag",
        (Argument("slot"), Argument("velocity", "f", VELOCITIES, optional=True)),
        (LAUNCH["at"],),
        replies=("/queued", "/progress", "/clip", "/bank.slot", "/done"),
    ),
    Row(
        "/bank/stop",
        "fade a slot out, or all slots, and forget those that wait for a beat, a bar or their clip",
        (Argument("slot", words=("all",)),),
    ),
)
"""Rows of the address table that this file answers."""

MAX_FIRING = 64
"""Peers that wait for the clip of one slot."""

RefreshClips = Callable[[Collection[Peer]], None]
"""Looks for clips of the loaded bank and sends those that are new to these peers and all who follow."""


class Sounds(Protocol):
    """The commands of playback, which let clips sound and end."""

    def play(self, cue: Cue, peer: Peer) -> Awaitable[bool]:
        """Give a clip to the player at once, for a peer; returns or raises, when awaited, what `Player.play` does."""

    def stop(self, tag: str) -> Awaitable[None]:
        """Fade out what has this tag."""


class SlotTrigger:
    """Fires and stops slots. Its methods belong to the loop, but for `on_event`."""

    def __init__(
        self,
        bank: LoadedBank,
        thread: CommandThread,
        refresh_clips: RefreshClips,
        events: JobEvents,
        sounds: Sounds,
        replies: Replies,
    ) -> None:
        """`thread` is the one that reads banks, in which `refresh_clips` works."""
        self._bank, self._thread, self._refresh_clips = bank, thread, refresh_clips
        self._events, self._sounds, self._replies = events, sounds, replies
        self._firing: set[Trigger] = set()
        """Those that are not answered yet, but for those that wait for a job."""
        self._pending: dict[Job, PendingRender] = {}
        self._gates: dict[int, str] = {}
        """The tags of gates that are held, by the numbers of their slots."""
        self._notes: dict[int, list[int]] = {}
        """The slots that the MIDI notes which are held have fired."""

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {ADDRESS: self._fire, "/bank/stop": self._stop}

    def fire_note(self, peer: Peer, note: int, velocity: float) -> Answer:
        """Fire the slots of a MIDI note, if there are any; each answers for itself."""

        def fire() -> Answer:
            slots = enumerate(self._bank.require_bank().slots)
            numbers = self._notes[note] = [n for n, slot in slots if slot.note == note and not slot.is_empty]
            for number in numbers:
                self._replies.run(peer, ADDRESS, partial(self._trigger, peer, number, velocity))
            return ()

        return self._with_bank(fire)

    def release_note(self, peer: Peer, note: int) -> Answer:
        """End the gates that a MIDI note holds; answered only when that fails."""

        def release() -> Answer:
            for number in self._notes.pop(note, ()):
                self._replies.run(peer, ADDRESS, partial(self._release, number, ()))
            return ()

        # After the note, which may have waited for a bank.
        return self._with_bank(release)

    def call_off(self, tag: str | None = None) -> bool:
        """Let triggers of a tag, or all, whose clips are not there yet not be heard; return whether there were any."""
        pending = (trigger for render in self._pending.values() for trigger in render.triggers.values())
        found = [each for each in (*self._firing, *pending) if tag in (None, each.tag) and not each.is_called_off]
        for trigger in found:
            trigger.is_called_off = True
        return any(not trigger.is_given for trigger in found)

    def on_event(self, job: Job, event: Event) -> None:
        """Go on with a slot whose job has ended; from any thread.

        Not at the clip itself: those who asked get that a moment after this.
        """
        if isinstance(job.request, RenderSlot) and isinstance(event, Done | Failed):
            clip = next((event for event in job.events if isinstance(event, ClipMade)), None)
            self._replies.on_loop(self._end_render, job, clip)

    def _fire(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        positional, launch = split_launch(arguments, ("at",))
        at_most(2, "a slot and a velocity", positional)
        if not positional:
            raise BadArgument("slot: got nothing, expected a slot's number or name")
        velocity = as_velocity(positional[1]) if len(positional) == 2 else float(FULL_VELOCITY)

        def fire() -> Answer:
            number = read_slot(self._bank, positional[0])
            if velocity and self._bank.slot(number).is_empty:
                raise BadArgument(f"slot: got {number}, which is empty; /bank/set gives it a prompt")
            if velocity:
                return self._trigger(peer, number, velocity, launch.get("at", ""))
            return self._release(number, [silent_answer(number)])

        return self._with_bank(fire)

    def _stop(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        if not arguments:
            raise BadArgument("slot: got nothing, expected a slot's number or name, or all")
        which = arguments[0] if len(arguments) == 1 else as_words("slot", arguments)
        if which == "all":
            self._gates.clear()
            self.call_off(None)
            return _after([self._sounds.stop(ANY_SLOT)], [("/done", "/bank/stop", "all")])

        def stop() -> Answer:
            number = read_slot(self._bank, which)
            tags = {slot_tag(self._bank.require_bank().name, number), self._gates.pop(number, "")} - {""}
            for tag in tags:
                self.call_off(tag)
            return _after([self._sounds.stop(tag) for tag in tags], [("/done", "/bank/stop", number)])

        return self._with_bank(stop)

    def _with_bank(self, fire: Callable[[], Answer]) -> Answer:
        """Fire at once when a bank is loaded, else when it is."""
        return fire() if self._bank.bank else self._load_bank_and(fire)

    async def _load_bank_and(self, fire: Callable[[], Answer]) -> Iterable[Reply]:
        await self._thread.run(self._bank.require_bank)
        answer = fire()
        return await answer if isinstance(answer, Awaitable) else answer

    def _trigger(self, peer: Peer, number: int, velocity: float, at: str = "") -> Answer:
        """Give a clip that is known to the player before anything is awaited: a pad has to sound at once."""
        bank = self._bank.require_bank()
        slot = bank.slot(number)
        trigger = Trigger(peer, bank.name, number, slot, velocity, at or slot.at)
        if slot.launch_mode == TOGGLE and self.call_off(trigger.tag):
            return [silent_answer(number)]
        if slot.launch_mode == GATE:
            if self._gates.get(number, trigger.tag) != trigger.tag:
                # One of another bank, whose pad nobody can let go any more.
                self._replies.run(peer, ADDRESS, partial(self._release, number, ()))
            self._gates[number] = trigger.tag
        clip = self._bank.clip(number)
        trigger.is_given = clip is not None
        self._firing.add(trigger)
        return self._play_or_render(trigger, clip, self._play(trigger, clip) if clip else None)

    def _release(self, number: int, replies: Iterable[Reply]) -> Answer:
        """End a slot whose pad was let go, where that has an effect on it."""
        tag = self._gates.pop(number, None)
        if tag is None:
            return replies
        self.call_off(tag)
        return _after([self._sounds.stop(tag)], replies)

    async def _play_or_render(
        self, trigger: Trigger, clip: ClipMade | None, playing: Awaitable[bool] | None
    ) -> list[Reply]:
        """Answer when the slot sounds; `playing` is the known clip, which may turn out not to be there any more."""
        is_lost = False
        try:
            if clip and playing:
                try:
                    return [trigger.answer(clip, is_heard=await playing)]
                except BadFile:
                    # Its file was taken away or broken since it was found. It is looked for again, once.
                    is_lost, trigger.is_given = True, False
            await self._thread.run(partial(self._refresh, trigger, is_lost=is_lost))
        finally:
            self._firing.discard(trigger)
        if trigger.is_called_off:
            return [silent_answer(trigger.number)]
        # Another bank may have been loaded meanwhile.
        clip = self._bank.clip(trigger.number) if self._bank.require_bank().name == trigger.bank else None
        if clip is None:
            return await self._render(trigger)
        return [trigger.answer(clip, is_heard=await self._play(trigger, clip))]

    async def _render(self, trigger: Trigger) -> list[Reply]:
        """Submit a job, the same for all who fire the slot before its clip is there, and answer when that sounds."""
        pending = self._submit(trigger)
        has_fired = pending.triggers.pop(trigger.peer, None)
        pending.triggers[trigger.peer] = trigger
        if has_fired:
            # Who fires several times gets one answer, for the first.
            return []
        if pending.played is None:
            pending.played = asyncio.create_task(self._play_rendered(pending))
        clip = await pending.played
        # The job itself sends why it failed.
        return [trigger.answer(clip, pending.request.id, is_heard=pending.last is not None)] if clip else []

    def _submit(self, trigger: Trigger) -> PendingRender:
        """Return what waits for the trigger's job, which is queued, or joined. Raises what the queue raises."""
        found = self._find_pending(trigger)
        if found and trigger.peer not in found.triggers and len(found.triggers) >= MAX_FIRING:
            raise QueueFull(f"{MAX_FIRING} clients wait for slot {trigger.number} already; try again later")
        request = found.request if found else trigger.new_request()
        job = self._events.submit(trigger.peer, request)
        if job not in self._pending:
            # Where the job that was found has failed a moment ago, this is another one of the same id.
            self._pending[job] = PendingRender(request, asyncio.get_running_loop().create_future())
        return self._pending[job]

    async def _play_rendered(self, pending: PendingRender) -> ClipMade | None:
        clip = await pending.clip
        if clip and pending.last:
            await self._play(pending.last, clip)
            # The slot with its clip is sent before the answer.
            await self._thread.settle()
        return clip

    def _play(self, trigger: Trigger, clip: ClipMade) -> Awaitable[bool]:
        return self._sounds.play(cue_of(trigger.slot, clip, trigger.velocity, trigger.tag, trigger.at), trigger.peer)

    def _refresh(self, trigger: Trigger, *, is_lost: bool) -> None:
        """Look for clips that were made; in the banks' thread."""
        if is_lost:
            self._bank.invalidate(trigger.number)
        self._refresh_clips([trigger.peer])

    def _find_pending(self, trigger: Trigger) -> PendingRender | None:
        wanted = (trigger.bank, trigger.number, trigger.slot.request)
        requests = ((each, each.request) for each in self._pending.values())
        return next((each for each, asked in requests if (asked.name, asked.number, asked.request) == wanted), None)

    def _end_render(self, job: Job, clip: ClipMade | None) -> None:
        pending = self._pending.pop(job, None)
        if pending and not pending.clip.done():
            pending.clip.set_result(clip)


async def _after(works: Iterable[Awaitable[None]], replies: Iterable[Reply]) -> Iterable[Reply]:
    for work in works:
        await work
    return replies
