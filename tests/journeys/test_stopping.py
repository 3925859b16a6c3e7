"""The end of the daemon: within five seconds, with status 0 and nothing left, whatever it is at."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_server.client import Client
from plugin_server.protocol.packets import encode_message
from tests.journeys.conftest import Process, environment, serving
from tests.journeys.test_robustness import engine_pid, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

LONGEST_S = 5.0


def running() -> dict[int, int]:
    """Return the parent of each process that has not ended."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(status.parent.name)] = int(fields[1])
    return parents


def children_of(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    parents, found = running(), {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def stop(process: Process, number: int = signal.SIGINT) -> float:
    """Ask a daemon to stop; hold that it does in time, and leaves no process behind. Return how long it took."""
    children = children_of(process.pid)
    began = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(20) == 0
    spent = time.monotonic() - began
    assert spent < LONGEST_S
    # Python's own helper of processes ends once the others have.
    until = time.monotonic() + LONGEST_S
    while left := children & running().keys():
        assert time.monotonic() < until, left
        time.sleep(0.02)
    return spent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_whoever_waits_is_told_when_the_daemon_is_stopped(tmp_path, number):
    with serving(tmp_path) as process, Client(process.port) as client:
        client.send("/generate", "wind", 30, "@steps", 100, "@id", "runs")
        client.send("/generate", "rain", 0.5, "@id", "waits")
        wait_for(client, "/progress", "runs")
        for i in range(100):
            client.send("/sync", i)
        client.ask("/version", reply="/version.reply")
        stop(process, number)
        failed = [wait_for(client, "/fail").arguments for _ in range(2)]
        assert {f[3]: f[1] for f in failed} == {"runs": "cancelled", "waits": "cancelled"}
        assert [wait_for(client, "/synced").arguments[0] for _ in range(100)] == list(range(100))
        assert not list(process.folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_daemon_that_a_script_starts_in_the_background_stops_when_told(tmp_path, number):
    # A shell without job control starts it with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with serving(tmp_path) as process:
            signal.signal(signal.SIGINT, before)
            stop(process, number)
    finally:
        signal.signal(signal.SIGINT, before)


def wait_at_a_pipe(process: Process, client: Client) -> None:
    """Have a file's reader wait for ever, where a file that is none is waited for."""
    os.mkfifo(process.folder / "pipe.wav")
    client.send("/clip/scan")
    client.send("/clip/info", "pipe.wav")


def wait_for_plays(_process: Process, client: Client) -> None:
    assert list(client.generate("rain", 0.5, steps=2))[-1].address == "/done"
    for _ in range(3000):
        client.send("/play", "last")


def wait_for_banks(_process: Process, client: Client) -> None:
    for _ in range(200):
        client.send("/bank/load", "drums")


def send_many_commands(process: Process, _client: Client) -> None:
    packet = encode_message("/help")
    with socket.create_connection(("127.0.0.1", process.port)) as connection:
        connection.settimeout(0.5)
        try:
            connection.sendall((len(packet).to_bytes(4, "big") + packet) * 30_000)
        except TimeoutError:
            # It reads no more than it can answer.
            pass


def fill_the_queue(_process: Process, client: Client) -> None:
    for i in range(64):
        client.send("/generate", f"rain {i}", 30, "@steps", 100)


def hold_connections(process: Process, client: Client) -> None:
    http_port = client.ask("/network", reply="/network.reply")[0]
    for port, data in ((process.port, b"\0\0"), (http_port, b"GET / HT"), (http_port, b"")):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(data)
        # Stays open until this process ends.
        os.dup(connection.fileno())


@pytest.mark.parametrize(
    "prepare", [wait_at_a_pipe, wait_for_plays, wait_for_banks, send_many_commands, fill_the_queue, hold_connections]
)
def test_it_ends_whatever_it_is_at(tmp_path, prepare: Callable[[Process, Client], None]):
    with (tmp_path / "said").open("w+") as said:
        with serving(tmp_path, stderr=said) as process, Client(process.port) as client:
            prepare(process, client)
            stop(process)
        said.seek(0)
        assert "Traceback" not in (text := said.read()) and "shutdown" not in text, text


def test_it_ends_while_the_model_is_loaded(tmp_path):
    with serving(tmp_path, until="clips go to") as process:
        engine_pid(process.pid)
        stop(process)


@contextmanager
def starting(tmp_path: Path, library: str) -> Iterator[subprocess.Popen]:
    """Yield a daemon that has just loaded a library into its process."""
    command = [sys.executable, "-m", "plugin_server", "serve", "--osc-port", "0", "--folder", str(tmp_path / "clips")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)) as process:
        try:
            until = time.monotonic() + 30
            while library not in Path(f"/proc/{process.pid}/maps").read_text():
                assert time.monotonic() < until
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("library", ["numpy", "soxr"])
def test_it_ends_without_a_word_while_it_is_imported(tmp_path, library, number):
    with starting(tmp_path, library) as process:
        process.send_signal(number)
        assert process.wait(LONGEST_S) in (0, 130)
        assert process.stderr.read() == ""


def test_an_interrupt_in_the_first_instant_gives_no_traceback(tmp_path):
    # Loaded by argparse's neighbours, long before the command knows what it is to do.
    with starting(tmp_path, "_hashlib") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST_S) == 130
        assert process.stderr.read() == ""


def test_a_second_interrupt_does_not_wait(tmp_path):
    with serving(tmp_path) as process, Client(process.port) as client:
        wait_at_a_pipe(process, client)
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(2) in (0, 130)
