"""Replies over UDP, with pauses."""

import asyncio

from plugin_server.protocol.flow import outgoing as module
from plugin_server.protocol.flow.outgoing import Outgoing

HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 2)


class Line:
    """Remembers what was sent, to whom and when."""

    def __init__(self):
        self.sent = []
        self.loop = asyncio.get_running_loop()
        self.outgoing = Outgoing(self.send, self.loop)

    def send(self, packet, receiver):
        self.sent.append((packet, receiver, self.loop.time()))

    def to(self, receiver):
        return [packet for packet, other, _ in self.sent if other == receiver]


def numbered(n):
    return [str(number).encode() for number in range(n)]


def test_a_long_burst_goes_in_order_with_pauses_and_does_not_delay_others():
    async def run():
        line = Line()
        for packet in numbered(100):
            line.outgoing.send(packet, HERE)
        assert line.to(HERE) == numbered(module.BURST)
        line.outgoing.send(b"quick", THERE)
        assert line.to(THERE) == [b"quick"]
        await line.outgoing.drain(5)
        assert line.to(HERE) == numbered(100)
        times = [at for _, receiver, at in line.sent if receiver == HERE]
        groups = (100 - module.BURST) / module.GROUP
        assert times[-1] - times[0] >= (groups - 1) * module.PAUSE_S

    asyncio.run(run())


def test_who_asks_anew_after_an_answer_waits_for_no_pause():
    async def run():
        line = Line()
        for _ in range(20):
            line.outgoing.heard_of(HERE)
            for packet in numbered(module.BURST):
                line.outgoing.send(packet, HERE)
        assert len(line.sent) == 20 * module.BURST

    asyncio.run(run())


def test_receivers_are_forgotten_and_what_waits_has_a_bound(caplog):
    async def run():
        line = Line()
        for _ in range(module.MAX_BYTES // 60_000 + 100):
            line.outgoing.send(bytes(60_000), HERE)
        assert line.outgoing._n_bytes <= module.MAX_BYTES
        assert not line.outgoing.is_behind(HERE)
        for _ in range(module.MANY):
            line.outgoing.send(b"x", THERE)
        for _ in range(module.BURST):
            line.outgoing.send(b"x", THERE)
        assert line.outgoing.is_behind(THERE)
        line.outgoing.close()
        assert not line.outgoing.is_behind(THERE) and line.outgoing._n_bytes == 0
        line.outgoing.send(b"x", HERE)
        await asyncio.sleep(5 * module.PAUSE_S)
        assert line.outgoing._lines == {} and line.outgoing._timer is None

    asyncio.run(run())
    assert "too many replies wait for 127.0.0.1 port 1" in caplog.text


def test_what_waits_at_the_end_is_sent():
    async def run():
        line = Line()
        for packet in numbered(1000):
            line.outgoing.send(packet, HERE)
        await line.outgoing.drain(0.03)
        assert line.to(HERE) == numbered(1000)

    asyncio.run(run())
