import socket
import threading
import time
from contextlib import contextmanager

import pytest

from plugin_server import client as client_module
from plugin_server.client import Client
from plugin_server.errors import ClipsonicError, NoDaemon
from plugin_server.protocol.packets import encode_message


class Resetting:
    """A socket that says, as Windows does, that a port it sent to is closed, `times` times before a message comes."""

    def __init__(self, times):
        self.times, self.timeouts = times, []

    def settimeout(self, seconds):
        self.timeouts.append(seconds)

    def recv(self, size):
        self.times -= 1
        if self.times < 0:
            return encode_message("/hello")
        time.sleep(0.01)
        raise ConnectionResetError(10054, "reset")

    def close(self):
        pass


def test_a_daemon_that_did_not_listen_yet_is_waited_for(monkeypatch):
    with Client(9) as client:
        client._socket.close()
        monkeypatch.setattr(client, "_socket", Resetting(3))
        assert client.receive(1.0).address == "/hello"
        assert client._socket.timeouts == sorted(client._socket.timeouts, reverse=True)


def test_silence_is_a_timeout():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf, Client(9) as client:
        deaf.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.receive(0.1)
        assert time.monotonic() - began < 1


@contextmanager
def deaf_port():
    """Yield a port where somebody listens and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield deaf.getsockname()[1]


@pytest.fixture
def closed_port():
    with deaf_port() as port:
        pass
    return port


@pytest.mark.parametrize(
    "ask", [lambda client: client.ask("/version", reply="/version.reply"), lambda client: list(client.generate("rain"))]
)
def test_a_port_where_nobody_listens_is_told_at_once(closed_port, ask):
    began = time.monotonic()
    sentence = (
        rf"no daemon answers at 127\.0\.0\.1:{closed_port}; start one with: clipsonic serve --osc-port {closed_port}"
    )
    with Client(closed_port) as client, pytest.raises(NoDaemon, match=sentence) as raised:
        ask(client)
    assert isinstance(raised.value, ClipsonicError) and isinstance(raised.value, TimeoutError)
    assert time.monotonic() - began < 1


def test_a_silent_host_is_told_soon(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_S", 0.1)
    began = time.monotonic()
    with deaf_port() as port, Client(port) as client, pytest.raises(NoDaemon, match="no daemon answers"):
        list(client.generate("rain"))
    assert time.monotonic() - began < 1


def test_a_daemon_that_is_slow_to_answer_is_waited_for(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as slow, Client(9) as client:
        slow.bind(("127.0.0.1", 0))
        client._server = slow.getsockname()
        to_client = ("127.0.0.1", client.port)
        timer = threading.Timer(0.2, slow.sendto, (encode_message("/synced", 1), to_client))
        timer.start()
        assert client.ask("/sync", 1, reply="/synced") == (1,)
        # It was heard a moment ago, and so is not asked for again.
        assert client._probe is None
        timer.join()


def test_a_daemon_that_went_away_is_told(monkeypatch):
    monkeypatch.setattr(client_module, "HEARD_S", 0.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon, Client(9) as client:
        daemon.bind(("127.0.0.1", 0))
        client._server = daemon.getsockname()
        daemon.sendto(encode_message("/synced", 1), ("127.0.0.1", client.port))
        assert client.ask("/sync", 1, reply="/synced") == (1,)
        daemon.close()
        with pytest.raises(NoDaemon):
            client.ask("/sync", 2, reply="/synced")


def test_asking_whether_it_is_there_is_answered_to_nobody(daemon):
    with daemon.client() as ear, daemon.client() as client:
        ear.ask("/notify", 1, reply="/done")
        client.ask("/version", reply="/version.reply")
        assert ear.receive().address == "/version.reply"
        client.send("/sync", 7)
        assert [ear.receive().address, client.receive().address] == ["/synced"] * 2
        ear.ask("/notify", 0, reply="/done")
