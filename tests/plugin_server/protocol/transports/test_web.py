"""Real HTTP and real WebSockets to a daemon on toys."""

import http.client
import json
import socket
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from plugin_server.protocol.addresses import TABLE
from plugin_server.protocol.packets import Message, decode_packet, encode_message
from plugin_server.protocol.transports import web
from plugin_server.settings import Settings
from tests.conftest import running_daemon


@pytest.fixture(scope="module")
def port(daemon) -> int:
    network, until = daemon.daemon.network, time.monotonic() + 20
    while network.web.state == "starts" and time.monotonic() < until:
        time.sleep(0.01)
    assert network.web.state == "listens"
    return network.web.port


def get(port: int, path: str, host: str = "127.0.0.1", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def open_websocket(port: int, **options: object) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/", proxy=None, **options)


def command(socket: ClientConnection, name: str, address: str) -> None:
    socket.send(json.dumps({"COMMAND": name, "DATA": address}))


def receive(socket: ClientConnection) -> Message:
    return decode_packet(socket.recv(timeout=10))[0]


def wait_until_received(socket: ClientConnection) -> None:
    """Return when everything that was sent before has been received."""
    socket.send(encode_message("/version"))
    assert receive(socket).address == "/version.reply"


def test_the_tree_is_served(port):
    status, body = get(port, "/")
    tree = json.loads(body)
    assert status == 200
    for row in TABLE:
        node = tree
        for name in row.address.split("/")[1:]:
            node = node["CONTENTS"][name]
        assert node["FULL_PATH"] == row.address
    load = json.loads(get(port, "/model/load?RANGE")[1])
    assert load == {"RANGE": [{"VALS": ["slow-toy", "toy"]}]}
    seconds = json.loads(get(port, "/generate")[1])["OVERLOADS"][0]["RANGE"][1]
    assert seconds == {"MIN": 0.25, "MAX": 30.0}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/generate?TYPE", 200, b'{"TYPE":"s"}'),
        ("/generate?TYPE&ACCESS", 200, b'{"TYPE":"s","ACCESS":2}'),
        ("/generate?VALUE", 204, b""),
        ("/generate?COLOUR", 400, b""),
        ("/nowhere", 404, b""),
    ],
)
def test_statuses_and_attributes(port, path, status, body):
    assert get(port, path) == (status, body)


def test_host_info_names_the_osc_port(daemon, port):
    body = json.loads(get(port, "/?HOST_INFO")[1])
    assert body["OSC_PORT"] == daemon.port and body["EXTENSIONS"]["LISTEN"] is True


def test_localhost_may_be_ipv6(port):
    try:
        socket.create_connection(("::1", port), 5).close()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert get(port, "/generate?TYPE", host="::1")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "[::1]:{port}"}, 200),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "192.168.1.20:{port}"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "null"}, 403),
        ({"Host": "127.0.0.1:{port}", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "8.8.8.8"}, 200),
    ],
)
def test_foreign_pages_are_refused(port, headers, status):
    headers = {name: value.format(port=port) for name, value in headers.items()}
    assert get(port, "/?HOST_INFO", **headers)[0] == status


def test_foreign_pages_get_no_websocket(port):
    with pytest.raises(InvalidStatus) as caught, open_websocket(port, origin="http://evil.example"):
        pass
    assert caught.value.response.status_code == 403


def test_a_listener_gets_replies_to_others(daemon, port):
    with open_websocket(port) as websocket, daemon.client() as client:
        command(websocket, "LISTEN", "/clip")
        command(websocket, "LISTEN", "/version.reply")
        wait_until_received(websocket)
        list(client.generate("rain", 0.25, seed=5))
        clip = receive(websocket)
        assert clip.address == "/clip" and clip.arguments[5] == 5
        client.ask("/version", reply="/version.reply")
        assert receive(websocket).address == "/version.reply"
        command(websocket, "IGNORE", "/clip")
        wait_until_received(websocket)
        list(client.generate("rain", 0.25))
        client.ask("/version", reply="/version.reply")
        # Not /clip, which came in between.
        assert receive(websocket).address == "/version.reply"


def test_commands_are_answered_over_the_websocket_once_each(port):
    with open_websocket(port) as websocket:
        command(websocket, "LISTEN", "/done")
        websocket.send(encode_message("/generate", "wind", 0.25))
        replies = [receive(websocket)]
        while replies[-1].address != "/done":
            replies.append(receive(websocket))
        assert [m.address for m in replies if m.address != "/progress"] == ["/queued", "/clip", "/done"]
        websocket.send(encode_message("/sync", 4))
        assert receive(websocket) == Message("/synced", (4,))


@pytest.mark.parametrize(
    ("frame", "code", "sentence"),
    [
        (b"no osc", "bad_packet", "packet: got 6 bytes"),
        ("no json", "bad_packet", "frame: got 'no json', expected"),
        ('{"COMMAND": "LISTEN"}', "bad_packet", "frame: got"),
        ("[" * 30000, "bad_packet", "frame: got"),
        ("[1]", "bad_packet", "frame: got '[1]', expected"),
        ('{"COMMAND": "DANCE", "DATA": "/clip"}', "bad_packet", "COMMAND: got 'DANCE'"),
        ('{"COMMAND": "LISTEN", "DATA": ["/clip"]}', "bad_packet", "COMMAND: got 'LISTEN' with ['/clip']"),
        ('{"COMMAND": "LISTEN", "DATA": "/generate"}', "unknown_address", "LISTEN: got '/generate', expected one of"),
    ],
)
def test_bad_frames_are_answered_and_the_connection_goes_on(port, frame, code, sentence):
    with open_websocket(port) as websocket:
        websocket.send(frame)
        address, got, text, _ = receive(websocket).arguments
        assert (address, got) == ("", code) and sentence in text
        wait_until_received(websocket)


def test_a_frame_beyond_any_packet_ends_the_connection(port):
    with open_websocket(port) as websocket:
        websocket.send(b"/" * 200_000)
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=10)
    assert get(port, "/generate?TYPE")[0] == 200


def notify(websocket: ClientConnection) -> int:
    """Client id: the lowest that nobody has."""
    websocket.send(encode_message("/notify", 1))
    return receive(websocket).arguments[1]


def test_a_closed_connection_is_forgotten(port):
    with open_websocket(port) as websocket:
        first = notify(websocket)
        with open_websocket(port) as more:
            assert notify(more) == first + 1
    until = time.monotonic() + 5
    with open_websocket(port) as websocket:
        while notify(websocket) != first:
            websocket.send(encode_message("/notify", 0))
            receive(websocket)
            assert time.monotonic() < until


def test_a_client_that_does_not_read_is_asked_no_more_and_dropped(daemon, port, caplog, monkeypatch):
    monkeypatch.setattr(web, "UNREAD_S", 0.3)
    # Small buffers, so that few replies fill them; a connection has those of the socket that listened.
    for listening in daemon.daemon.network.web._sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with socket.socket() as unread:
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.connect(("127.0.0.1", port))
        with open_websocket(port, sock=unread, max_queue=1, close_timeout=0.1, compression=None) as websocket:
            help_ = encode_message("/help")
            until = time.monotonic() + 20
            while "does not read its replies and was dropped" not in caplog.text and time.monotonic() < until:
                try:
                    websocket.send(help_)
                except (ConnectionClosed, TimeoutError, OSError):
                    break
    assert "does not read its replies and was dropped" in caplog.text
    with daemon.client() as client:
        assert client.ask("/version", reply="/version.reply", timeout_s=30)


def test_a_client_that_waits_gets_a_reply_when_the_daemon_stops(toys, tmp_path):
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path, model="slow-toy", device="cpu", threads=1)
    replies = []
    with ExitStack() as stack:
        with running_daemon(settings, toys) as running:
            # Before anything is imported, perhaps: the port is open from the start.
            websocket = stack.enter_context(open_websocket(running.daemon.network.web.port))
            websocket.send(encode_message("/generate", "wind", 30, "@steps", 100, "@id", "waits"))
            while receive(websocket).address != "/progress":
                pass
        with pytest.raises(ConnectionClosed):
            while True:
                replies.append(receive(websocket))
    assert replies[-1].address == "/fail" and replies[-1].arguments[1::2] == ("cancelled", "waits")


def test_a_daemon_that_is_stopped_at_once_stops(toys, tmp_path):
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path, model="toy", device="cpu", threads=1)
    began = time.monotonic()
    with running_daemon(settings, toys):
        pass
    assert time.monotonic() - began < 8


def test_a_taken_http_port_costs_nothing_but_the_number(toys, tmp_path, caplog):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        settings = Settings(osc_port=0, http_port=taken, folder=tmp_path, model="toy", device="cpu", threads=1)
        with running_daemon(settings, toys) as running:
            port = running.daemon.network.web.port
            assert port not in (0, taken)
            assert get(port, "/generate?TYPE")[0] == 200
    assert f"HTTP port {taken} is taken by another program; HTTP is on {port} now" in caplog.text


def test_http_that_cannot_work_leaves_osc_alone(toys, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("plugin_server.protocol.transports.web._build_server", lambda _app, _access: 1 / 0)
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path, model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as running, running.client() as client:
        until = time.monotonic() + 5
        while "failed" not in (state := client.ask("/network", reply="/network.reply"))[1]:
            assert time.monotonic() < until
        assert "ZeroDivisionError" in state[1]
    assert "HTTP does not work" in caplog.text
