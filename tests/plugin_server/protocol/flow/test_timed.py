"""Messages that wait for their time."""

import asyncio

import pytest

from plugin_server.errors import BadArgument, QueueFull
from plugin_server.protocol.flow import timed as module
from plugin_server.protocol.flow.timed import UNIX_EPOCH, TimedMessages
from plugin_server.protocol.packets import IMMEDIATELY, Message
from tests.plugin_server.protocol.flow.peers import Peer

NOW = 1_800_000_000.0


def at(seconds: float) -> Message:
    return Message("/a", (), round((NOW + UNIX_EPOCH + seconds) * 2**32))


def timed(done: list) -> TimedMessages:
    on_time = lambda message, peer: done.append((message.address, peer))  # noqa: E731
    return TimedMessages(on_time, asyncio.get_running_loop(), lambda: NOW)


def test_time_tags_are_seconds_from_now():
    async def run():
        messages = [at(0.5), Message("/a", (), IMMEDIATELY), at(-3600), at(59.9)]
        half, immediately, late, far = timed([]).seconds_ahead(messages)
        assert half == pytest.approx(0.5, abs=1e-3) and far == pytest.approx(59.9, abs=1e-3)
        assert immediately <= 0 and late <= 0
        assert timed([]).seconds_ahead([]) == []
        with pytest.raises(BadArgument, match="time tag: got a bundle for 3600 s from now, expected at most 60 s"):
            timed([]).seconds_ahead([at(0), at(3600)])

    asyncio.run(run())


def test_each_message_comes_at_its_time():
    async def run():
        done, peer = [], Peer("a")
        waiting = timed(done)
        for name, seconds in (("/third", 0.06), ("/first", 0.02), ("/second", 0.04)):
            waiting.add(Message(name, ()), peer, seconds, 20)
        assert peer in waiting
        await asyncio.sleep(0.09)
        assert done == [("/first", peer), ("/second", peer), ("/third", peer)]
        assert peer not in waiting and waiting._costs.total() == 0

    asyncio.run(run())


def test_what_waits_has_a_bound_and_is_dropped_with_its_peer_and_at_the_end():
    async def run():
        done, one = [], Peer("one")
        waiting = timed(done)
        with pytest.raises(QueueFull, match="messages wait for their time already"):
            for _ in range(module.MAX_COST // module.MIN_COST + 1):
                waiting.add(at(1), one, 0.01, 12)
        waiting.add(at(1), Peer("two"), 0.01, 12)
        waiting.disconnect(one)
        assert waiting._costs.total() == module.MIN_COST
        waiting.stop()
        await asyncio.sleep(0.03)
        assert done == []

    asyncio.run(run())
