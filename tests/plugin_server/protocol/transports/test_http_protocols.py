"""Many, slow and broken connections to the HTTP port of a real daemon."""

import contextlib
import http.client
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from plugin_server.protocol.packets import decode_packet, encode_message
from plugin_server.protocol.transports import http_protocols
from plugin_server.settings import Settings
from tests.conftest import Running, running_daemon

HEAD = b"GET /generate?TYPE HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def wait_for_http(running: Running) -> int:
    """Return the port once it is served."""
    web, until = running.daemon.network.web, time.monotonic() + 20
    while web.state == "starts" and time.monotonic() < until:
        time.sleep(0.01)
    assert web.state == "listens"
    return web.port


@pytest.fixture(scope="module")
def port(daemon) -> int:
    return wait_for_http(daemon)


@contextlib.contextmanager
def own_daemon(toys: Path, tmp_path: Path) -> Iterator[int]:
    """Yield the HTTP port of a daemon that starts with what the test has changed."""
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path / "c", model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as running:
        yield wait_for_http(running)


def open_socket(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(data)
    return connection


def open_websocket(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/", proxy=None, open_timeout=10)


def received(connection: socket.socket) -> bytes:
    """Return what comes until the daemon closes."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            came += more
    return came


def is_served(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/generate?TYPE")
        return connection.getresponse().read() == b'{"TYPE":"s"}'
    finally:
        connection.close()


def answers(websocket: ClientConnection) -> bool:
    websocket.send(encode_message("/version"))
    return decode_packet(websocket.recv(timeout=10))[0].address == "/version.reply"


@pytest.mark.parametrize(
    "data", [b"", b"GET / HT", HEAD, b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"]
)
def test_half_requests_leave_room_for_others(port, data):
    half = [open_socket(port, data) for _ in range(150)]
    try:
        assert is_served(port)
        with open_websocket(port) as websocket:
            assert answers(websocket)
    finally:
        for each in half:
            each.close()


def test_idle_websockets_leave_room_for_others(port):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(open_websocket(port)) for _ in range(http_protocols.MAX_WEBSOCKETS)]
        assert answers(idle[0])
        idle += [stack.enter_context(open_websocket(port)) for _ in range(10)]
        assert is_served(port)
        assert answers(idle[0]) and answers(idle[-1])
        with pytest.raises(ConnectionClosed) as caught:
            idle[1].recv(timeout=10)
        assert caught.value.rcvd.code == http_protocols.TRY_AGAIN_LATER


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", b"HTTP/1.1 408"),
        (b"GET / HT", b"HTTP/1.1 408"),
        (HEAD, b"HTTP/1.1 408"),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n123", b"HTTP/1.1 405"),
    ],
)
def test_a_request_has_to_arrive_in_time(port, monkeypatch, data, answer):
    monkeypatch.setattr(http_protocols, "REQUEST_S", 0.2)
    began = time.monotonic()
    with open_socket(port, data) as connection:
        assert received(connection).startswith(answer)
    assert time.monotonic() - began < 5


def test_a_request_that_drips_has_no_more_time(port, monkeypatch):
    monkeypatch.setattr(http_protocols, "REQUEST_S", 0.3)
    until = time.monotonic() + 10
    with open_socket(port) as connection, pytest.raises(ConnectionError):
        while time.monotonic() < until:
            connection.sendall(b"G")
            time.sleep(0.02)


def test_a_connection_that_is_used_again_is_kept(port, monkeypatch):
    monkeypatch.setattr(http_protocols, "REQUEST_S", 0.2)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/generate?TYPE")
        assert connection.getresponse().read() == b'{"TYPE":"s"}'
        time.sleep(0.3)
    connection.close()


def test_a_client_that_does_not_read_a_page_is_dropped(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(http_protocols, "UNREAD_S", 0.3)
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path / "c", model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as running:
        port = wait_for_http(running)
        # Small buffers; a connection has those of the socket that listened.
        for listening in running.daemon.network.web._sockets:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.settimeout(10)
            with pytest.raises(ConnectionError):
                while True:
                    connection.sendall(HEAD.replace(b"/generate?TYPE", b"/") + b"\r\n")
                    time.sleep(0.01)
        assert is_served(port)


def test_a_websocket_that_answers_no_ping_is_dropped(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(http_protocols, "PING_S", 0.1)
    monkeypatch.setattr(http_protocols, "PONG_S", 0.1)
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(own_daemon(toys, tmp_path))
        silent = stack.enter_context(open_socket(port, HEAD + upgrade + key))
        websocket = stack.enter_context(open_websocket(port))
        assert b"101 Switching" in received(silent)
        assert answers(websocket)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\nmore\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\n" + HEAD + b"\r\n",
        HEAD + b"\r\nno HTTP\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Content-Length: 3\r\n\r\n12345678 no HTTP\r\n\r\n",
        HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(200)),
        b"GET /" + b"a" * 100_000,
        b"\xff" * 3000,
        b"GET /%ff%00%1b[2J HTTP/1.1\r\nHost: \x1b\r\n\r\n",
    ],
)
def test_what_is_no_http_gives_no_traceback(port, caplog, data):
    for _ in range(3):
        # The daemon may have closed it already, which a shutdown tells by another error than sending does.
        with contextlib.suppress(OSError), open_socket(port, data) as connection:
            connection.shutdown(socket.SHUT_WR)
            received(connection)
    assert is_served(port)
    faults = [record for record in caplog.records if record.exc_info or record.name == "asyncio"]
    assert not [(record.name, record.getMessage()) for record in faults if record.levelno > logging.DEBUG]
