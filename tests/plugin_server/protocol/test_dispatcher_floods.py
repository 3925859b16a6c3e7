"""What one client sends does not keep another one waiting, through real sockets of a daemon on toys."""

import socket
import struct
import sys
import threading
import time
from contextlib import suppress

import pytest
from pythonosc import slip

from plugin_server.benchmarks.packets import hostile_packets, longest_wait, watch
from plugin_server.protocol.flow.timed import UNIX_EPOCH
from plugin_server.protocol.packets import decode_packet, encode_message
from plugin_server.protocol.transports.framing import Framing
from plugin_server.settings import Settings
from tests.conftest import running_daemon

PATIENCE_S = 0.6
"""Far above what is measured, since tests share their machine; the faults that this is about lasted for seconds."""
TRIES = 3
"""Times that an answer may be late: a fault makes it late each time, what else the machine does makes it so once."""


def keeps_nobody_waiting(daemon, packets, watch_s=0.3) -> bool:
    return any(longest_wait(daemon.port, packets, watch_s) < PATIENCE_S for _ in range(TRIES))


@pytest.mark.parametrize("name", [name for name in hostile_packets() if "/notify" not in name])
def test_no_packet_keeps_another_client_waiting(daemon, name):
    assert keeps_nobody_waiting(daemon, [hostile_packets()[name]])
    with daemon.client() as client:
        client.ask("/cancel", "all", reply="/done", timeout_s=20)


def test_subscribers_of_one_packet_keep_nobody_waiting(toys, tmp_path):
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path / "clips", model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as daemon:
        assert keeps_nobody_waiting(daemon, [hostile_packets()["a bundle of /notify"]], watch_s=1.0)


def test_datagrams_of_a_fast_client_keep_nobody_waiting_and_are_bounded(daemon):
    # No more than the system's socket holds: others' packets would be lost there.
    packets = [encode_message("/help")] * 200
    assert keeps_nobody_waiting(daemon, packets)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other limits")
def test_a_burst_is_not_lost_while_the_loop_is_at_something_else(toys, tmp_path):
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path / "clips", model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as running, running.client() as burst, running.client() as other:
        held, go = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            go.wait(10)

        running.daemon.endpoints.tcp[0].get_loop().call_soon_threadsafe(hold)
        assert held.wait(10)
        for _ in range(400):
            burst.send("/sync", 1)
        other.send("/version")
        go.set()
        assert other.receive(10).address == "/version.reply"


def prefixed(*packets: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(packet)) + packet for packet in packets)


@pytest.mark.parametrize("command", [("/help",), ("/nothing",), ("/sync", 1)])
def test_a_stream_of_commands_in_one_piece_keeps_nobody_waiting(daemon, command):
    data = prefixed(encode_message(*command)) * (256 * 1024 // 24)
    with socket.create_connection(("127.0.0.1", daemon.port), 10) as connection:

        def send() -> None:
            connection.settimeout(0.3)
            try:
                connection.sendall(data)
            except TimeoutError:
                pass

        assert any(watch(daemon.port, send, watch_s=0.3) < PATIENCE_S for _ in range(TRIES))


@pytest.mark.parametrize("data", [b"\xc0" * 2**20, bytes(2**20), b"\xc0/a\xc0" * 2**17], ids=["ENDs", "zeros", "SLIP"])
def test_a_stream_of_empty_packets_keeps_nobody_waiting(daemon, data):
    with socket.create_connection(("127.0.0.1", daemon.port), 10) as connection:

        def send() -> None:
            connection.settimeout(0.3)
            with suppress(TimeoutError):
                connection.sendall(data)

        assert any(watch(daemon.port, send, watch_s=0.3) < PATIENCE_S for _ in range(TRIES))


def test_commands_of_a_stream_are_answered_in_order_and_all(daemon):
    n = 5000
    with socket.create_connection(("127.0.0.1", daemon.port), 20) as connection:
        data = b"".join(slip.encode(encode_message("/sync", number)) for number in range(n))
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        framing, heard = Framing(), []
        framing.wrap(b"")
        while len(heard) < n:
            for packet in framing.feed(connection.recv(65536)):
                heard.append(decode_packet(packet)[0].arguments[0])
        sender.join()
    assert heard == list(range(n))


def test_datagrams_are_answered_in_order_however_many_replies_there_are(daemon):
    with daemon.client() as client:
        for number in range(100):
            client.send("/sync", number)
            client.send("/help", "/sync")
        heard = [client.receive() for _ in range(300)]
    assert [m.arguments[0] for m in heard if m.address == "/synced"] == list(range(100))
    assert [m.address for m in heard] == ["/synced", "/help.reply", "/done"] * 100


def timed(seconds: float, *messages: bytes) -> bytes:
    """Return a bundle that is due so many seconds from now."""
    tag = round((time.time() + UNIX_EPOCH + seconds) * 2**32)
    return b"#bundle\0" + tag.to_bytes(8, "big") + prefixed(*messages)


def test_a_bundle_waits_for_its_time_and_others_do_not(daemon):
    with daemon.client() as client:
        began = time.monotonic()
        client.send_packet(timed(0.3, encode_message("/sync", 3)))
        client.send_packet(timed(0.15, encode_message("/sync", 2)))
        client.send_packet(timed(-5, encode_message("/sync", 1)))
        client.send("/sync", 0)
        heard = [(client.receive().arguments[0], time.monotonic() - began) for _ in range(4)]
    assert [number for number, _ in heard] == [1, 0, 2, 3]
    assert heard[2][1] >= 0.14 and heard[3][1] >= 0.29 and heard[3][1] < 0.3 + PATIENCE_S


def test_a_bundle_that_is_far_ahead_is_refused_in_words(daemon):
    with daemon.client() as client:
        client.send_packet(timed(3600, encode_message("/sync", 3)))
        address, code, sentence, _ = client.receive().arguments
    assert (address, code) == ("", "bad_argument")
    assert sentence.startswith("time tag: got a bundle for 3600 s from now, expected at most 60 s")
