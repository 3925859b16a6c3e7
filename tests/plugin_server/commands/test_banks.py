"""`clipsonic banks` in this process."""

import pytest

from plugin_server import cli
from plugin_server.commands import banks


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    for name in ("BANK", "INDEX"):
        monkeypatch.setenv(f"CLIPSONIC_{name}_FOLDER", str(tmp_path / name.lower()))
    monkeypatch.setenv("CLIPSONIC_FOLDER", str(tmp_path / "clips"))


@pytest.fixture
def run(capsys):
    def run(*arguments, status=0):
        assert cli.main(["banks", *map(str, arguments)]) == status
        captured = capsys.readouterr()
        return captured.err if status else captured.out

    return run


def test_an_export_is_refused_before_anything_is_made(run, tmp_path, monkeypatch):
    monkeypatch.setattr(banks, "render_bank", lambda *_: pytest.fail("made clips"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drums").mkdir()
    (tmp_path / "drums" / "song.txt").write_text("la")
    assert "which exists and is not empty" in run("export", "drums", status=1)
    assert "which exists and is not empty" in run("export", "sea", "--to", "drums", status=1)
    assert "expected one of" in run("export", "nowhere", status=1)
