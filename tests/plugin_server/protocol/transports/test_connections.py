"""A bounded table of connections that only know that they were closed."""

from plugin_server.protocol.transports.connections import TELL_EVERY_S, Connections


class Connection:
    def __init__(self) -> None:
        self.is_closed = False

    def make_room(self) -> None:
        self.is_closed = True

    close = make_room


def test_the_one_that_was_silent_longest_goes():
    connections = Connections("test", 3)
    first, second, third, fourth = (Connection() for _ in range(4))
    for each in (first, second, third):
        connections.add(each)
    connections.touch(first)
    connections.add(fourth)
    assert [each.is_closed for each in (first, second, third, fourth)] == [False, True, False, False]
    connections.touch(second)
    connections.remove(second)
    assert len(connections) == 3
    connections.remove(third)
    connections.add(second)
    assert not second.is_closed or not first.is_closed


def test_the_log_tells_of_it_once_a_minute(caplog):
    now = [0.0]
    connections = Connections("test", 1, lambda: now[0])
    for _ in range(101):
        connections.add(Connection())
    assert caplog.messages == ["more than 1 test connections: closed 1 that were silent longest"]
    now[0] = TELL_EVERY_S
    connections.add(Connection())
    assert caplog.messages[1:] == ["more than 1 test connections: closed 100 that were silent longest"]
