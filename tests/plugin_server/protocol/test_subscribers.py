"""Peers that get replies and events, and peers that are forgotten."""

from dataclasses import dataclass

from plugin_server.protocol.subscribers import EXPIRY_S, MAX_SUBSCRIBERS, Subscribers


@dataclass(frozen=True)
class Peer:
    host: str
    port: int

    def send(self, _packet):
        raise AssertionError("the table sends nothing")


HERE, THERE = Peer("127.0.0.1", 1), Peer("10.0.0.2", 1)


def test_events_reach_every_subscriber_that_did_not_ask_itself():
    table = Subscribers()
    table.add(HERE)
    table.add(THERE)
    assert table.except_for({HERE}) == [THERE]
    assert table.except_for({Peer("x", 9)}) == [HERE, THERE]


def test_replies_reach_the_sender_s_own_host_only():
    table = Subscribers()
    other_port = Peer("127.0.0.1", 2)
    table.add(other_port)
    table.add(THERE)
    assert table.for_reply(HERE) == [HERE, other_port]


def test_listeners_get_their_addresses_whoever_asked():
    table = Subscribers()
    table.listen(THERE, "/clip")
    table.listen(HERE, "/clip")
    table.add(HERE)
    assert table.for_reply(HERE, "/clip") == [HERE, THERE]
    assert table.for_reply(HERE, "/done") == [HERE]
    assert table.except_for({THERE}, "/clip") == [HERE]
    table.ignore(THERE, "/clip")
    table.ignore(THERE, "/never")
    assert table.listeners("/clip") == [HERE]
    table.remove(HERE)
    assert table.listeners("/clip") == [HERE]
    table.disconnect(HERE)
    assert table.listeners("/clip") == []


def test_client_ids_are_kept_and_used_again():
    table = Subscribers()
    assert [table.add(HERE), table.add(THERE), table.add(HERE)] == [0, 1, 0]
    table.remove(HERE)
    table.remove(HERE)
    assert table.add(Peer("new", 1)) == 0


def test_a_full_table_forgets_the_oldest():
    table = Subscribers(lambda: 0.0)
    ids = [table.add(Peer("h", i)) for i in range(MAX_SUBSCRIBERS)]
    assert ids == list(range(MAX_SUBSCRIBERS))
    assert table.add(Peer("h", 0)) == 0
    assert table.add(Peer("h", 99)) == 1
    peers = table.except_for(())
    assert len(peers) == MAX_SUBSCRIBERS
    assert Peer("h", 0) in peers and Peer("h", 1) not in peers


def test_a_full_table_forgets_a_silent_host_before_a_lively_one():
    now = [0.0]
    table = Subscribers(lambda: now[0])
    for i in range(MAX_SUBSCRIBERS - 1):
        table.add(Peer("h", i))
    table.add(THERE)
    now[0] = 1.0
    table.touch("h")
    table.add(Peer("h", 99))
    assert THERE not in table.except_for(())


def test_a_host_that_is_silent_for_long_is_forgotten():
    now = [0.0]
    table = Subscribers(lambda: now[0])
    table.add(HERE)
    table.add(THERE)
    now[0] = EXPIRY_S - 1
    table.touch(HERE.host)
    now[0] = EXPIRY_S + 1
    table.touch(HERE.host)
    assert table.except_for(()) == [HERE]
