"""Replies to a peer that remembers what it got."""

import asyncio
from types import SimpleNamespace

import pytest

from plugin_server.errors import BadArgument, DuplicateJob
from plugin_server.protocol import replies as module
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.packets import decode_packet
from plugin_server.protocol.replies import Replies, ReplyPorts
from plugin_server.protocol.subscribers import Subscribers


class Peer:
    """Remembers messages."""

    def __init__(self, host="127.0.0.1"):
        self.host, self.messages = host, []

    def send(self, packet):
        self.messages += [(message.address, *message.arguments) for message in decode_packet(packet)]


async def received(command, job="") -> list[tuple]:
    """What a peer gets for a command."""
    peer, replies = Peer(), Replies(Subscribers(), asyncio.get_running_loop())
    replies.run(peer, "/x", command, job)
    for _ in range(5):
        await asyncio.sleep(0)
    return peer.messages


def fail(error):
    raise error


async def fail_later(error):
    await asyncio.sleep(0)
    raise error


async def answer_later():
    await asyncio.sleep(0)
    return [("/done", "/x", 1)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (lambda: [("/a", 1), ("/done", "/x")], [("/a", 1), ("/done", "/x")]),
        (lambda: (), []),
        (answer_later, [("/done", "/x", 1)]),
        (lambda: fail(BadArgument("no")), [("/fail", "/x", "bad_argument", "no", "mine")]),
        (lambda: fail(DuplicateJob("no")), [("/fail", "/x", "duplicate_job", "no", "")]),
        (lambda: fail_later(BadArgument("no")), [("/fail", "/x", "bad_argument", "no", "")]),
    ],
)
def test_what_a_command_answers_is_sent(command, expected):
    assert asyncio.run(received(command, "mine")) == expected


@pytest.mark.parametrize("command", [lambda: fail(KeyError(1)), lambda: fail_later(KeyError(1))])
def test_an_unforeseen_error_is_logged_and_sent(command, caplog):
    sentence = "something unforeseen went wrong: KeyError(1)"
    assert asyncio.run(received(command, "mine")) == [("/fail", "/x", "error", sentence, "")]
    assert "KeyError" in caplog.text


def test_a_command_that_waits_lets_the_next_one_answer():
    async def run() -> list[tuple]:
        peer, replies = Peer(), Replies(Subscribers(), asyncio.get_running_loop())
        replies.run(peer, "/slow", answer_later)
        replies.run(peer, "/quick", lambda: [("/done", "/quick")])
        await asyncio.sleep(0.01)
        return peer.messages

    assert asyncio.run(run()) == [("/done", "/quick"), ("/done", "/x", 1)]


def test_commands_are_waited_for_at_the_end_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.05)

    async def run() -> list[tuple]:
        peer, replies = Peer(), Replies(Subscribers(), asyncio.get_running_loop())
        never = asyncio.get_running_loop().create_future()
        replies.run(peer, "/never", lambda: never)
        replies.run(peer, "/x", answer_later)
        await asyncio.sleep(0)
        await replies.drain()
        await asyncio.sleep(0)
        assert never.cancelled()
        return peer.messages

    failed = ("/fail", "/never", "cancelled", "the daemon is being stopped", "")
    assert asyncio.run(run()) == [("/done", "/x", 1), failed]


def test_an_announcement_reaches_each_peer_once():
    async def run() -> tuple[list, list]:
        asker, subscriber, subscribers = Peer(), Peer("10.0.0.2"), Subscribers()
        subscribers.add(asker)
        subscribers.add(subscriber)
        Replies(subscribers, asyncio.get_running_loop()).announce([asker], "/new", 1)
        await asyncio.sleep(0)
        return asker.messages, subscriber.messages

    assert asyncio.run(run()) == ([("/new", 1)], [("/new", 1)])


def test_a_port_to_receive_on_is_found():
    ports, peer = ReplyPorts(), Peer()
    ports.peer_on_port = lambda peer, port: (peer.host, port)
    assert ports.find(peer, []) is peer
    assert ports.find(peer, [9000]) == ("127.0.0.1", 9000)
    with pytest.raises(BadArgument, match="port: got 0, expected 1 to 65535"):
        ports.find(peer, [0])


def test_answers_of_one_thread_come_in_the_order_in_which_they_were_asked_for():
    async def run() -> list[tuple]:
        works = []
        peer, replies = Peer(), Replies(Subscribers(), asyncio.get_running_loop())
        thread = CommandThread("tests", replies.on_loop, SimpleNamespace(submit=works.append))
        replies.run(peer, "/first", lambda: thread.run(lambda: [("/first",)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        replies.run(peer, "/second", lambda: thread.run(lambda: [("/second",)]))
        # Both are done before the loop goes on.
        for work in works:
            work()
        thread.call_in_order(replies.announce, [peer], "/third")
        for _ in range(10):
            await asyncio.sleep(0)
        return peer.messages

    assert asyncio.run(run()) == [("/first",), ("/second",), ("/third",)]


def test_what_a_failure_names_steers_no_terminal():
    async def run() -> list[tuple]:
        peer, replies = Peer(), Replies(Subscribers(), asyncio.get_running_loop())
        replies.fail(peer, "/\x1b[2J\n", BadArgument("got \x07\x00"), "\x1bjob")
        await asyncio.sleep(0.01)
        return peer.messages

    assert asyncio.run(run()) == [("/fail", "/ [2J ", "bad_argument", "got   ", " job")]
