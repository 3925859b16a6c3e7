"""The daemon that is fuzzed, watched by an honest client, and what was seen of it."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from plugin_server.client import Client
from plugin_server.errors import ClipsonicError
from plugin_server.protocol.flow.spare_memory import INTERVAL_S
from plugin_server.protocol.packets import encode_message
from tests.fuzz.daemon import ROOT, OwnDaemon

PROBE_INTERVAL_S = 0.05
HUNG_S = 5.0
"""An honest client that waits longer calls the daemon hung."""
REPEAT_S = 0.1
"""After this time without an answer the honest client asks again, since a flooded socket loses most questions."""
VERSION = encode_message("/version")
SETTLE_S = 120.0
"""Longest time in which queues run empty before memory is looked at."""
BUSY = 150
"""Datagrams a second to a client for whom replies wait, at least; a socket's buffer holds more."""
UDP_CLIENTS = 12
"""Sockets that take turns, since each client has a queue of its own in the daemon."""
MEMORY_MB = 60.0
"""Memory that a daemon may have more when all is over."""


@dataclass
class Findings:
    """What a run saw of the daemon."""

    inputs: dict[str, int] = field(default_factory=dict)
    """Inputs sent, by their kind."""
    dropped: int = 0
    """Datagrams that never reached the daemon."""
    delays_s: list[float] = field(default_factory=list)
    """Times until an honest client had its answer."""
    hangs: int = 0
    tracebacks: int = 0
    log_bytes: int = 0
    memory_mb: tuple[float, float] = (0.0, 0.0)
    """Resident memory of the daemon before and after."""
    exit_status: int | None = None
    stop_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    """Errors of the fuzzer's own."""

    @property
    def faults(self) -> list[str]:
        """Sentences about what must not be; none when all is well."""
        found = list(self.errors)
        before, after = self.memory_mb
        if self.hangs:
            found.append(f"no answer within {HUNG_S:g} s, {self.hangs} times")
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in the log")
        if after - before > MEMORY_MB:
            found.append(f"{after - before:.0f} MB more memory than before, expected {MEMORY_MB:g} at most")
        if self.exit_status != 0:
            found.append(f"exit status {self.exit_status}, expected 0")
        if self.stop_s > HUNG_S:
            found.append(f"took {self.stop_s:.1f} s to stop, expected {HUNG_S:g} at most")
        return found


class Subject:
    """A daemon in a folder of its own; a context manager that starts it, and stops it with SIGTERM."""

    def __init__(self, folder: Path, code: Path = ROOT):
        self.daemon = OwnDaemon(folder, code)
        self.findings = Findings()
        self._done = threading.Event()
        self.clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(UDP_CLIENTS)]
        for client in self.clients:
            client.setblocking(False)

    def __enter__(self) -> "Subject":
        self.daemon.start()
        self._warm_up()
        self._before_mb = self.daemon.memory_mb()
        self._probe = threading.Thread(target=self._watch, daemon=True)
        self._probe.start()
        return self

    def _warm_up(self) -> None:
        """Have each part of the daemon used once, so that what it loads on demand does not count as a leak."""
        with Client(self.daemon.osc_port) as client:
            for _ in client.generate("rain", 1.0):
                pass
            for address in ("/clip/list", "/bank/list", "/model/list", "/device/list", "/play", "/clip/scan"):
                with contextlib.suppress(ClipsonicError, TimeoutError):
                    client.ask(address, reply="/done", timeout_s=SETTLE_S)
        with socket.create_connection(("127.0.0.1", self.daemon.http_port)) as web:
            web.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while web.recv(65_536):
                pass

    def __exit__(self, *_: object) -> None:
        if self.daemon.is_alive:
            self._settle()
        self._done.set()
        self._probe.join(HUNG_S + 1)
        self.findings.memory_mb = (self._before_mb, self.daemon.memory_mb())
        self.findings.dropped = self.daemon.dropped_datagrams()
        began = time.monotonic()
        self.findings.exit_status = self.daemon.stop()
        self.findings.stop_s = time.monotonic() - began
        for client in self.clients:
            client.close()
        log = self.daemon.log_path.read_bytes()
        self.findings.log_bytes, self.findings.tracebacks = len(log), log.count(b"Traceback (most recent call last)")

    def _settle(self) -> None:
        """Wait until no job is left, and no reply that waits for its turn."""
        until = time.monotonic() + SETTLE_S
        with Client(self.daemon.osc_port) as client:
            while time.monotonic() < until and self.is_alive:
                with contextlib.suppress(TimeoutError, ClipsonicError):
                    client.send("/cancel", "all")
                    status = client.ask("/status", reply="/status.reply", timeout_s=2)
                    if status[1:3] == (0, 0) and self._is_silent():
                        # It looks from time to time what it can give back to the system.
                        time.sleep(1.5 * INTERVAL_S)
                        return

    def _is_silent(self) -> bool:
        """Take what comes to the clients for a second; return whether none got as much as from a line that waits.

        Those that have subscribed are sent levels, and answers to others, for ever.
        """
        time.sleep(1.0)
        return max(self.read_replies(client) for client in self.clients) < BUSY

    def read_replies(self, client: socket.socket) -> int:
        """Take what has come to a client, and return how many datagrams it was."""
        n_read = 0
        with contextlib.suppress(OSError):
            while client.recv(65_536):
                n_read += 1
        return n_read

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.daemon.is_alive

    def _watch(self) -> None:
        """Ask for the version again and again, as a client that has done nothing wrong.

        A datagram may be lost where others flood the socket: the question is repeated, and the first answer counts.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", self.daemon.osc_port))
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
