"""A daemon in a process of its own, as the demo and the benchmarks use it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from plugin_server.errors import ClipsonicError


class DaemonProcess:
    """The process of `clipsonic serve`, whose lines say how far it is."""

    def __init__(self, process: subprocess.Popen[str], on_line: Callable[[str], None]) -> None:
        self._process, self._on_line = process, on_line
        self.pid = process.pid

    def port(self) -> int:
        """Wait until it listens, and return its port. Raises ClipsonicError when it ends before."""
        return int(self._wait_for(r"listens for OSC on \S+:(\d+)")[1])

    def wait_until_ready(self) -> None:
        """Wait until the model is loaded. Raises ClipsonicError when it ends before."""
        self._wait_for(r"^ready")

    def _wait_for(self, pattern: str) -> re.Match[str]:
        for line in self._process.stdout or ():
            self._on_line(line.rstrip("\n"))
            if match := re.search(pattern, line):
                return match
        raise ClipsonicError("the daemon ended before it was ready")


@contextmanager
def start_daemon(
    flags: Sequence[str], on_line: Callable[[str], None], variables: Mapping[str, str] | None = None
) -> Iterator[DaemonProcess]:
    """Run a daemon on a free port until the block ends.

    Args:
        flags: Flags of `clipsonic serve`.
        on_line: Called with each line that it prints until it is ready.
        variables: Added to the environment.
    """
    # Nobody shall find it, nor shall it take the ports of one that stays.
    own = ["--osc-port", "0", "--http-port", "0", "--no-advertise"]
    command = [sys.executable, "-m", "plugin_server", "serve", *own, *flags]
    # Its lines are read as what this side can read, whatever the system's own encoding is.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **(variables or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment) as process:
        try:
            yield DaemonProcess(process, on_line)
        finally:
            process.terminate()
