import socket
import time

import pytest

from plugin_server.client import Client
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
