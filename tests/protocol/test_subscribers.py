from dataclasses import dataclass

from plugin_server.protocol.subscribers import EXPIRY_S, MAX_SUBSCRIBERS, Subscribers


@dataclass(frozen=True)
class Peer:
    host: str
    port: int

    def send(self, packet):
        raise AssertionError("the table sends nothing")


HERE, THERE = Peer("127.0.0.1", 1), Peer("10.0.0.2", 1)


def test_events_reach_the_asker_and_every_subscriber_once():
    table = Subscribers()
    table.add(HERE)
    table.add(THERE)
    assert table.for_events(HERE) == [HERE, THERE]
    assert table.for_events(Peer("x", 9)) == [Peer("x", 9), HERE, THERE]


def test_answers_reach_the_askers_own_host_only():
    table = Subscribers()
    other_port = Peer("127.0.0.1", 2)
    table.add(other_port)
    table.add(THERE)
    assert table.for_reply(HERE) == [HERE, other_port]


def test_client_ids_are_kept_and_used_again():
    table = Subscribers()
    assert [table.add(HERE), table.add(THERE), table.add(HERE)] == [0, 1, 0]
    table.remove(HERE)
    table.remove(HERE)
    assert table.add(Peer("new", 1)) == 0


def test_the_table_is_bounded():
    table = Subscribers()
    ids = [table.add(Peer("h", i)) for i in range(MAX_SUBSCRIBERS + 1)]
    assert ids[-1] is None
    assert table.add(Peer("h", 0)) == 0


def test_a_host_that_is_silent_for_long_is_forgotten():
    now = [0.0]
    table = Subscribers(lambda: now[0])
    table.add(HERE)
    table.add(THERE)
    now[0] = EXPIRY_S - 1
    table.heard(HERE.host)
    now[0] = EXPIRY_S + 1
    table.heard(HERE.host)
    assert table.for_events(HERE) == [HERE]
