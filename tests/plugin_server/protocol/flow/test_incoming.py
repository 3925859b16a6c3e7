"""Queues of peers that are served in turns."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from plugin_server.errors import QueueFull
from plugin_server.protocol.flow import incoming as module
from plugin_server.protocol.flow.incoming import Incoming
from tests.plugin_server.protocol.flow.peers import Peer


class Desk:
    """Answers packets of so many steps each, and writes down who was served with what."""

    def __init__(self, step_s=0.0):
        self.done, self.refused, self.step_s = [], [], step_s
        self.incoming = Incoming(self.answer, self.refuse, asyncio.get_running_loop())

    def answer(self, packet, peer):
        for number in range(packet[0]):
            time.sleep(self.step_s)
            self.done.append((peer, packet, number))
            yield

    def refuse(self, peer, error):
        self.refused.append((peer, error))

    async def until_empty(self):
        while self.incoming._queues:
            await asyncio.sleep(0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())


def test_a_packet_is_answered_at_once_where_nothing_waits():
    async def work():
        desk, peer = Desk(), Peer("a")
        desk.incoming.receive(b"\3", peer)
        # The rest too, unless the machine was busy with something else.
        assert desk.done[0] == (peer, b"\3", 0)
        await desk.until_empty()
        assert [number for *_, number in desk.done] == [0, 1, 2]
        assert peer not in desk.incoming

    run(work)


def test_peers_are_served_in_turn_and_each_in_its_order():
    async def work():
        desk, one, two = Desk(step_s=0.003), Peer("one"), Peer("two")
        desk.incoming.receive(b"\x14first", one)
        desk.incoming.receive(b"\1second", one)
        desk.incoming.receive(b"\2", two)
        await desk.until_empty()
        order = [peer for peer, *_ in desk.done]
        # The first turn was that of the one alone.
        assert order.index(two) <= 4 and order[-1] is one
        mine = [(packet, number) for peer, packet, number in desk.done if peer is one]
        assert mine == [(b"\x14first", i) for i in range(20)] + [(b"\1second", 0)]

    run(work)


def test_a_turn_is_short_and_others_have_the_loop_between_two():
    async def work():
        desk, pauses = Desk(step_s=0.001), []
        for name in range(5):
            desk.incoming.receive(b"\x40", Peer(str(name)))
        while desk.incoming._queues:
            began = time.perf_counter()
            await asyncio.sleep(0)
            pauses.append(time.perf_counter() - began)
        assert len(desk.done) == 5 * 64
        assert sorted(pauses)[len(pauses) // 2] < 0.05

    run(work)


def test_a_peer_that_is_behind_waits_and_others_do_not():
    async def work():
        desk, slow, other = Desk(), Peer("slow"), Peer("other")
        slow.is_behind = True
        desk.incoming.receive(b"\2", slow)
        desk.incoming.receive(b"\2", other)
        await asyncio.sleep(0.02)
        assert {peer for peer, *_ in desk.done} == {other}
        slow.is_behind = False
        await desk.until_empty()
        assert len(desk.done) == 4

    run(work)


def test_one_packet_too_many_is_dropped_and_told_once():
    async def work():
        desk, fast = Desk(), Peer("fast")
        fast.is_behind = True
        for _ in range(module.MAX_WAITING + 10):
            desk.incoming.receive(b"\1", fast)
        ((peer, error),) = desk.refused
        assert peer is fast and isinstance(error, QueueFull)
        fast.is_behind = False
        await desk.until_empty()
        assert len(desk.done) == module.MAX_WAITING
        desk.incoming.receive(b"\1", fast)
        await desk.until_empty()
        assert len(desk.done) == module.MAX_WAITING + 1 and desk.incoming._n_bytes == 0

    run(work)


@pytest.mark.parametrize(("size", "peers", "taken"), [(60_000, 1, 4), (60_000, 200, 139)])
def test_bytes_that_wait_have_a_bound_for_each_and_for_all(size, peers, taken):
    async def work():
        desk = Desk()
        for number in range(peers):
            peer = Peer(str(number))
            peer.is_behind = True
            for _ in range(10 if peers == 1 else 1):
                desk.incoming.receive(bytes(size), peer)
        assert desk.incoming._n_bytes == taken * size
        desk.incoming.stop()
        assert desk.incoming._n_bytes == 0

    run(work)


def test_forged_addresses_fill_no_memory():
    async def work():
        desk = Desk()
        for number in range(3 * module.MAX_PEERS):
            peer = Peer(str(number))
            peer.is_behind = True
            desk.incoming.receive(b"\1", peer)
        assert len(desk.incoming._queues) == module.MAX_PEERS

    run(work)


def test_a_stream_is_asked_for_a_packet_when_that_before_is_answered():
    async def work():
        desk, peer, taken = Desk(), Peer("stream"), []

        def packets():
            for number in range(300):
                taken.append(len(desk.done))
                yield bytes((1, number % 256))
            taken.append("end")

        desk.incoming.follow(packets(), peer)
        await desk.until_empty()
        assert taken == [*range(300), "end"]

    run(work)


def test_what_waits_of_a_peer_that_is_gone_is_dropped():
    async def work():
        desk, gone = Desk(), Peer("gone")
        gone.is_behind = True
        desk.incoming.receive(b"\1", gone)
        assert gone in desk.incoming
        desk.incoming.disconnect(gone)
        gone.is_behind = False
        await asyncio.sleep(0.03)
        assert desk.done == [] and desk.incoming._n_bytes == 0

    run(work)


def test_an_error_costs_its_packet_alone(caplog):
    async def work():
        desk, peer = Desk(), Peer("a")
        desk.incoming.receive(b"", peer)
        desk.incoming.receive(b"\1", peer)
        await desk.until_empty()
        assert len(desk.done) == 1

    run(work)
    assert "IndexError" in caplog.text
