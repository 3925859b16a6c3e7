"""The Node for Max script, on the command line and as [node.script] runs it, against a real daemon."""

import os
import subprocess
import time
import wave
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image

from plugin_server.audio.formats.files import read_recipe
from tests.clients.lines import hear, talking, tell
from tests.clients.test_scripts import CLIENTS, HERE
from tests.journeys.conftest import free_port, need

SCRIPT = CLIENTS / "node-for-max" / "clipsonic.js"


def run(port: int, *words: str, status: int = 0) -> subprocess.CompletedProcess:
    command = [need("node", "nodejs"), str(SCRIPT), "--port", str(port), *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == status, ended.stderr
    return ended


def test_a_prompt_becomes_a_clip_and_its_path_is_printed(daemon):
    ended = run(daemon.port, "generate", "sea", "waves", "1", "@steps", "2", "@seed", "7")
    path = Path(ended.stdout.strip())
    assert path == daemon.folder / "sea-waves_1s_s7_t1.wav"
    with wave.open(str(path)) as file:
        assert file.getnframes() == file.getframerate()


def test_takes_come_one_by_one_with_progress(daemon):
    ended = run(daemon.port, "generate", "thunder far away", "0.5", "@steps", "4", "@variations", "3")
    assert len({*ended.stdout.split()}) == 3
    assert all(Path(path).exists() for path in ended.stdout.split())
    said = ended.stderr.splitlines()
    percents = [int(line.split()[1]) for line in said if line.startswith("progress")]
    assert percents == sorted(percents) and percents[-1] == 100
    assert said[-1] == "done 3"


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "my red.png")
    return tmp_path / "my red.png"


def test_a_picture_is_a_prompt_from_wherever_the_script_runs(daemon, picture):
    place = os.path.relpath(picture)
    ended = run(daemon.port, "image", place, "0.5", "@steps", "2", "@seed", "31")
    assert Path(ended.stdout.strip()) == daemon.folder / "my-red_0.5s_s31_t1.wav"
    ended = run(daemon.port, "image", place, "a", "cave", "0.5", "@steps", "2", "@seed", "32", "@blend", "0.4")
    made = daemon.folder / "a-cave_0.5s_s32_t1.wav"
    assert Path(ended.stdout.strip()) == made
    assert (read_recipe(made)["images"], read_recipe(made)["blend"]) == ([str(picture)], 0.4)
    assert "image: /none.png is not there" in run(daemon.port, "image", "/none.png", status=1).stderr


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["generate", "sea waves", "99"], "seconds: got 99"),
        (["generate", "x", "1", "@model", "none"], "none"),
        (["cancel", "no-such-job"], "no-such-job"),
    ],
)
def test_a_failure_is_the_daemons_sentence(daemon, words, sentence):
    ended = run(daemon.port, *words, status=1)
    assert sentence in ended.stderr and ended.stderr.startswith("clipsonic: ")
    assert ended.stdout == ""


def test_the_status_is_told(daemon):
    assert run(daemon.port, "status").stderr.startswith("status 1 ")


def test_a_silent_daemon_is_told_within_seconds():
    start = time.monotonic()
    port = free_port()
    ended = run(port, "generate", "sea", "waves", status=1)
    assert ended.stderr == f"clipsonic: /generate: the daemon on port {port} says nothing\n"
    assert time.monotonic() - start < 10


def test_a_job_that_falls_silent_is_given_up(daemon):
    """The daemon queues the job behind a long one; the client was told to wait for a tenth of a second."""
    program = f"""
        const {{ Client }} = require({str(SCRIPT.parent / "client.js")!r});
        (async () => {{
            const client = await new Client({{ port: {daemon.port}, silenceMs: 100 }}).open();
            const slow = ["long", 5, "@model", "slow-toy", "@steps", 60];
            const end = (error) => console.log(error.code);
            await Promise.all([client.generate(slow).catch(end), client.generate(["next", 1]).catch(end)]);
            await client.ask("/cancel", ["all"], "/done");
            client.close();
        }})();
    """
    command = [need("node", "nodejs"), "-e", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "no_answer" in ended.stdout, ended.stderr


def test_help_is_a_sentence():
    assert run(9, "paint", status=2).stderr.startswith("usage: node clipsonic.js")


def in_max() -> AbstractContextManager[subprocess.Popen]:
    """The script as [node.script] starts it, with a stand-in for the module that only Max has."""
    return talking(str(SCRIPT), NODE_PATH=str(HERE / "fake_max"))


def test_inside_max_messages_are_commands_and_answers_leave_by_the_outlet(daemon, picture):
    with in_max() as process:
        tell(process, "port", daemon.port)
        assert hear(process, "port")
        tell(process, "generate", "sea waves", 1, "@steps", 2, "@seed", 8)
        heard = hear(process, "done")
        (clip,) = [message for message in heard if message[0] == "clip"]
        assert clip[1] == str(daemon.folder / "sea-waves_1s_s8_t1.wav") and clip[3:] == [1, 1, 8]
        assert [message for message in heard if message[0] == "progress"]
        tell(process, "image", f"Macintosh HD:{picture}", 0.5, "@seed", 33)
        (clip,) = [message for message in hear(process, "done") if message[0] == "clip"]
        assert clip[1] == str(daemon.folder / "my-red_0.5s_s33_t1.wav")
        tell(process, "generate", "sea waves", 99)
        assert hear(process, "fail")[-1][:2] == ["fail", "bad_argument"]
        tell(process, "cancel", "all")
        assert hear(process, "cancelled")
