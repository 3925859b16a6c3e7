"""What the command binds, whom it admits, what it says of both; and that it says goodbye."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zeroconf import IPVersion, Zeroconf

from plugin_server.client import Client
from plugin_server.protocol.transports.zeroconf import OSC
from tests.journeys.conftest import environment, serving

MDNS = 5353


def told(port: int) -> tuple:
    """`/network.reply` when HTTP and zeroconf have started."""
    with Client(port) as client:
        until = time.monotonic() + 30
        while "starts" in (facts := client.ask("/network", reply="/network.reply")):
            assert time.monotonic() < until
            time.sleep(0.05)
    return facts


def bound(pid: int) -> set[tuple[str, int]]:
    """Address, in the kernel's hexadecimal, and port of every socket that the process listens on or receives with."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
            inodes.add(found[1])
    sockets = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                address, port = fields[1].split(":")
                sockets.add((address, int(port, 16)))
    return sockets


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
EVERYWHERE = "00000000"


@pytest.mark.skipif(sys.platform != "linux" or sys.byteorder != "little", reason="reads Linux's /proc")
def test_without_lan_nothing_but_loopback_is_bound(tmp_path):
    with serving(tmp_path) as process:
        http_port, http, zeroconf, lan, hosts, packets = told(process.port)
        sockets = bound(process.pid)
        assert {("0100007F", process.port), ("0100007F", http_port)} <= sockets
        # Zeroconf's own port belongs to all responders of a machine; test_zeroconf.py holds that the
        # network gets no answer from it.
        assert {address for address, port in sockets if port != MDNS} <= LOOPBACK
        assert (http, lan, hosts, packets) == ("listens", 0, 0, 0)
        assert zeroconf.startswith("Clipsonic Live")


@pytest.mark.skipif(sys.platform != "linux" or sys.byteorder != "little", reason="reads Linux's /proc")
def test_lan_listens_everywhere_and_says_for_whom(tmp_path):
    lan = {"CLIPSONIC_LAN": "1", "CLIPSONIC_ALLOW": "192.168.77.0/24", "CLIPSONIC_ADVERTISE": "0"}
    folder = tmp_path / "clips"
    command = [sys.executable, "-m", "plugin_server", "serve", "--osc-port", "0", "--http-port", "0"]
    with subprocess.Popen(
        [*command, "--folder", str(folder)], stdout=subprocess.PIPE, text=True, env=environment(tmp_path, **lan)
    ) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"on (\S+):(\d+) \(UDP and TCP\), for 192\.168\.77\.0/24$", line)
            host, port = found[1], int(found[2])
            # That of the network where there is one, and nothing that means this machine alone there.
            assert not host.startswith("127.")
            assert f"http://{host}:" in process.stdout.readline()
            http_port, _, zeroconf, lan, *_ = told(port)
            assert {(EVERYWHERE, port), (EVERYWHERE, http_port)} <= bound(process.pid)
            assert (zeroconf, lan) == ("off", 1)
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--lan"], "allow: got no hosts, expected those that may ask, as in --lan --allow 192.168.1.20,192.168.1.21"),
        (["--allow", "192.168.1.20"], "allow: got 192.168.1.20 without --lan, expected both, or none"),
        (["--lan", "--allow", "studio.local"], "allow: got 'studio.local', expected an IPv4 address or network"),
        (["--lan", "--allow", "192.168.1.0/33"], "allow: got '192.168.1.0/33', expected an IPv4 address or network"),
    ],
)
def test_a_wrong_list_is_told_and_nothing_starts(tmp_path, flags, sentence):
    command = [sys.executable, "-m", "plugin_server", "serve", "--osc-port", "0", "--folder", str(tmp_path), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), timeout=30)
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith(f"clipsonic: {sentence}") and ended.stderr.count("\n") == 1


def test_zeroconf_forgets_a_daemon_that_was_stopped(tmp_path):
    zeroconf = Zeroconf(["127.0.0.1"], ip_version=IPVersion.V4Only)
    try:
        with serving(tmp_path) as process:
            name = f"{told(process.port)[2]}.{OSC}"
            assert zeroconf.get_service_info(OSC, name, 5000).port == process.port
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(10) == 0
        time.sleep(1.5)
        assert zeroconf.get_service_info(OSC, name, 1000) is None
    finally:
        zeroconf.close()


def test_the_doctor_tells_of_the_daemon_that_runs(tmp_path):
    with serving(tmp_path) as process:
        http_port, _, zeroconf, *_ = told(process.port)
        said = doctor(tmp_path, CLIPSONIC_OSC_PORT=str(process.port))
    line = f"OSC on {process.port}, HTTP on {http_port} (listens), zeroconf: {zeroconf}"
    assert said["running daemon"] == line
    assert said["network"] == "this machine alone; --lan --allow HOST lets others in"
    said = doctor(
        tmp_path, CLIPSONIC_OSC_PORT=str(process.port), CLIPSONIC_LAN="1", CLIPSONIC_ALLOW="10.1.2.3,10.1.2.4"
    )
    assert said["running daemon"] == f"none on port {process.port}"
    assert said["network"] == "the local network, for 10.1.2.3, 10.1.2.4"


def doctor(tmp_path: Path, **more: str) -> dict[str, str]:
    command = [sys.executable, "-m", "plugin_server", "doctor", "--device", "cpu", "--folder", str(tmp_path / "c")]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path, **more), timeout=120)
    lines = [line.partition(" ok ") for line in ended.stdout.splitlines()]
    return {subject.strip(): said.strip() for subject, _, said in lines}
