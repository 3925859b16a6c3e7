"""The library as a person meets it: daemons and commands in processes of their own, one index, the system's trash."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_server.client import Client
from tests.journeys.conftest import environment, serving
from tests.journeys.test_commands import run
from tests.support.recipes import write_made


def ask(client, address, *arguments):
    client.send(address, *arguments)
    heard = [client.receive()]
    while heard[-1].address not in ("/done", "/fail"):
        heard.append(client.receive())
    return heard


def clips(tmp_path, *arguments, status=0, **more):
    return run(tmp_path, "clips", *arguments, "--folder", str(tmp_path / "clips"), status=status, **more)


def test_clips_are_listed_searched_and_told_without_a_daemon(tmp_path):
    folder = tmp_path / "clips"
    write_made(folder, "sea.wav", "sea waves", seed=1)
    write_made(folder, "rain.wav", "rain\x1b[31m on\na roof 雨", seed=2)
    table = clips(tmp_path).stdout.splitlines()
    assert table[-1] == f"2 clips in {folder}"
    shown = {tuple(line.split("0.5 s  ")[1].split(maxsplit=1)) for line in table[:-1]}
    assert shown == {("sea.wav", "sea waves"), ("rain.wav", "rain [31m on a roof 雨")}
    assert clips(tmp_path, "search", "ROO").stdout.splitlines()[-1].startswith("1 clips")
    details = clips(tmp_path, "info", "sea").stdout
    assert f"file    {folder / 'sea.wav'}" in details
    assert "prompt  sea waves" in details
    assert clips(tmp_path, "--count", "1").stdout.splitlines()[-1].endswith("the other 1 with --count")
    assert "sea.wav" in clips(tmp_path, "info", os.path.relpath(folder / "sea.wav")).stdout


def test_marks_and_steps_without_a_daemon(tmp_path):
    write_made(tmp_path / "clips", "sea.wav")
    clips(tmp_path, "star", "sea")
    clips(tmp_path, "tag", "sea", "dark", "night")
    assert "tags    night" in clips(tmp_path, "tag", "sea", "dark", "--remove").stdout
    assert clips(tmp_path, "search", "starred", "night").stdout.startswith("★")
    assert clips(tmp_path, "undo").stdout == "tags as before: sea.wav\n"
    assert clips(tmp_path, "redo").stdout == "tags as after: sea.wav\n"
    assert "star" not in clips(tmp_path, "unstar", "sea").stdout


def test_what_is_wrong_is_one_sentence(tmp_path):
    assert clips(tmp_path).stdout == f"no clips in {tmp_path / 'clips'}\n"
    assert clips(tmp_path, "info", "none", status=1).stderr.startswith("clipsonic: clip: got 'none'")
    assert clips(tmp_path, "undo", status=1).stderr == "clipsonic: undo: nothing is left that could be undone\n"
    assert "count: got 0" in clips(tmp_path, "--count", "0", status=1).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="stands in for xdg-open, which other systems do not use")
def test_a_clip_is_opened_and_its_folder_shown(tmp_path):
    path = write_made(tmp_path / "clips", "sea.wav")
    tool = tmp_path / "bin" / "xdg-open"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {tmp_path}/opened\n')
    tool.chmod(0o755)
    search = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    clips(tmp_path, "open", "sea", **search)
    clips(tmp_path, "reveal", "last", **search)
    assert (tmp_path / "opened").read_text().splitlines() == [str(path), str(path.parent)]
    tool.write_text("#!/bin/sh\necho no program for it >&2\nexit 3\n")
    said = clips(tmp_path, "open", "sea", status=1, **search).stderr
    assert said == f"clipsonic: xdg-open could not open {path}: no program for it\n"


def trash_of(tmp_path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("Trash/files/*"))


@pytest.mark.skipif(sys.platform != "linux", reason="moves the user's trash by XDG_DATA_HOME")
def test_a_session_with_two_daemons_one_after_another_and_a_shell_beside(tmp_path):
    home = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    with serving(tmp_path, **home) as daemon, Client(daemon.port) as client:
        made = [m.arguments for m in client.generate("sea waves", 0.5, variations=2, seed=3, steps=1)]
        paths = [Path(arguments[2]) for arguments in made if len(arguments) == 6]
        content = [path.read_bytes() for path in paths]
        assert clips(tmp_path, "search", "sea", **home).stdout.splitlines()[-1].startswith("2 clips")
        clips(tmp_path, "star", paths[0].name, **home)
        assert ask(client, "/clip/info", paths[0].name)[0].arguments[3] == 1
        assert ask(client, "/clip/delete", paths[1].name)[-1].address == "/done"
        assert [path.read_bytes() for path in trash_of(tmp_path)] == [content[1]]
    with serving(tmp_path, **home) as daemon, Client(daemon.port) as client:
        assert ask(client, "/clip/undo")[-1].arguments == ("/clip/undo", "delete", 1)
        assert [path.read_bytes() for path in paths] == content
        assert clips(tmp_path, "undo", **home).stdout == f"star as before: {paths[0].name}\n"
        assert ask(client, "/clip/undo")[-1].arguments == ("/clip/undo", "generate", 2)
        assert list((tmp_path / "clips").glob("*.wav")) == []
    assert len(clips(tmp_path, "redo", **home).stdout.splitlines()) == 2
    assert [path.read_bytes() for path in paths] == content


def test_a_clip_made_in_the_shell_is_in_the_library(tmp_path):
    run(tmp_path, "generate", "rain", "0.5", "--steps", "1", "--folder", str(tmp_path / "clips"))
    assert "rain" in clips(tmp_path, "info", "last").stdout
    assert clips(tmp_path, "undo").stdout.startswith("taken out of the folder: rain_0.5s")


def test_a_daemon_survives_an_index_that_is_damaged_and_one_that_cannot_be(tmp_path):
    write_made(tmp_path / "clips", "sea.wav")
    clips(tmp_path)
    (index,) = (tmp_path / "library").glob("*.sqlite3")
    index.write_bytes(b"nonsense" * 1000)
    with serving(tmp_path) as daemon, Client(daemon.port) as client:
        assert ask(client, "/clip/info", "sea")[0].address == "/clip.info"
    assert list((tmp_path / "library").glob("*.damaged-*"))
    (tmp_path / "file").write_text("")
    with serving(tmp_path, CLIPSONIC_INDEX_FOLDER=str(tmp_path / "file")) as daemon, Client(daemon.port) as client:
        assert ask(client, "/clip/list")[0].arguments[1] == "library_failed"
        assert [m.address for m in client.generate("rain", 0.5, steps=1)][-1] == "/done"


def test_the_library_s_benchmark_measures_every_part(tmp_path):
    command = [sys.executable, "-m", "plugin_server.benchmarks", "library", "--clips", "1000", "--rounds", "10"]
    kept = tmp_path / "figures.json"
    ended = subprocess.run([*command, "--json", str(kept)], capture_output=True, text=True, env=environment(tmp_path))
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(kept.read_text())
    assert figures["rebuild_s"] > figures["rescan_s"] > 0
    assert set(figures["osc"]) <= set(figures["calls"]) | {"list of 20"}
    assert all(0 < median <= p99 for median, p99 in [*figures["calls"].values(), *figures["osc"].values()])
    assert "| over OSC: list of 20 |" in ended.stdout
