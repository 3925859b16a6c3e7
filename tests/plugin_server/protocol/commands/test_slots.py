"""Slots that are fired: a bank, a queue and a player that do what the test says, and a loop of the test's own."""

import asyncio
import threading
from pathlib import Path

import pytest

from plugin_server.errors import BadFile, DeviceUnavailable, QueueFull
from plugin_server.protocol.commands.slots import SlotTrigger
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.packets import decode_packet
from plugin_server.protocol.replies import Replies
from plugin_server.protocol.subscribers import NOBODY, Subscribers
from plugin_server.studio.banks.files import Bank, Slot
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

    def paths(self):
        return {"mine": Path("mine.toml"), "yours": Path("yours.toml")}

    def find(self, name):
        return Bank(name, "", (Slot("Rain", Generate(f"rain of {name}", seed=1), note=60),))


class Stage:
    """A trigger and all that it works on."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.peer, self.subscribers = Peer(), Subscribers()
        self.found, self.jobs, self.cues = [], [], []
        self.errors, self.full = [], False
        self.replies = Replies(self.subscribers, loop)
        self.bank = LoadedBank(Banks(), lambda _request: self.found[-1] if self.found else None, "mine")
        self.thread = CommandThread("banks", loop.call_soon_threadsafe)
        refresh = lambda _peers: self.bank.refresh_clips()  # noqa: E731
        self.trigger = SlotTrigger(self.bank, self.thread, refresh, self, self.play, self.replies)

    def submit(self, peer, request):
        if self.full:
            raise QueueFull("full")
        self.jobs.append((peer, request))

    def play(self, cue, _peer):
        self.cues.append(cue)
        future = asyncio.get_running_loop().create_future()
        if self.errors:
            future.set_exception(self.errors.pop(0))
        else:
            future.set_result(True)
        return future

    def fire(self, *arguments, peer=None):
        handler, asker = self.trigger.handlers()["/bank/fire"], peer or self.peer
        self.replies.run(asker, "/bank/fire", lambda: handler(asker, arguments))

    async def end_job(self, *events):
        request = self.jobs[-1][1]
        self.trigger.on_event(Job(request.id, request, "done", list(events)), events[-1])
        await self.settle()

    async def settle(self):
        for _ in range(5):
            await asyncio.to_thread(lambda: None)
            await asyncio.sleep(0.002)


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
    assert len(stage.jobs) == 3 and len({request.id for _, request in stage.jobs}) == 1
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
    ((_, request),) = stage.jobs
    assert (request.name, request.request.prompt) == ("mine", "rain of mine")
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
