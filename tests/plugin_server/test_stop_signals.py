"""Signals to processes that never end by themselves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

PROGRAM = """
import multiprocessing, sys, time
from plugin_server import stop_signals

if __name__ == "__main__":
    stop_signals.LONGEST_STOP_S = float(sys.argv[1])
    signals = stop_signals.StopSignals()
    signals.install()
    if sys.argv[2] == "running":
        signals.stop = lambda: print("stops", flush=True)
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)
    child.start()
    print(child.pid, flush=True)
    while True:
        time.sleep(60)
"""


@contextmanager
def running(tmp_path: Path, longest_s: float, state: str = "running") -> Iterator[tuple[subprocess.Popen, int]]:
    """Yield a process that hangs, and the process id of its child."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(longest_s), state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def is_gone(pid: int) -> bool:
    """Return whether no process has this id, or one that ended and was not asked for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_hangs_is_ended_with_its_children(tmp_path, number):
    with running(tmp_path, 0.2) as (process, child):
        process.send_signal(number)
        assert process.stdout.readline() == "stops\n"
        assert process.wait(10) == 0
        assert is_gone(child)
        assert process.stderr.read() == ""


def test_a_second_interrupt_ends_it_at_once_and_other_signals_do_not(tmp_path):
    with running(tmp_path, 60) as (process, child):
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stops\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert is_gone(child)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_before_anything_runs_a_signal_ends_it(tmp_path, number, status):
    with running(tmp_path, 60, "starting") as (process, child):
        process.send_signal(number)
        assert process.wait(10) == status
        assert is_gone(child)
        assert process.stderr.read() == ""


@pytest.mark.parametrize(("ignored", "ends"), [(signal.SIGINT, True), (signal.SIGHUP, False)])
def test_an_ignored_interrupt_is_handled_and_an_ignored_hangup_is_not(tmp_path, ignored, ends):
    before = signal.signal(ignored, signal.SIG_IGN)
    try:
        with running(tmp_path, 0.2) as (process, _):
            os.kill(process.pid, ignored)
            if ends:
                assert process.wait(10) == 0
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.6)
    finally:
        signal.signal(ignored, before)
