"""What goes wrong on stage: a killed engine, two daemons on one port, a folder that cannot be written."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plugin_server.client import Client
from plugin_server.settings import SHIPPED_BUNDLES
from tests.journeys.conftest import environment, serving

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds the engine's process in /proc")


def engine_pid(daemon_pid: int) -> int:
    """The daemon's child that multiprocessing spawned."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("PPid"))
            command = (status.parent / "cmdline").read_bytes()
        except (OSError, StopIteration):
            continue
        if int(parent) == daemon_pid and b"spawn_main" in command:
            return int(status.parent.name)
    raise AssertionError("no engine process was found")


def wait_for(client: Client, address: str, *start: object):
    while True:
        message = client.receive(20)
        if message.address == address and message.arguments[: len(start)] == start:
            return message


@linux
def test_a_killed_engine_costs_one_job_and_the_queue_goes_on(daemon):
    with Client(daemon.port) as client:
        client.send("/generate", "rain", 30, "@steps", 100, "@id", "doomed")
        client.send("/generate", "rain", 0.5, "@steps", 2, "@id", "next")
        wait_for(client, "/progress", "doomed")
        os.kill(engine_pid(daemon.pid), signal.SIGKILL)
        began = time.monotonic()
        assert wait_for(client, "/fail", "/generate").arguments[1:4:2] == ("engine_crashed", "doomed")
        wait_for(client, "/done", "/generate", "next")
        assert time.monotonic() - began < 15


@linux
def test_a_daemon_that_is_killed_takes_its_engine_along(tmp_path):
    with serving(tmp_path) as process:
        engine = engine_pid(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while Path(f"/proc/{engine}").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not Path(f"/proc/{engine}").exists()


def test_the_real_model_is_cancelled_within_a_step(daemon):
    with Client(daemon.port) as client:
        client.send("/generate", "wind", 30, "@steps", 100, "@id", "long")
        while wait_for(client, "/progress", "long").arguments[2] != "sampling":
            pass
        client.send("/cancel", "long")
        began = time.monotonic()
        assert wait_for(client, "/fail", "/generate").arguments[1:4:2] == ("cancelled", "long")
        assert time.monotonic() - began < 5
    assert not list(daemon.folder.glob("wind_*"))


def test_a_full_queue_refuses_one_and_keeps_the_others(tmp_path):
    with serving(tmp_path, CLIPSONIC_QUEUE_SIZE="3") as process, Client(process.port) as client:
        client.send("/generate", "wind", 30, "@steps", 100, "@id", "runs")
        wait_for(client, "/progress", "runs")
        for name in ("one", "two", "three", "four"):
            client.send("/generate", "rain", 0.5, "@steps", 2, "@id", name)
        code, sentence = wait_for(client, "/fail", "/generate").arguments[1:3]
        assert code == "queue_full" and "3 jobs" in sentence
        assert client.ask("/status", reply="/status.reply")[1:3] == (1, 3)
        client.send("/cancel", "runs")
        for name in ("one", "two", "three"):
            wait_for(client, "/done", "/generate", name)
        assert len(list(process.folder.glob("rain_*.wav"))) == 3


def refused(tmp_path: Path, *flags: str, **more: str) -> str:
    """What a daemon that cannot start says."""
    command = [sys.executable, "-m", "plugin_server", "serve", "--http-port", "0", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path, **more), timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_a_second_daemon_on_the_port_says_so(daemon, tmp_path):
    said = refused(tmp_path, "--osc-port", str(daemon.port), "--folder", str(tmp_path))
    assert f"port {daemon.port} is taken" in said


def test_a_port_that_is_taken_for_udp_alone_says_so_too(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert f"port {port} is taken" in refused(tmp_path, "--osc-port", str(port), "--folder", str(tmp_path))


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(tmp_path, "--osc-port", "0", "--folder", str(tmp_path / "file" / "clips"))
    assert "sample folder" in said and "cannot be written" in said


def test_an_unknown_model_says_which_there_are(tmp_path):
    assert "clipsonic-mini" in refused(tmp_path, "--osc-port", "0", "--folder", str(tmp_path), "--model", "moon")


def test_a_damaged_bundle_says_which_file(tmp_path):
    data = tmp_path / "data"
    place = data / "clipsonic" / "bundles" / "clipsonic-mini"
    shutil.copytree(SHIPPED_BUNDLES / "clipsonic-mini", place)
    with open(place / "vocoder.onnx", "r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    if sys.platform != "linux":
        pytest.skip("moves the user's data folder by XDG_DATA_HOME")
    said = refused(tmp_path, "--osc-port", "0", "--folder", str(tmp_path / "c"), XDG_DATA_HOME=str(data))
    assert "vocoder.onnx has sha256" in said


def test_a_bank_of_the_settings_that_is_not_there_is_told_at_the_start(tmp_path, capfd):
    with serving(tmp_path, CLIPSONIC_BANK="nowhere"):
        assert "the pads have no bank: bank: got 'nowhere', expected one of" in capfd.readouterr().err


@linux
def test_connections_never_use_up_the_file_descriptors(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As macOS has it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    connections = []
    try:
        with (tmp_path / "log").open("w+") as log, serving(tmp_path, stderr=log) as process:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 4096), before[1]))
            with Client(process.port) as client:
                http_port = client.ask("/network", reply="/network.reply")[0]
                for port in (process.port, http_port):
                    for _ in range(600):
                        connections.append(socket.create_connection(("127.0.0.1", port)))
                        connections[-1].sendall(b"\0")
                assert list(client.generate("rain", 0.5, steps=2))[-1].address == "/done"
                client.ask("/version", reply="/version.reply")
            log.seek(0)
            assert "Too many open files" not in log.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for connection in connections:
            connection.close()
