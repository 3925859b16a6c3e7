"""The daemon that is fuzzed: a process of its own with a toy model, watched by an honest client."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from plugin_server.client import Client
from plugin_server.protocol.packets import encode_message
from tests.support.toys import write_toy

READY_S = 60.0
PROBE_INTERVAL_S = 0.05
HUNG_S = 5.0
"""An honest client that waits longer calls the daemon hung."""
REPEAT_S = 0.5
"""After this time without an answer the honest client asks again."""
VERSION = encode_message("/version")
SETTLE_S = 3.0
"""Time in which queues run empty before memory is looked at."""


@dataclass
class Findings:
    """What a run saw of the daemon."""

    inputs: dict[str, int] = field(default_factory=dict)
    """Inputs sent, by their kind."""
    delays_s: list[float] = field(default_factory=list)
    """Times until an honest client had its answer."""
    hangs: int = 0
    tracebacks: int = 0
    log_bytes: int = 0
    memory_mb: tuple[float, float] = (0.0, 0.0)
    """Resident memory of the daemon before and after."""
    exit_status: int | None = None
    stop_s: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Sentences about what must not be; none when all is well."""
        found = []
        if self.hangs:
            found.append(f"no answer within {HUNG_S:g} s, {self.hangs} times")
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in the log")
        if self.exit_status != 0:
            found.append(f"exit status {self.exit_status}, expected 0")
        if self.stop_s > 5:
            found.append(f"took {self.stop_s:.1f} s to stop, expected 5 at most")
        return found


class Subject:
    """A daemon in a folder of its own; a context manager that starts it, and stops it with SIGTERM."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.clips, self.banks = folder / "clips", folder / "banks"
        self.bundles = folder / "data" / "clipsonic" / "bundles"
        self.log_path = folder / "log.txt"
        self.findings = Findings()
        self._done = threading.Event()

    def __enter__(self) -> "Subject":
        write_toy(self.bundles)
        self.clips.mkdir()
        self.banks.mkdir()
        (self.folder / "settings.toml").touch()
        self._log = open(self.log_path, "wb")
        command = [
            sys.executable,
            "-m",
            "plugin_server",
            "serve",
            "--osc-port",
            "0",
            "--http-port",
            "0",
            "--no-advertise",
        ]
        self._process = subprocess.Popen(
            [*command, "--osc-port", "0", "--http-port", "0", "--folder", str(self.clips)],
            env=os.environ | self._environment(),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._clock = threading.Timer(READY_S, self._process.kill)
        self._clock.start()
        lines = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                break
        self._clock.cancel()
        ports = re.findall(r":(\d+)", "".join(lines))
        if not ports:
            raise RuntimeError(f"the daemon did not start: {''.join(lines)}{self.log_path.read_text()}")
        self.osc_port = int(ports[0])
        with Client(self.osc_port) as client:
            self.http_port = int(client.ask("/network", reply="/network.reply")[0])
        self._before_mb = self._memory_mb()
        self._probe = threading.Thread(target=self._watch, daemon=True)
        self._probe.start()
        return self

    def _environment(self) -> dict[str, str]:
        return {
            "CLIPSONIC_SETTINGS": str(self.folder / "settings.toml"),
            "CLIPSONIC_INDEX_FOLDER": str(self.folder / "library"),
            "CLIPSONIC_BANK_FOLDER": str(self.banks),
            "CLIPSONIC_MODEL": "toy",
            "XDG_DATA_HOME": str(self.folder / "data"),
            "PYTHONUNBUFFERED": "1",
        }

    def __exit__(self, *_: object) -> None:
        time.sleep(SETTLE_S)
        self._done.set()
        self._probe.join(HUNG_S + 1)
        self.findings.memory_mb = (self._before_mb, self._memory_mb())
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self.findings.exit_status = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.findings.stop_s = time.monotonic() - began
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()
        log = self.log_path.read_bytes()
        self.findings.log_bytes, self.findings.tracebacks = len(log), log.count(b"Traceback (most recent call last)")

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def _memory_mb(self) -> float:
        """Return the resident memory; 0 where it cannot be told."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        resident = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(resident[1]) / 1024 if resident else 0.0

    def _watch(self) -> None:
        """Ask for the version again and again, as a client that has done nothing wrong.

        A datagram may be lost where others flood the socket: the question is repeated, and the first answer counts.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", self.osc_port))
            probe.settimeout(REPEAT_S)
            while not self._done.wait(PROBE_INTERVAL_S):
                began = time.perf_counter()
                while not self._is_answered(probe) and time.perf_counter() - began < HUNG_S:
                    if not self.is_alive:
                        return
                delay = time.perf_counter() - began
                self.findings.hangs += delay >= HUNG_S
                self.findings.delays_s.append(delay)

    def _is_answered(self, probe: socket.socket) -> bool:
        try:
            probe.send(VERSION)
            probe.recv(65_536)
        except TimeoutError:
            return False
        except OSError:
            # Nobody listens any more.
            time.sleep(REPEAT_S)
            return False
        return True
