"""Connections that are silent, too many, without framing, or closed on one side; on a real daemon."""

import socket
import time
from collections.abc import Iterator

import pytest
from pythonosc import slip

from plugin_server.protocol.packets import Message, decode_packet, encode_message
from plugin_server.protocol.transports import tcp
from plugin_server.protocol.transports.framing import Framing
from plugin_server.settings import Settings
from tests.conftest import running_daemon

LOOPBACKS = ["127.0.0.1", "::1"]


@pytest.fixture(params=LOOPBACKS)
def host(request) -> str:
    """Return each loopback address that this machine has."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in request.param else socket.AF_INET) as probe:
            probe.bind((request.param, 0))
    except OSError:
        pytest.skip(f"this machine has no {request.param}")
    return request.param


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), 10)


def prefixed(address: str, *arguments: object) -> bytes:
    packet = encode_message(address, *arguments)
    return len(packet).to_bytes(4, "big") + packet


def replies(connection: socket.socket, framing: Framing) -> Iterator[Message]:
    """Yield what comes until the daemon closes."""
    while data := connection.recv(65536):
        for packet in framing.feed(data):
            yield from decode_packet(packet)


def is_alive(connection: socket.socket) -> bool:
    try:
        connection.sendall(prefixed("/version"))
        return b"/version.reply" in connection.recv(4096)
    except ConnectionError:
        return False


def test_both_loopbacks_answer_over_tcp_and_udp(daemon, host):
    with connect(daemon.port, host) as connection:
        assert is_alive(connection)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family, socket.SOCK_DGRAM) as other:
        for each in (udp, other):
            each.bind((host, 0))
            each.settimeout(10)
        # Connected: what came from another address than was asked would not be received.
        udp.connect((host, daemon.port))
        udp.send(encode_message("/version"))
        assert decode_packet(udp.recv(4096))[0].address == "/version.reply"
        udp.send(encode_message("/notify", 1, other.getsockname()[1]))
        assert decode_packet(other.recv(4096))[0].arguments[0] == "/notify"
        udp.send(encode_message("/notify", 0, other.getsockname()[1]))
        assert decode_packet(udp.recv(4096))[0].arguments[0] == "/notify"


def test_files_of_this_machine_may_be_named_on_both_loopbacks(daemon, host, tmp_path):
    with connect(daemon.port, host) as connection:
        connection.sendall(prefixed("/generate", "rain", "@image", str(tmp_path / "missing.png")))
        failed = (message for message in replies(connection, Framing()) if message.address == "/fail")
        sentence = next(failed).arguments[2]
        assert "came from" not in sentence and "missing.png" in sentence


def test_a_machine_without_ipv6_has_the_other_loopback(toys, tmp_path, monkeypatch):
    monkeypatch.setattr("plugin_server.protocol.transports.sockets.has_loopback_v6", lambda: False)
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path / "c", model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as running, connect(running.port) as connection:
        assert is_alive(connection)
        with pytest.raises(ConnectionRefusedError):
            connect(running.port, "::1")


def test_idle_connections_leave_room_for_new_ones(daemon):
    silent = [connect(daemon.port) for _ in range(tcp.MAX_CONNECTIONS)]
    try:
        assert is_alive(silent[0])
        for _ in range(100):
            silent.append(connect(daemon.port))
        with connect(daemon.port) as connection, daemon.client() as client:
            assert is_alive(connection)
            assert client.ask("/version", reply="/version.reply")
            assert len(daemon.daemon.endpoints.connections) <= tcp.MAX_CONNECTIONS
        assert not is_alive(silent[1])
    finally:
        for each in silent:
            each.close()


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\x08/ver", b"\xc0", b"\xc0/version\0\0\0"])
def test_a_first_packet_has_a_deadline(daemon, monkeypatch, data):
    monkeypatch.setattr(tcp, "FIRST_PACKET_S", 0.2)
    with connect(daemon.port) as connection:
        connection.sendall(data)
        came = connection.recv(4096)
        assert b"bad_packet" in came and b"no whole packet within 0.2 s" in came
        assert connection.recv(4096) == b""


def test_a_connection_that_sent_a_packet_may_be_silent(daemon, monkeypatch):
    monkeypatch.setattr(tcp, "FIRST_PACKET_S", 0.2)
    with connect(daemon.port) as connection:
        assert is_alive(connection)
        connection.settimeout(0.6)
        with pytest.raises(TimeoutError):
            connection.recv(4096)
        assert is_alive(connection)


@pytest.mark.parametrize(
    "data",
    [
        b"/version\0\0\0\0,\0\0\0",
        b"/generate sea waves 5\n",
        b"/sync\0\0\0,i\0\0\0\0\0\x05",
        b"#bundle\0\0\0\0\0\0\0\0\x01\0\0\0\x10/version\0\0\0\0,\0\0\0",
    ],
)
@pytest.mark.parametrize("ends", [False, True], ids=["open", "half closed"])
def test_osc_without_framing_is_told_how(daemon, data, ends):
    began = time.monotonic()
    with connect(daemon.port) as connection:
        connection.sendall(data)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        came = b""
        while more := connection.recv(4096):
            came += more
    # Within half a second, but for a machine that is busy.
    assert time.monotonic() - began < (0.3 if ends else 0.5) + 0.5
    bare, *framed = [part for part in came.split(slip.END) if part]
    for packet in (bare, *map(slip.decode, framed)):
        (message,) = decode_packet(packet)
        assert message.address == "/fail" and message.arguments[1] == "bad_packet"
        assert "SLIP" in message.arguments[2] and "length" in message.arguments[2]
    assert framed


def test_slip_without_its_first_end_is_read(daemon):
    with connect(daemon.port) as connection:
        packet = slip.encode(encode_message("/version"))[1:]
        connection.sendall(packet[:7])
        connection.sendall(packet[7:])
        framing = Framing()
        list(framing.feed(slip.END))
        assert next(replies(connection, framing)).address == "/version.reply"


def test_a_sender_that_closed_its_side_gets_what_comes_of_its_job(daemon):
    with connect(daemon.port) as connection:
        connection.sendall(prefixed("/generate", "rain", 0.25))
        connection.shutdown(socket.SHUT_WR)
        addresses = [message.address for message in replies(connection, Framing())]
    assert [address for address in addresses if address != "/progress"] == ["/queued", "/clip", "/done"]


def test_a_sender_that_closed_its_side_gets_what_a_thread_answers(daemon):
    with connect(daemon.port) as connection:
        connection.sendall(prefixed("/clip/scan"))
        connection.shutdown(socket.SHUT_WR)
        assert [message.address for message in replies(connection, Framing())][-1] == "/done"


def test_a_client_that_does_not_read_is_asked_no_more_and_dropped(daemon, monkeypatch):
    monkeypatch.setattr(tcp, "UNREAD_S", 0.3)
    with socket.socket() as connection, daemon.client() as client:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", daemon.port))
        # Sending blocks once it reads no more, and fails once it has dropped the client.
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(prefixed("/help") * 200)
        assert client.ask("/version", reply="/version.reply", timeout_s=10)
