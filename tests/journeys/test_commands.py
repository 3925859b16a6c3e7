"""The commands as a person types them."""

import json
import os
import signal
import socket
import subprocess
import sys
import wave
from pathlib import Path

import pytest
import soundfile

from plugin_server.commands import demo
from plugin_server.daemon_process import start_daemon
from plugin_server.errors import ClipsonicError
from tests.journeys.conftest import environment, serving
from tests.support.toys import write_toy


def run(tmp_path: Path, *arguments: str, status: int = 0, **more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "plugin_server", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path, **more), timeout=60)
    assert ended.returncode == status, ended.stderr
    return ended


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["generate"], ["demo"], ["clips"], ["banks"], ["models"], ["doctor"], ["clients"]]
)
def test_help_is_everywhere(tmp_path, command):
    assert "usage: clipsonic" in run(tmp_path, *command, "--help").stdout


def test_the_demo_ends_with_the_clips_path(tmp_path):
    lines = run(tmp_path, "demo", "sea", "waves", "--seconds", "0.5", "--folder", str(tmp_path)).stdout.splitlines()
    assert lines[-1].startswith("clip: /")
    with wave.open(lines[-1].removeprefix("clip: ")) as file:
        assert file.getnframes() == 24000
    assert any("16 kHz" in line for line in lines)


def test_takes_are_made_without_a_daemon_and_one_is_made_again(tmp_path):
    common = ["--seconds", "0.5", "--steps", "2", "--folder", str(tmp_path)]
    out = run(tmp_path, "generate", "sea", "waves", "--seed", "7", "--takes", "2", *common).stdout
    paths = sorted(tmp_path.glob("sea-waves_*.wav"))
    assert [path.name for path in paths] == ["sea-waves_0.5s_s7_t1.wav", "sea-waves_0.5s_s8_t2.wav"]
    assert all(str(path) in out for path in paths)
    run(tmp_path, "generate", "--like", str(paths[1]), "--folder", str(tmp_path / "again"))
    (again,) = (tmp_path / "again").glob("*.wav")
    with wave.open(str(again)) as one, wave.open(str(paths[1])) as two:
        assert one.readframes(99999) == two.readframes(99999)


def test_bars_in_flac_and_the_same_again_in_seconds(tmp_path):
    common = ["--steps", "2", "--folder", str(tmp_path)]
    run(tmp_path, "generate", "tins", "--bars", "1", "--bpm", "180", "--format", "flac", "--seed", "3", *common)
    made = tmp_path / "tins_180bpm_1bar_s3_t1.flac"
    assert soundfile.info(made).frames == 64000
    run(tmp_path, "generate", "--like", str(made), "--seconds", "0.5", "--format", "wav", "--folder", str(tmp_path))
    assert soundfile.info(tmp_path / "tins_180bpm_0.5s_s3_t1.wav").frames == 24000
    run(tmp_path, "generate", "--like", str(made), "--folder", str(tmp_path / "again"))
    (again,) = (tmp_path / "again").glob("*.flac")
    assert (soundfile.read(again)[0] == soundfile.read(made)[0]).all()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["sea", "waves", "0.5"], "sea-waves_0.5s_s7_t1.wav"),
        (["sea waves", "0.5"], "sea-waves_0.5s_s7_t1.wav"),
        (["kick", "808", "0.5"], "kick-808_0.5s_s7_t1.wav"),
        (["kick", "808", "--seconds", "0.5"], "kick-808_0.5s_s7_t1.wav"),
        (["kick", "5", "--seconds", "0.5"], "kick-5_0.5s_s7_t1.wav"),
    ],
)
def test_a_length_after_the_words_is_read_as_over_osc(tmp_path, words, name):
    run(tmp_path, "generate", *words, "--seed", "7", "--steps", "1", "--folder", str(tmp_path / "clips"))
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [name]


def test_commands_find_a_daemon_that_runs_and_no_longer_one_that_was_killed(tmp_path):
    with serving(tmp_path) as daemon:
        run(tmp_path, "generate", "sea", "waves", "0.5", "--steps", "1")
        (made,) = daemon.folder.glob("*.wav")
        clips = run(tmp_path, "clips", "--json")
        assert [clip["path"] for clip in json.loads(clips.stdout)["clips"]] == [str(made)]
        assert clips.stderr == f"clipsonic: the daemon on port {daemon.port} has its clips in {daemon.folder}\n"
        again = ["generate", "--like", "last", "--seed", "7", "--steps", "1"]
        assert f"{daemon.folder}/sea-waves_0.5s_s7_t1.wav" in run(tmp_path, *again).stdout
        status = json.loads(run(tmp_path, "status", "--json").stdout)
        assert (status["pid"], status["folder"]) == (daemon.pid, str(daemon.folder))
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait(10)
        home = {"HOME": str(tmp_path), "XDG_MUSIC_DIR": str(tmp_path / "music")}
        assert "no clips in" in run(tmp_path, "clips", **home).stdout
        port = ["--osc-port", str(daemon.port)]
        assert f"no daemon answers at 127.0.0.1:{daemon.port}" in run(tmp_path, "status", *port, status=1).stderr


def test_a_console_that_cannot_show_a_path_costs_nothing(tmp_path):
    folder = tmp_path / "Möwen 波"
    more = ["--seconds", "0.5", "--steps", "2", "--folder", str(folder)]
    out = run(tmp_path, "generate", "rain", *more, PYTHONIOENCODING="ascii").stdout
    assert "M\\xf6wen \\u6ce2" in out
    assert len(list(folder.glob("*.wav"))) == 1


def test_bundles_are_listed_and_verified(tmp_path):
    out = run(tmp_path, "models", "--verify").stdout
    assert out.startswith("clipsonic-mini") and "every file is as it should be" in out


@pytest.mark.skipif(sys.platform != "linux", reason="moves the user's data folder by XDG_DATA_HOME")
def test_a_bundle_is_installed_used_and_removed(tmp_path):
    toy, data = write_toy(tmp_path), {"XDG_DATA_HOME": str(tmp_path / "data")}
    assert "installed toy 0.0.1" in run(tmp_path, "models", "install", str(toy), **data).stdout
    assert "\ntoy 0.0.1" in run(tmp_path, "models", **data).stdout
    made = ["generate", "rain", "--model", "toy", "--seconds", "0.5", "--folder", str(tmp_path / "clips")]
    assert "rain_0.5s" in run(tmp_path, *made, **data).stdout
    run(tmp_path, "models", "remove", "toy", **data)
    assert "toy" not in run(tmp_path, "models", **data).stdout
    refused = run(tmp_path, "models", "remove", "clipsonic-mini", status=1, **data).stderr
    assert "came with the program and cannot be removed" in refused


def test_what_is_wrong_is_one_sentence(tmp_path):
    assert "got 99" in run(tmp_path, "generate", "sea waves", "99", "--folder", str(tmp_path), status=1).stderr
    said = run(tmp_path, "generate", "x", "--seconds", "99", "--folder", str(tmp_path), status=1).stderr
    assert said == "clipsonic: seconds: got 99, expected 0.5 to 30 s for clipsonic-mini\n"
    assert "prompt" in run(tmp_path, "generate", "--folder", str(tmp_path), status=1).stderr
    assert "cannot be read" in run(tmp_path, "generate", "--like", str(tmp_path / "no.wav"), status=1).stderr


def test_the_doctor_looks_at_everything(tmp_path):
    out = run(tmp_path, "doctor", "--device", "cpu", "--folder", str(tmp_path / "clips")).stdout
    for subject in (
        "python",
        "onnxruntime",
        "gpu",
        "portaudio",
        "pictures",
        "sample folder",
        "library",
        "bundle clipsonic-mini",
        "speed",
    ):
        assert any(line.startswith(subject) and " ok " in line for line in out.splitlines()), out


def test_the_doctor_reports_a_broken_onnxruntime(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "onnxruntime.py").write_text("raise ImportError('libcudart.so.12 is missing')")
    ended = run(tmp_path, "doctor", "--folder", str(tmp_path), status=1, PYTHONPATH=str(tmp_path / "broken"))
    assert "Traceback" not in ended.stderr
    bad = {line.split()[0]: line for line in ended.stdout.splitlines() if " BAD " in line}
    assert set(bad) == {"onnxruntime", "gpu", "device", "speed"}
    assert all("libcudart.so.12 is missing" in line for line in bad.values())


MISSING = "cuda" if sys.platform == "darwin" else "coreml"
"""A device that no such machine has."""


@pytest.mark.parametrize("flags", [["--model", "moon"], ["--device", MISSING]], ids=["at once", "while it loads"])
def test_a_daemon_that_ends_early_is_no_riddle(tmp_path, monkeypatch, capfd, flags):
    monkeypatch.setattr("os.environ", environment(tmp_path))
    with (
        pytest.raises(ClipsonicError, match="ended before it was ready"),
        start_daemon(["--folder", str(tmp_path), *flags], lambda line: None) as daemon,
    ):
        daemon.port()
        daemon.wait_until_ready()
    assert "clipsonic: " in capfd.readouterr().err


def test_a_demo_whose_daemon_is_silent_says_so(monkeypatch, capsys):
    monkeypatch.setattr(demo, "SILENCE_S", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(ClipsonicError, match=r"said nothing for 0\.1 s"):
            demo._ask(deaf.getsockname()[1], "rain", 1.0)


def test_the_benchmark_measures_every_part(tmp_path):
    command = [
        sys.executable,
        "-m",
        "plugin_server.benchmarks",
        "generation",
        "--rounds",
        "1",
        "--lengths",
        "0.5",
        "--steps",
        "2",
    ]
    written = tmp_path / "figures.json"
    ended = subprocess.run(
        [*command, "--json", str(written)], capture_output=True, text=True, env=environment(tmp_path)
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(written.read_text())
    assert [row["steps"] for row in figures["clips"]] == [figures["clips"][0]["steps"], 2]
    assert set(figures["stages"]) >= {"text", "vocoder", "finishing", "writing"}
    assert all(row["total"] > row["model"] > 0 for row in figures["clips"])
    assert "packet to /done" in ended.stdout
