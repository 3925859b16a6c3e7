"""Records of daemons that run, in a folder of the test's own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from plugin_server.daemon_records import DaemonRecord, announce_daemon, choose_daemon, find_daemons

RECORD = DaemonRecord(os.getpid(), 9470, 9471, "/clips", "/index", "/banks", 1e9)
HOLDER = """
import sys
from pathlib import Path
from plugin_server.daemon_records import DaemonRecord, announce_daemon
with announce_daemon(Path(sys.argv[1]), DaemonRecord(1, 9480, 0, "/a", "/b", "/c", 2e9)):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that keeps a record."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_record_is_there_as_long_as_its_daemon(tmp_path):
    folder = tmp_path / "data" / "daemons"
    with announce_daemon(folder, RECORD):
        assert find_daemons(folder) == [RECORD]
        assert find_daemons(folder) == [RECORD]
        (path,) = folder.iterdir()
        assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert find_daemons(folder) == list(folder.iterdir()) == []


def test_the_record_of_a_daemon_that_was_killed_goes(tmp_path, holder):
    with announce_daemon(tmp_path, RECORD):
        assert [record.osc_port for record in find_daemons(tmp_path)] == [9480, 9470]
        holder.kill()
        holder.wait()
        assert len(list(tmp_path.iterdir())) == 2
        assert find_daemons(tmp_path) == [RECORD]
        assert len(list(tmp_path.iterdir())) == 1


def test_what_looks_like_a_record_and_is_held_by_nobody_goes(tmp_path):
    (tmp_path / "9460-1-a.json").write_text(json.dumps(asdict(RECORD)))
    assert find_daemons(tmp_path) == list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[" * 5000, "7", '{"pid": 1}', json.dumps(asdict(RECORD) | {"pid": "x"})])
def test_a_record_that_cannot_be_read_is_none(tmp_path, content):
    with announce_daemon(tmp_path, RECORD):
        (path,) = tmp_path.iterdir()
        path.write_text(content)
        assert find_daemons(tmp_path) == []


def test_a_pipe_or_a_folder_is_no_record(tmp_path):
    (tmp_path / "folder.json").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
    with announce_daemon(tmp_path, RECORD):
        assert find_daemons(tmp_path) == [RECORD]


def test_a_folder_that_cannot_be_made_costs_nothing_else(tmp_path):
    (tmp_path / "file").write_text("x")
    with announce_daemon(tmp_path / "file", RECORD):
        assert find_daemons(tmp_path / "file") == []
    assert find_daemons(tmp_path / "nowhere") == []


def test_the_daemon_on_the_port_wins_over_the_newest():
    older, newest = RECORD, replace(RECORD, osc_port=9480, started_at=2e9)
    assert choose_daemon([newest, older], 9470) == older
    assert choose_daemon([newest, older], 9460) == newest
    assert choose_daemon([], 9460) is None
