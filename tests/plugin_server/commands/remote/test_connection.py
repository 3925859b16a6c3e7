"""Commands that find a daemon, with a real one in this process."""

import json
import re

import pytest

from plugin_server import cli
from plugin_server.daemon_records import announce_daemon, record_now
from plugin_server.settings import Settings
from tests.conftest import running_daemon
from tests.support.outputs import HandOutput, player_on
from tests.support.recipes import write_made


@pytest.fixture(scope="module")
def live(toys, tmp_path_factory):
    """A daemon with a clip, and the device that its player finds."""
    folder, output = tmp_path_factory.mktemp("live"), HandOutput()
    settings = Settings(osc_port=0, http_port=0, folder=folder / "clips", model="toy", device="cpu", threads=1)
    write_made(folder / "clips", "rain.wav", "rain", 1)
    with running_daemon(settings, toys, player_on([output])) as running:
        yield running, output


@pytest.fixture
def announced(live, tmp_path, monkeypatch):
    """The daemon's record among those of the person."""
    monkeypatch.setenv("CLIPSONIC_INDEX_FOLDER", str(tmp_path))
    monkeypatch.delenv("CLIPSONIC_FOLDER", raising=False)
    settings = live[0].daemon.settings
    record = record_now(live[0].port, 0, (settings.clip_folder, settings.data_folder, settings.bank_folders[0]))
    with announce_daemon(tmp_path / "daemons", record):
        yield live[0]


@pytest.fixture
def run(capsys):
    def run(*arguments, status=0):
        assert cli.main([str(argument) for argument in arguments]) == status
        return capsys.readouterr()

    return run


@pytest.mark.parametrize("names_port", [False, True])
def test_a_clip_is_played_and_stopped(live, announced, run, names_port):
    port = ["--osc-port", announced.port] if names_port else []
    path = announced.folder / "rain.wav"
    played = run("play", "rain", "@gain", "0.5", "@pan", "-0.5", "@loop", "1", *port)
    assert played.out == f"{path}\n"
    assert played.err == ("" if names_port else f"clipsonic: asking the daemon on port {announced.port}\n")
    assert live[1].render(64).any()
    assert run("stop", *port).out == "stopped all\n"
    live[1].render(4096)
    assert not live[1].render(64).any()
    assert run("play", "@loop", "1", *port).out == f"{path}\n"
    assert run("stop", path, *port).out == f"stopped {path}\n"


def test_a_file_is_played_from_where_the_person_is(announced, run, monkeypatch):
    monkeypatch.chdir(announced.folder)
    assert run("play", "rain.wav").out == f"{announced.folder / 'rain.wav'}\n"
    assert "clip: got 'thunder', expected 'last'" in run("play", "thunder", status=1).err
    run("stop")


def test_the_status_is_for_people_and_programs(announced, run):
    said = run("status").out
    assert f"OSC      127.0.0.1:{announced.port}, UDP and TCP\n" in said
    assert re.search(rf"^clips    \d+ made since it started; {re.escape(str(announced.folder))}$", said, re.M)
    values = json.loads(run("status", "--json").out)
    assert (values["osc_port"], values["folder"], values["model"]) == (announced.port, str(announced.folder), "toy")
    assert (values["running"], values["waiting"], values["program"]) == (0, 0, "clipsonic-live")
    assert values["pid"] and values["http_port"] == announced.daemon.network.web.port


def test_no_daemon_is_told_at_once(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPSONIC_INDEX_FOLDER", str(tmp_path))
    for command in (["play"], ["stop"], ["status"], ["status", "--json"]):
        # A port that needs rights which nobody has here by chance.
        said = run(*command, "--osc-port", "7", status=1).err
        assert said == "clipsonic: no daemon answers at 127.0.0.1:7; start one with: clipsonic serve --osc-port 7\n"
    assert "got 70000, expected 1 to 65535" in run("stop", "--osc-port", "70000", status=1).err
    monkeypatch.setenv("CLIPSONIC_OSC_PORT", "0")
    assert run("status", status=1).err == "clipsonic: no daemon runs; start one with: clipsonic serve\n"


def test_commands_without_a_folder_take_that_of_the_daemon(announced, run, monkeypatch, tmp_path):
    found = run("clips", "--json")
    assert json.loads(found.out)["folder"] == str(announced.folder)
    assert found.err == f"clipsonic: the daemon on port {announced.port} has its clips in {announced.folder}\n"
    monkeypatch.setenv("CLIPSONIC_OSC_PORT", str(announced.port))
    found = run("clips", "info", "last")
    assert str(announced.folder) in found.out and found.err == ""
    assert run("banks").out.endswith(f"your own go into {announced.daemon.settings.bank_folders[0]}\n")


def test_a_folder_that_is_named_wins(announced, run, monkeypatch, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    assert json.loads(run("clips", "--folder", own, "--json").out)["folder"] == str(own)
    monkeypatch.setenv("CLIPSONIC_FOLDER", str(own))
    said = run("clips", "--json")
    assert json.loads(said.out)["folder"] == str(own) and said.err == ""
