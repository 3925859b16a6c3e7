"""liblo's own tools: oscsend and oscdump."""

import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.journeys.conftest import free_port, need


def send(url: str, address: str, *typed: str) -> None:
    program = need("oscsend", "liblo-tools")
    subprocess.run([program, url, address, *typed], check=True, timeout=10)


@contextmanager
def dumping(port: int) -> Iterator[subprocess.Popen]:
    command = [need("oscdump", "liblo-tools"), "-L", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        clock = threading.Timer(30, process.kill)
        clock.start()
        try:
            time.sleep(0.3)
            yield process
        finally:
            clock.cancel()
            process.kill()


def read_until(process: subprocess.Popen, address: str) -> list[str]:
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if f" {address} " in line:
            return lines
    raise AssertionError(f"oscdump ended without {address}: {lines}")


def test_oscsend_asks_and_oscdump_hears(daemon):
    ear, url = free_port(), f"osc.udp://127.0.0.1:{daemon.port}/"
    with dumping(ear) as dump:
        send(url, "/notify", "ii", "1", str(ear))
        assert read_until(dump, "/done")
        send(url, "/generate", "sfsi", "sea waves", "0.5", "@steps", "2")
        heard = read_until(dump, "/done")
        assert any(" /queued " in line for line in heard)
        assert any(" /progress " in line for line in heard)
        clip = next(line for line in heard if " /clip " in line)
        assert str(daemon.folder / "sea-waves_0.5s") in clip
        send(url, "/nonsense", "i", "1")
        assert "unknown_address" in read_until(dump, "/fail")[-1]
        send(url, "/status")
        assert '"clipsonic-mini"' in read_until(dump, "/status.reply")[-1]


@pytest.mark.parametrize("seconds", ["0.5", "0.75"])
def test_oscsend_over_tcp_makes_a_clip(daemon, seconds):
    name = f"tcp{seconds.replace('.', '')}"
    send(f"osc.tcp://127.0.0.1:{daemon.port}/", "/generate", "sfsiss", "rain", seconds, "@steps", "2", "@name", name)
    until = time.monotonic() + 20
    while not (found := list(daemon.folder.glob(f"{name}_*.wav"))) and time.monotonic() < until:
        time.sleep(0.05)
    with wave.open(str(found[0])) as file:
        assert file.getnframes() == round(float(seconds) * 48000)
