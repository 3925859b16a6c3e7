"""What users see is what the record says; `python -m tests.golden` writes it anew."""

import difflib

import pytest

from tests.golden.made import RECORD, RECORDS


def differences(name: str, made: str) -> str:
    """Lines that differ from the record of this name."""
    old = (RECORD / name).read_text("utf-8").splitlines()
    return "\n".join(difflib.unified_diff(old, made.splitlines(), f"record/{name}", "now", lineterm="", n=4))


@pytest.mark.parametrize("part", ["daemon"])
def test_users_see_what_they_saw(part, tmp_path):
    made = RECORDS[part](tmp_path.resolve())
    told = "\n".join(filter(None, (differences(name, text) for name, text in made.items())))
    assert not told, f"\n{told}"
