"""The script of the Max patch and of the Live device, with real sockets and a real daemon."""

from collections.abc import Iterator
from subprocess import Popen

import pytest

from tests.clients.lines import hear, talking, tell
from tests.clients.test_scripts import HERE


@pytest.fixture
def patch(daemon) -> Iterator[Popen]:
    """A patch that has just been opened."""
    with talking(str(HERE / "patch.js"), str(daemon.port)) as process:
        tell(process, "bang")
        assert hear(process, "status")[-1] == ["status", "ready"]
        yield process


def test_a_prompt_becomes_takes_in_the_menu(daemon, patch):
    tell(patch, "seconds", 1)
    tell(patch, "variations", 2)
    tell(patch, "generate", "sea", "waves")
    first, path = (hear(patch, "clip")[-1][1] for _ in range(2))
    assert {first, path} == {str(made) for made in daemon.folder.glob("sea-waves_1s_*.wav")}
    tell(patch, "insert", "slot")
    name = path.rsplit("/", 1)[1].removesuffix(".wav")
    assert hear(patch, "slot")[-1] == ["slot", path, name, 0, 1]


def test_stop_stops_a_job_and_says_so(patch):
    tell(patch, "span", 8, 20)
    tell(patch, "generate", "x")
    hear(patch, "status", "x")
    tell(patch, "stop")
    hear(patch, "status", "stopped")
    tell(patch, "stop")
    assert hear(patch, "status")[-1] == ["status", "nothing to stop"]


def test_what_is_wrong_is_said_in_the_daemons_words(patch):
    tell(patch, "seconds", 99)
    tell(patch, "generate", "sea waves")
    assert hear(patch, "status")[-1][1].startswith("seconds: got 99")


def test_two_patches_do_not_show_each_others_jobs(daemon, patch):
    with talking(str(HERE / "patch.js"), str(daemon.port)) as other:
        tell(other, "bang")
        hear(other, "status", "ready")
        tell(patch, "seconds", 0.5)
        tell(patch, "generate", "mine")
        hear(patch, "clip")
        tell(other, "take", 0)
        tell(other, "stop")
        assert hear(other, "status", "nothing to stop")


def test_clips_of_other_programs_are_shown(daemon, patch):
    with daemon.client() as client:
        made = [message for message in client.generate("wind", 0.5, id="tablet-1") if message.address == "/clip"]
    assert hear(patch, "clip")[-1] == ["clip", made[0].arguments[2]]
