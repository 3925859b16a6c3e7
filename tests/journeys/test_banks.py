"""`clipsonic banks` as a person types it, with the shipped model."""

from pathlib import Path

from tests.journeys.test_commands import run

MINE = """
description = "Two short sounds"

[defaults]
seconds = 0.5
steps = 2

[[slots]]
name = "Rain"
prompt = "rain"

[[slots]]
name = "Bell"
prompt = "bell"
"""


def own_banks(tmp_path: Path) -> Path:
    """The folder of the person's own banks, as the command tells it."""
    return Path(run(tmp_path, "banks").stdout.splitlines()[-1].removeprefix("your own go into "))


def write_bank(tmp_path: Path, name: str, text: str) -> Path:
    folder = own_banks(tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    return folder / f"{name}.toml"


def test_banks_are_listed_with_own_ones(tmp_path):
    write_bank(tmp_path, "mine", MINE)
    write_bank(tmp_path, "broken", "slots = 3")
    lines = run(tmp_path, "banks").stdout.splitlines()
    assert any(line.split() == ["mine", "2", "slots", "own", "Two", "short", "sounds"] for line in lines)
    assert any(line.startswith("broken") and "cannot be used" in line for line in lines)
    assert any(line.startswith("weather") for line in lines)


def test_shipped_banks_are_all_well(tmp_path):
    lines = run(tmp_path, "banks", "check").stdout.splitlines()
    assert len(lines) >= 16 and all(line.endswith(": all is well") for line in lines)


def test_what_is_wrong_is_told_by_slot(tmp_path):
    path = tmp_path / "long.toml"
    path.write_text('[[slots]]\nprompt = "rain"\nseconds = 3000\n')
    ended = run(tmp_path, "banks", "check", str(path), status=1)
    assert "slot 0: seconds: got 3000, expected 0.5 to 30 s" in ended.stdout
    assert "1 of 1 banks cannot be used" in ended.stderr
    assert "bank: got 'moon'" in run(tmp_path, "banks", "check", "moon", status=1).stderr


def test_a_bank_is_rendered_once_shown_and_exported(tmp_path):
    write_bank(tmp_path, "mine", MINE)
    folder = ["--folder", str(tmp_path / "clips")]
    assert "2 clips, 2 of them new" in run(tmp_path, "banks", "render", "mine", *folder).stdout
    assert "2 clips, 0 of them new" in run(tmp_path, "banks", "render", "mine", *folder).stdout
    shown = run(tmp_path, "banks", "show", "mine", *folder).stdout.splitlines()
    assert shown[2].split() == ["0", "Rain", "0.5", "36", "made", "rain"]
    out = tmp_path / "instrument"
    assert str(out) in run(tmp_path, "banks", "export", "mine", *folder, "--to", str(out)).stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "01 Rain.wav",
        "02 Bell.wav",
        "mine.dspreset",
        "mine.sfz",
    ]
