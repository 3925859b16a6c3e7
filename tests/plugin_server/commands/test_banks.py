"""`clipsonic banks` in this process."""

import pytest

from plugin_server import cli
from plugin_server.commands import banks
from plugin_server.studio.banks.files import read_bank
from tests.conftest import trash_in


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


def test_a_missing_picture_is_told_with_its_slot_before_anything_is_made(run, tmp_path):
    (tmp_path / "bank").mkdir()
    slots = '[[slots]]\nprompt = "bell"\n[[slots]]\nempty = true\n[[slots]]\nimage = "lid.png"\n'
    (tmp_path / "bank" / "kit.toml").write_text(slots)
    for action in ("render", "export"):
        said = run(action, "kit", status=1)
        assert f"kit: slot 2: image: {tmp_path / 'bank' / 'lid.png'} is not there" in said
    assert not list(tmp_path.rglob("*.wav"))


KIT = '# mine\n[[slots]]\nname = "Kick"\nprompt = "kick"\n\n[[slots]]\nprompt = "bell"\n'


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of own banks, with one; what is trashed goes to the folder 'trash' beside it."""
    monkeypatch.setattr("plugin_server.studio.library.undo_files.move_to_trash", trash_in(tmp_path))
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "kit.toml").write_text(KIT)
    return tmp_path / "bank"


def test_a_bank_is_renamed_deleted_and_brought_back(run, own, tmp_path):
    assert run("rename", "KIT", "My Kit") == "kit is my-kit now\n"
    assert (own / "my-kit.toml").read_text() == KIT
    assert run("delete", "My Kit") == "in the trash: my-kit (clipsonic banks undo brings it back)\n"
    assert (tmp_path / "trash" / "my-kit.toml").read_text() == KIT and "my-kit" not in run()
    assert run("undo") == "undone: delete my-kit\n"
    assert run("undo") == "undone: rename kit\n"
    assert (own / "kit.toml").read_text() == KIT
    assert run("redo") == "done again: rename kit\n"
    run("undo")
    assert run("undo", status=1) == "clipsonic: there is nothing to undo\n"


def test_a_slot_is_cleared_in_a_copy_and_the_shipped_bank_restored(run, own, tmp_path):
    said = run("clear", "Drums", "kick drum")
    assert said == f"drums: slot 0 is empty; {own / 'drums.toml'} (clipsonic banks undo brings it back)\n"
    assert read_bank(own / "drums.toml").slots[0].is_empty
    assert "drums            16 slots  own  " in run()
    assert run("undo") == "undone: clear drums\n" and run("redo") == "done again: clear drums\n"
    assert run("restore", "drums").startswith("as it was shipped: drums")
    assert not (own / "drums.toml").exists()
    assert "which came with the program" in run("delete", "drums", status=1)
    assert "slot: got 'moon', expected 0 to 1, or a slot's name in kit" in run("clear", "kit", "moon", status=1)
    assert "slot: got 7, expected 0 to 1 in kit" in run("clear", "kit", "7", status=1)


def test_a_bank_of_empty_slots_cannot_be_rendered(run, own):
    (own / "kit.toml").write_text("[[slots]]\nempty = true\n")
    assert run("render", "kit", status=1) == "clipsonic: kit: every slot is empty\n"
    assert run("check", "kit") == "kit: all is well\n"
    assert "    0" in run("show", "kit")
    (own / "kit.toml").write_text('[[slots]]\nempty = true\nprompt = "x"\n')
    assert "slot 0: empty: got true beside prompt, expected it alone" in run("clear", "kit", "0", status=1)
