"""The log of a real daemon to which strangers send what they like: short, and fit for a terminal."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from plugin_server.client import Client
from plugin_server.errors import NoDaemon
from tests.journeys.conftest import environment, free_port, serving

MAX_LOG = 20_000
"""Characters; an earlier one had 2.5 million after one packet."""


def send_packets(port: int) -> None:
    unknown_tags = b"/version\0\0\0\0," + b"xy\x1bz" * 15_000 + b"\0\0\0\0"
    controls = b"/\x1b[2J\x07\n/fail\0\0\0\0,s\0\0\x1b]0;owned\x07\n\0\0\0\0"
    not_utf_8 = b"/generate\0\0\0,ss\0\xff\xfe\x1b[0\0\0\0\0@image\0\0"
    with Client(port) as client:
        for _ in range(30):
            for packet in (unknown_tags[:60_000], controls, not_utf_8, b"#bundle\0" + b"\x01" * 60_000, b"\x1b" * 999):
                client.send_packet(packet)
            # Else the kernel would drop what comes too fast.
            client.ask("/version", reply="/version.reply", timeout_s=30)
        client.send("/play", "\x1b[2J\nnowhere.wav")
        client.send("/generate", "rain", "@image", "/tmp/\x1b[31m\n.png")
        client.ask("/version", reply="/version.reply", timeout_s=30)


def send_streams(port: int) -> None:
    connections = []
    for i in range(300):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall((b"\0", b"\x1b\n", b"GET / HTTP/1.1\r\n\r\n", b"\xc0\xdb\x01\xc0")[i % 4])
        connections.append(connection)
    for connection in connections:
        connection.close()


def send_requests(port: int) -> None:
    for data in (
        b"\x1b[2J\r\n\r\n",
        b"GET /\x1b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\nmore\r\n\r\n",
        b"\xff" * 999 + b"\r\n\r\n",
    ):
        for _ in range(30):
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(data)
                connection.recv(4096)
    for _ in range(20):
        with contextlib.suppress(ConnectionClosed), connect(f"ws://127.0.0.1:{port}/", proxy=None) as websocket:
            # As text, which it is not.
            frame = Frame(Opcode.TEXT, b"\xff\x1b[2J\n")
            websocket.protocol.send_frame(frame)
            websocket.socket.sendall(b"".join(websocket.protocol.data_to_send()))
            websocket.recv(timeout=10)


@pytest.mark.parametrize("is_verbose", [False, True], ids=["", "verbose"])
def test_what_strangers_send_neither_fills_the_log_nor_steers_the_terminal(tmp_path, is_verbose):
    with (tmp_path / "log").open("w+") as log:
        with serving(tmp_path, stderr=log, flags=("-v",) if is_verbose else ()) as process:
            with Client(process.port) as client:
                http_port = client.ask("/network", reply="/network.reply")[0]
            send_packets(process.port)
            send_streams(process.port)
            send_requests(http_port)
            with Client(process.port) as client:
                assert client.ask("/version", reply="/version.reply", timeout_s=30)
        log.seek(0)
        text = log.read()
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(len, text.splitlines()), default=0) < 1100
    if not is_verbose:
        assert len(text) < MAX_LOG and "Traceback" not in text, text


@contextlib.contextmanager
def full_disk() -> Iterator[int]:
    """Where nothing can be written to."""
    file = os.open("/dev/full", os.O_WRONLY)
    yield file
    os.close(file)


@contextlib.contextmanager
def closed_pipe() -> Iterator[int]:
    """What a program that was to read has closed, as `head -1` does."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def is_there(client: Client) -> bool:
    try:
        return bool(client.ask("/version", reply="/version.reply", timeout_s=0.2))
    except (NoDaemon, TimeoutError):
        time.sleep(0.05)
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
@pytest.mark.parametrize("output", [full_disk, closed_pipe])
def test_a_daemon_goes_on_when_nobody_can_read_what_it_prints(tmp_path, output):
    port = free_port()
    command = [sys.executable, "-m", "plugin_server", "serve", "--osc-port", str(port), "--http-port", "0"]
    command += ["--no-advertise", "--folder", str(tmp_path / "clips")]
    with (
        output() as stdout,
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(command, env=environment(tmp_path), stdout=stdout, stderr=log) as process,
        Client(port) as client,
    ):
        try:
            until = time.monotonic() + 60
            while not is_there(client):
                assert process.poll() is None and time.monotonic() < until
            # The last lines are printed once the model is loaded.
            assert list(client.generate("rain", 0.5, steps=1))[-1].address == "/done"
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
        log.seek(0)
        assert log.read() == ""
