"""What users see is what the record says; `python -m tests.golden` writes it anew."""

import difflib
import json
import sys

import numpy as np
import pytest

from tests.golden.made import RECORD, RECORDS
from tests.golden.record_clips import UNIT
from tests.golden.record_commands import python_of_record

TOLERANCE = 2e-3
"""Of a sample, full scale being 1, between one machine and another."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the record is that of systems with POSIX paths")


def differences(name: str, made: str) -> str:
    """Lines that differ from the record of this name."""
    old = (RECORD / name).read_text("utf-8").splitlines()
    return "\n".join(difflib.unified_diff(old, made.splitlines(), f"record/{name}", "now", lineterm="", n=4))


def test_the_daemon_answers_as_it_did(tmp_path):
    made = RECORDS["daemon"](tmp_path.resolve())
    told = "\n".join(filter(None, (differences(name, text) for name, text in made.items())))
    assert not told, f"\n{told}"


def test_commands_print_what_they_printed(tmp_path):
    with (RECORD / "cli.txt").open(encoding="utf-8") as file:
        recorded = file.readline().strip()
    if recorded != python_of_record():
        pytest.skip(f"the record is that of {recorded.removeprefix('# ')}")
    told = differences("cli.txt", RECORDS["commands"](tmp_path.resolve())["cli.txt"])
    assert not told, f"\n{told}"


def test_clips_sound_as_they_did(tmp_path):
    old = json.loads((RECORD / "clips.json").read_text("utf-8"))
    new = json.loads(RECORDS["clips"](tmp_path.resolve())["clips.json"])
    assert list(new) == list(old) and new["daemon"] == old["daemon"]
    is_same_machine = new["machine"] == old["machine"]
    for what in list(old)[2:]:
        was, now = old[what], new[what]
        for key in ("file", "rate", "frames"):
            assert now[key] == was[key], what
        off = np.abs(_samples(now) - _samples(was)).max()
        assert off <= TOLERANCE, f"{what}: samples differ by up to {off:g}"
        assert not is_same_machine or now["sha256"] == was["sha256"], f"{what}: samples are not exactly the same"


def _samples(sound: dict) -> np.ndarray:
    return np.array([channel.split() for channel in sound["samples"]], float) * UNIT
