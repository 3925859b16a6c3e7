"""Slots that are fired: a bank, a queue and a player that do what the test says, and a loop of the test's own."""

import asyncio
import threading
from pathlib import Path

import pytest

from plugin_server.errors import BadFile, DeviceUnavailable, QueueFull
from plugin_server.protocol.commands import slots
from plugin_server.protocol.commands.slots import SlotTrigger
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.packets import decode_packet
from plugin_server.protocol.replies import Replies
from plugin_server.protocol.subscribers import NOBODY, Subscribers
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.jobs import ClipMade, Done, Failed, Job
from plugin_server.studio.requests import Generate

RAIN = ClipMade("rain-id", Path("/clips/rain.wav"), 0.5, 1, 1)
OTHER = ClipMade("other-id", Path("/clips/other.wav"), 0.5, 1, 1)


class Peer:
    """Remembers messages."""

    def __init__(self, host="127.0.0.1"):
        self.host, self.messages = host, []

    def send(self, packet):
        self.messages += [(message.address, *message.arguments) for message in decode_packet(packet)]


class Banks:
    """Two banks of one slot, on MIDI note 60, in the place of files."""

    def __init__(self):
        self.launch = {}

    def paths(self):
        return {"mine": Path("mine.toml"), "yours": Path("yours.toml")}

    def find(self, name):
        return Bank(name, "", (Slot("Rain", Generate(f"rain of {name}", seed=1), note=60, **self.launch),))


class Stage:
    """A trigger and all that it works on."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.peer, self.subscribers = Peer(), Subscribers()
        self.found, self.jobs, self.cues = [], [], []
        self.errors, self.full, self.known, self.stopped = [], False, {}, []
        self.toggled_off = False
        self.banks = Banks()
        self.replies = Replies(self.subscribers, loop)
        self.bank = LoadedBank(self.banks, lambda _request: self.found[-1] if self.found else None, "mine")
        self.thread = CommandThread("banks", loop.call_soon_threadsafe)
        refresh = lambda _peers: self.bank.refresh_clips()  # noqa: E731
        self.trigger = SlotTrigger(self.bank, self.thread, refresh, self, self, self.replies)

    def submit(self, peer, request):
        """As the queue does: what is known is joined, unless it failed."""
        if self.full:
            raise QueueFull("full")
        known = self.known.get(request.id)
        job = known if known and known.state != "failed" else Job(request.id, request)
        self.known[request.id] = job
        self.jobs.append((peer, job))
        return job

    def stop(self, tag):
        self.stopped.append(tag)
        return self.done(None)

    def done(self, value):
        future = asyncio.get_running_loop().create_future()
        future.set_result(value)
        return future

    def play(self, cue, _peer):
        self.cues.append(cue)
        future = asyncio.get_running_loop().create_future()
        if self.errors:
            future.set_exception(self.errors.pop(0))
        else:
            future.set_result(not (cue.is_toggle and self.toggled_off))
        return future

    def ask(self, address, *arguments, peer=None):
        handler, asker = self.trigger.handlers()[address], peer or self.peer
        self.replies.run(asker, address, lambda: handler(asker, arguments))

    def fire(self, *arguments, peer=None):
        self.ask("/bank/fire", *arguments, peer=peer)

    def publish_end(self, *events):
        """End the last job, as its thread does: the loop hears of it a moment later."""
        job = self.jobs[-1][1]
        job.state, job.events = "done" if isinstance(events[-1], Done) else "failed", list(events)
        self.trigger.on_event(job, events[-1])

    async def end_job(self, *events):
        self.publish_end(*events)
        await self.settle()

    async def settle(self):
        """Wait until the banks' thread has done what it was given, and what that brought about, several times over."""
        for _ in range(5):
            await self.thread.settle()
            for _ in range(5):
                await asyncio.sleep(0)


def on_stage(test):
    """Run a test on a stage."""

    def run():
        async def body():
            stage = Stage()
            await test(stage)
            await stage.replies.drain()
            stage.thread.stop()

        asyncio.run(body())

    run.__name__ = test.__name__
    return run


@on_stage
async def test_a_clip_that_is_known_is_given_to_the_player_before_anything_is_awaited(stage):
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.fire(0, 64)
    assert [cue.path for cue in stage.cues] == [RAIN.path] and stage.cues[0].gain == pytest.approx((64 / 127) ** 2)
    await stage.settle()
    assert stage.peer.messages == [("/done", "/bank/fire", 0, "rain-id", str(RAIN.path), "")]
    assert not stage.jobs


@on_stage
async def test_the_bank_of_the_settings_is_loaded_for_the_first_shot(stage):
    stage.found.append(RAIN)
    stage.fire("rain")
    await stage.settle()
    assert stage.bank.bank.name == "mine"
    assert [message[0] for message in stage.peer.messages] == ["/done"]


@on_stage
async def test_a_clip_that_is_not_where_it_was_is_looked_for_once(stage):
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.found.append(OTHER)
    stage.errors = [BadFile("gone")]
    stage.fire(0)
    await stage.settle()
    assert [cue.path for cue in stage.cues] == [RAIN.path, OTHER.path]
    assert stage.peer.messages == [("/done", "/bank/fire", 0, "other-id", str(OTHER.path), "")]
    stage.errors = [BadFile("gone"), BadFile("gone again")]
    stage.fire(0)
    await stage.settle()
    assert stage.peer.messages[1:] == [("/fail", "/bank/fire", "bad_file", "gone again", "")]


@on_stage
async def test_all_who_fire_before_the_clip_is_there_share_a_job_and_each_gets_one_answer(stage):
    stage.bank.load("mine")
    other = Peer("10.0.0.2")
    stage.fire(0, 127)
    stage.fire(0, 100)
    stage.fire(0, 64, peer=other)
    await stage.settle()
    assert len(stage.jobs) == 3 and len({job for _, job in stage.jobs}) == 1
    await stage.end_job(RAIN, Done(1))
    assert [cue.gain for cue in stage.cues] == [pytest.approx((64 / 127) ** 2)]
    done = ("/done", "/bank/fire", 0, "rain-id", str(RAIN.path), stage.jobs[0][1].id)
    assert stage.peer.messages == other.messages == [done]
    stage.fire(0)
    await stage.settle()
    assert stage.jobs[-1][1].id != stage.jobs[0][1].id


@on_stage
async def test_a_failure_to_play_is_told_once_to_each(stage):
    stage.bank.load("mine")
    stage.fire(0)
    stage.fire(0)
    await stage.settle()
    stage.errors = [DeviceUnavailable("no device")]
    await stage.end_job(RAIN, Done(1))
    assert stage.peer.messages == [("/fail", "/bank/fire", "device_unavailable", "no device", "")]


@on_stage
async def test_a_job_that_fails_tells_of_it_by_itself(stage):
    stage.bank.load("mine")
    stage.fire(0)
    await stage.settle()
    await stage.end_job(Failed("cancelled", "the job was cancelled"))
    assert not stage.peer.messages and not stage.cues


@on_stage
async def test_a_full_queue_is_told_and_the_next_shot_may_be_made(stage):
    stage.bank.load("mine")
    stage.full = True
    stage.fire(0)
    await stage.settle()
    assert stage.peer.messages == [("/fail", "/bank/fire", "queue_full", "full", "")]
    stage.full = False
    stage.fire(0)
    await stage.settle()
    await stage.end_job(RAIN, Done(1))
    assert stage.peer.messages[-1][:3] == ("/done", "/bank/fire", 0)


@on_stage
async def test_the_slot_of_the_bank_that_was_loaded_is_made_when_another_is_loaded_meanwhile(stage):
    stage.bank.load("mine")
    stage.found.append(OTHER)
    gate = threading.Event()
    loaded = stage.thread.run(lambda: gate.wait(5) and stage.bank.load("yours"))
    stage.fire(0)
    gate.set()
    await loaded
    await stage.settle()
    ((_, job),) = stage.jobs
    assert (job.request.name, job.request.request.prompt) == ("mine", "rain of mine")
    assert not stage.cues


@on_stage
async def test_a_pad_that_is_let_go_answers_and_does_not_sound(stage):
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.fire(0, 0)
    await stage.settle()
    assert stage.peer.messages == [("/done", "/bank/fire", 0, "", "", "")] and not stage.cues


@on_stage
async def test_a_note_fires_its_slots_and_answers_all_who_follow(stage):
    stage.found.append(RAIN)
    stage.subscribers.add(stage.peer)
    for note in (60, 61):
        stage.replies.run(NOBODY, "/bank/fire", lambda note=note: stage.trigger.fire_note(NOBODY, note, 127))
        await stage.settle()
    assert stage.peer.messages == [("/done", "/bank/fire", 0, "rain-id", str(RAIN.path), "")]


SILENT = ("/done", "/bank/fire", 0, "", "", "")


@on_stage
async def test_a_gate_ends_when_its_pad_is_let_go(stage):
    stage.banks.launch = {"mode": "gate"}
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.fire(0, 0)
    await stage.settle()
    assert stage.stopped == []
    stage.fire(0, 1.0)
    stage.fire(0, 0.0)
    await stage.settle()
    assert stage.stopped == [stage.cues[0].slot] and not stage.cues[0].is_toggle
    assert [message[3] for message in stage.peer.messages] == ["", "rain-id", ""]


@on_stage
async def test_a_gate_ends_after_another_bank_was_loaded(stage):
    stage.banks.launch = {"mode": "gate"}
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.replies.run(NOBODY, "/bank/fire", lambda: stage.trigger.fire_note(NOBODY, 60, 127))
    stage.bank.load("yours")
    stage.replies.run(NOBODY, "/bank/fire", lambda: stage.trigger.release_note(NOBODY, 60))
    await stage.settle()
    assert stage.stopped == [stage.cues[0].slot]
    stage.fire(0)
    stage.bank.load("mine")
    stage.fire(0)
    await stage.settle()
    assert stage.stopped[1:] == [stage.cues[1].slot]


@pytest.mark.parametrize("mode", ["one-shot", "toggle"])
def test_only_a_gate_cares_for_a_release(mode):
    @on_stage
    async def test(stage):
        stage.banks.launch = {"mode": mode}
        stage.found.append(RAIN)
        stage.bank.load("mine")
        stage.fire(0, 100)
        stage.fire(0, 0)
        await stage.settle()
        assert stage.stopped == [] and stage.cues[0].is_toggle == (mode == "toggle")

    test()


@on_stage
async def test_a_gate_that_is_let_go_before_its_clip_is_there_is_not_heard(stage):
    stage.banks.launch = {"mode": "gate"}
    stage.bank.load("mine")
    stage.fire(0)
    await stage.settle()
    stage.fire(0, 0)
    await stage.end_job(RAIN, Done(1))
    assert not stage.cues
    assert stage.peer.messages == [SILENT, (*SILENT[:-1], stage.jobs[0][1].id)]


@on_stage
async def test_a_toggle_that_is_hit_twice_before_its_clip_is_there_is_not_heard(stage):
    stage.banks.launch = {"mode": "toggle"}
    stage.bank.load("mine")
    stage.fire(0)
    stage.fire(0)
    await stage.settle()
    assert stage.peer.messages == [SILENT] * 2 and not stage.jobs
    stage.fire(0)
    await stage.settle()
    stage.fire(0)
    await stage.settle()
    assert stage.peer.messages == [SILENT] * 3
    stage.fire(0, 64)
    await stage.settle()
    await stage.end_job(RAIN, Done(1))
    assert [cue.gain for cue in stage.cues] == [pytest.approx((64 / 127) ** 2)]
    assert stage.peer.messages[3:] == [("/done", "/bank/fire", 0, "rain-id", str(RAIN.path), stage.jobs[0][1].id)]


@on_stage
async def test_a_toggle_that_stopped_says_that_nothing_sounds(stage):
    stage.banks.launch = {"mode": "toggle"}
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.toggled_off = True
    stage.fire(0)
    await stage.settle()
    assert stage.peer.messages == [SILENT]


@on_stage
async def test_a_slot_waits_for_its_beat_or_that_of_the_message(stage):
    stage.banks.launch = {"at": "bar"}
    stage.found.append(RAIN)
    stage.bank.load("mine")
    for more in ((), ("@at", "Beat"), ("@at", "now")):
        stage.fire(0, 100, *more)
    stage.fire("rain", "@at", "BAR")
    await stage.settle()
    assert [cue.at for cue in stage.cues] == ["bar", "beat", "now", "bar"]
    for arguments, problem in (
        ((0, 100, "@at", "noon"), "at: got 'noon', expected one of now, beat, bar"),
        ((0, 100, "@at"), "at: got '', expected one of"),
        ((0, 100, "@gain", 1), "arguments: got 4, expected a slot and a velocity"),
    ):
        stage.peer.messages.clear()
        stage.fire(*arguments)
        await stage.settle()
        assert stage.peer.messages[0][:3] == ("/fail", "/bank/fire", "bad_argument")
        assert problem in stage.peer.messages[0][3]


@on_stage
async def test_a_slot_is_stopped_by_its_number_or_name_or_with_all(stage):
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.fire(0)
    stage.ask("/bank/stop", 0)
    stage.ask("/bank/stop", "RAIN")
    stage.ask("/bank/stop", "all")
    await stage.settle()
    cue = stage.cues[0]
    assert stage.stopped == [cue.slot, cue.slot, cue.group]
    assert [message[2] for message in stage.peer.messages[1:]] == [0, 0, "all"]
    for arguments in ((), ("moon",), (7,)):
        stage.ask("/bank/stop", *arguments)
    await stage.settle()
    assert [message[:3] for message in stage.peer.messages[4:]] == [("/fail", "/bank/stop", "bad_argument")] * 3


@on_stage
async def test_a_gate_whose_file_was_taken_away_is_not_heard_after_it_was_let_go(stage):
    stage.banks.launch = {"mode": "gate"}
    stage.found.append(RAIN)
    stage.bank.load("mine")
    stage.found.append(OTHER)
    stage.errors = [BadFile("gone")]
    stage.fire(0)
    stage.fire(0, 0)
    await stage.settle()
    assert [cue.path for cue in stage.cues] == [RAIN.path]
    assert stage.peer.messages == [SILENT] * 2 and not stage.trigger._firing


@on_stage
async def test_a_note_that_ends_before_the_first_bank_is_loaded_ends_its_gate(stage):
    stage.banks.launch = {"mode": "gate"}
    stage.found.append(RAIN)
    for act in (lambda: stage.trigger.fire_note(NOBODY, 60, 127), lambda: stage.trigger.release_note(NOBODY, 60)):
        stage.replies.run(NOBODY, "/bank/fire", act)
    await stage.settle()
    assert stage.stopped == [stage.cues[0].slot]


@on_stage
async def test_silence_reaches_a_slot_whose_clip_is_being_made(stage):
    stage.bank.load("mine")
    stage.fire(0)
    await stage.settle()
    stage.trigger.call_off()
    await stage.end_job(RAIN, Done(1))
    assert not stage.cues


@pytest.mark.parametrize("which", [0, "all"])
def test_a_stop_reaches_a_slot_whose_clip_is_being_made(which):
    @on_stage
    async def test(stage):
        stage.bank.load("mine")
        stage.fire(0)
        await stage.settle()
        stage.ask("/bank/stop", which)
        await stage.end_job(RAIN, Done(1))
        assert not stage.cues
        assert stage.peer.messages == [("/done", "/bank/stop", which), (*SILENT[:-1], stage.jobs[0][1].id)]

    test()


@on_stage
async def test_a_slot_that_is_fired_in_the_instant_after_its_job_failed_is_made_anew(stage):
    stage.bank.load("mine")
    stage.fire(0)
    await stage.settle()
    trigger = next(iter(stage.trigger._pending.values())).last
    rendering = asyncio.ensure_future(stage.trigger._render(trigger))
    # The loop hears of the end after the next shot.
    stage.publish_end(Failed("engine_crashed", "the engine died"))
    await stage.settle()
    assert len({job for _, job in stage.jobs}) == 2
    await stage.end_job(RAIN, Done(1))
    assert await rendering == [("/done", "/bank/fire", 0, "rain-id", str(RAIN.path), stage.jobs[0][1].id)]
    assert [cue.path for cue in stage.cues] == [RAIN.path]


@on_stage
async def test_only_so_many_wait_for_the_clip_of_one_slot(stage):
    stage.bank.load("mine")
    peers = [Peer(f"10.0.0.{number}") for number in range(slots.MAX_FIRING + 1)]
    for peer in peers[:-1]:
        stage.fire(0, peer=peer)
        stage.fire(0, peer=peer)
    await stage.settle()
    stage.fire(0, peer=peers[-1])
    await stage.settle()
    assert peers[-1].messages[0][:3] == ("/fail", "/bank/fire", "queue_full")
    ((pending),) = stage.trigger._pending.values()
    assert len(pending.triggers) == slots.MAX_FIRING
    await stage.end_job(RAIN, Done(1))
    assert all(len(peer.messages) == 1 for peer in peers) and len(stage.cues) == 1
