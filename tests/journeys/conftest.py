"""The real daemon as a process of its own, and real clients beside it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest


@dataclass
class Process:
    """A daemon that was started by its command."""

    port: int
    folder: Path
    pid: int
    lines: list[str]
    wait: Callable[[float], int]
    """Seconds to its exit status."""


def environment(tmp: Path, **more: str) -> dict[str, str]:
    """Nothing of the person's own settings."""
    (tmp / "none.toml").touch()
    own = {"CLIPSONIC_SETTINGS": str(tmp / "none.toml"), "CLIPSONIC_INDEX_FOLDER": str(tmp / "library")}
    own["CLIPSONIC_BANK_FOLDER"] = str(tmp / "banks")
    return os.environ | own | {"PYTHONUNBUFFERED": "1"} | more


@contextmanager
def serving(
    tmp: Path, until: str = "ready", stderr: TextIO | None = None, flags: Sequence[str] = (), **more: str
) -> Iterator[Process]:
    """`python -m plugin_server serve` on a free port until the block ends, from a line that begins with `until` on."""
    folder = tmp / "clips"
    command = [sys.executable, "-m", "plugin_server", *flags, "serve", "--osc-port", "0", "--folder", str(folder)]
    command += ["--http-port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": stderr, "text": True}
    with subprocess.Popen(command, env=environment(tmp, **more), **pipes) as process:
        lines = []
        clock = threading.Timer(60, process.kill)
        clock.start()
        try:
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith(until):
                    break
            clock.cancel()
            port = int(re.search(r"127\.0\.0\.1:(\d+)", lines[0])[1])
            yield Process(port, folder, process.pid, lines, process.wait)
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("daemon")) as process:
        yield process


def need(program: str, package: str) -> str:
    """Path of a program; the test is skipped, with the Debian package's name, where it is missing."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian package {package})")
    return path


@contextmanager
def jack_server(name: str) -> Iterator[None]:
    """A JACK that has no sound card."""
    command = [need("jackd", "jackd2"), "-r", "-n", name, "-d", "dummy", "-r", "48000", "-p", "1024"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | {"JACK_NO_AUDIO_RESERVATION": "1"}, **quiet) as jack:
        time.sleep(1)
        if jack.poll() is not None:
            pytest.skip("jackd does not run here")
        try:
            yield
        finally:
            jack.terminate()


def free_port() -> int:
    """A UDP port that nobody has at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
