"""Changes of banks, in folders of the test's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from plugin_server.errors import BadArgument, FolderNotWritable, NothingToUndo, TrashFailed, UnknownBank
from plugin_server.studio.banks import changes as changes_module
from plugin_server.studio.banks.changes import BankChanges
from plugin_server.studio.banks.files import BankRegistry, read_bank
from plugin_server.studio.requests import Generate
from tests.conftest import trash_in

COMMENTED = """# my favourite
name = "kit"       # as the file
description = "By hand"

[defaults]
seconds = 1

[[slots]]
prompt = "rain"  # on the roof
image = "rain.png"
"""


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    for folder, name, word in ((own, "drums", "mine"), (shipped, "drums", "shipped"), (shipped, "sea", "shipped")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.toml").write_text(f'description = "{word}"\n[[slots]]\nprompt = "{name}"\n')
    (own / "kit.toml").write_text(COMMENTED)
    return own, shipped


@pytest.fixture
def registry(folders) -> BankRegistry:
    return BankRegistry(folders)


@pytest.fixture
def changes(registry, tmp_path) -> BankChanges:
    return BankChanges(registry, tmp_path / "data", trash_in(tmp_path))


def trash(tmp_path: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (tmp_path / "trash").glob("*")}


def edited(registry: BankRegistry, name: str, prompt: str = "edited"):
    return registry.find(name).with_request(0, Generate(prompt, seconds=1, seed=0))


def test_a_deleted_bank_is_in_the_trash_and_uncovers_the_shipped_one(changes, registry, folders, tmp_path):
    before = (folders[0] / "drums.toml").read_text()
    assert changes.delete("Drums").banks == ("drums",)
    assert registry.find("drums").description == "shipped"
    assert trash(tmp_path) == {"drums.toml": before}
    changes.undo()
    assert (folders[0] / "drums.toml").read_text() == before
    changes.redo()
    assert registry.find("drums").description == "shipped"


@pytest.mark.parametrize(("name", "error"), [("sea", BadArgument), ("moon", UnknownBank)])
def test_only_own_banks_are_deleted_and_renamed(changes, name, error):
    with pytest.raises(error):
        changes.delete(name)
    with pytest.raises(error):
        changes.rename(name, "other")
    with pytest.raises(NothingToUndo, match="nothing to undo"):
        changes.undo()


def test_a_renamed_bank_keeps_its_comments_and_edits(changes, registry, folders, tmp_path):
    changes.edit("set", edited(registry, "kit"))
    changes.rename("KIT", "my-kit")
    text = (folders[0] / "my-kit.toml").read_text()
    assert text == COMMENTED.replace('name = "kit"       # as the file', 'name = "my-kit"')
    assert not (folders[0] / "kit.toml").exists()
    assert changes.edited("my-kit").slots[0].request.prompt == "edited" and changes.edited("kit") is None
    assert registry.find("my-kit").slots[0].request.images == (str(folders[0] / "rain.png"),)
    changes.undo()
    assert (folders[0] / "kit.toml").read_text() == COMMENTED
    assert changes.edited_names() == ["kit"] and not (folders[0] / "my-kit.toml").exists()
    assert trash(tmp_path) == {}


@pytest.mark.parametrize("text", ['[[slots]]\nprompt = "x"\n', '"name" = "odd"\n[[slots]]\nprompt = "x"\n'])
def test_a_name_is_changed_where_it_is_written(changes, registry, folders, text):
    (folders[0] / "odd.toml").write_text(text)
    changes.rename("odd", "even")
    assert registry.find("even").slots[0].request.prompt == "x"


def test_a_name_that_is_taken_is_refused(changes):
    for name in ("sea", "kit"):
        with pytest.raises(BadArgument, match="which another bank has"):
            changes.rename("drums", name)
    with pytest.raises(BadArgument, match="small letters"):
        changes.rename("drums", "../up")


def test_a_shipped_bank_is_restored(changes, registry, tmp_path):
    changes.edit("set", edited(registry, "drums"))
    changes.restore("drums")
    assert registry.find("drums").description == "shipped"
    assert changes.edited_names() == [] and list(trash(tmp_path)) == ["drums.toml"]
    # What is as it was shipped is no step.
    assert changes.restore("drums").changes == ()
    changes.undo()
    assert registry.find("drums").description == "mine" and changes.edited_names() == ["drums"]
    with pytest.raises(BadArgument, match="expected one that came with the program"):
        changes.restore("kit")


def test_saving_puts_what_was_written_by_hand_into_the_trash(changes, registry, folders, tmp_path):
    changes.save(edited(registry, "kit", "first"), "kit")
    assert trash(tmp_path) == {"kit.toml": COMMENTED}
    # What this program wrote goes nowhere; it can be undone.
    changes.save(edited(registry, "kit", "second"), "kit")
    assert trash(tmp_path) == {"kit.toml": COMMENTED}
    changes.undo()
    assert registry.find("kit").slots[0].request.prompt == "first"
    changes.undo()
    assert (folders[0] / "kit.toml").read_text() == COMMENTED


def test_without_a_trash_it_stays_beside_the_new_one(registry, folders, tmp_path):
    def fail(path):
        raise TrashFailed("no trash")

    changes = BankChanges(registry, tmp_path / "data", fail)
    changes.save(edited(registry, "kit"), "kit")
    assert (folders[0] / "kit.toml.old").read_text() == COMMENTED
    assert sorted(registry.paths()) == ["drums", "kit", "sea"]
    with pytest.raises(TrashFailed):
        changes.delete("kit")
    assert (folders[0] / "kit.toml").is_file()


def test_edits_are_private_and_outlast_the_object(changes, registry, folders, tmp_path):
    changes.edit("set", edited(registry, "kit"))
    (path,) = (tmp_path / "data" / "unsaved-banks").iterdir()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    again = BankChanges(registry, tmp_path / "data")
    assert again.edited_names() == ["kit"]
    assert again.edited("kit") == edited(registry, "kit")
    assert (folders[0] / "kit.toml").read_text() == COMMENTED
    again.undo()
    assert changes.edited("kit") is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 5000, b"a = " + b"9" * 5000])
def test_edits_that_cannot_be_read_are_none(changes, tmp_path, content):
    (tmp_path / "data" / "unsaved-banks").mkdir(parents=True)
    (tmp_path / "data" / "unsaved-banks" / "kit.toml").write_bytes(content)
    assert changes.edited("kit") is None
    changes.discard("kit")
    assert changes.edited_names() == []


def test_edits_that_cannot_be_written_are_kept_meanwhile(registry, tmp_path, caplog):
    (tmp_path / "data").write_text("no folder")
    changes = BankChanges(registry, tmp_path / "data")
    changes.edit("set", edited(registry, "kit"))
    assert changes.edited("kit").slots[0].request.prompt == "edited" and changes.edited_names() == ["kit"]
    assert "are lost when the daemon ends" in caplog.text
    changes.discard("kit")
    assert changes.edited_names() == []


def test_a_file_that_was_edited_since_is_set_aside_by_an_undo(changes, folders, tmp_path):
    changes.delete("kit")
    (folders[0] / "kit.toml").write_text("# new\n" + COMMENTED)
    changes.undo()
    assert (folders[0] / "kit.toml").read_text() == COMMENTED
    assert "# new\n" + COMMENTED in trash(tmp_path).values()


def test_nothing_has_changed_when_a_part_cannot_be_written(changes, registry, folders, monkeypatch):
    def fail(*_arguments, **_flags):
        raise FolderNotWritable("full")

    changes.edit("set", edited(registry, "drums"))
    monkeypatch.setattr(changes._unsaved, "write", fail)
    with pytest.raises(FolderNotWritable):
        changes.delete("drums")
    assert read_bank(folders[0] / "drums.toml").description == "mine"


def test_there_may_be_so_many(changes, registry, monkeypatch):
    monkeypatch.setattr(changes_module, "MAX_BANKS", 2)
    changes.save(registry.find("kit"), "kit")
    with pytest.raises(BadArgument, match="there are 2 own banks already, expected at most 2"):
        changes.save(replace(registry.find("kit"), name="more"), "kit")
