"""Clients are listed, and copied whole or not at all."""

import json
from pathlib import Path

import pytest

from plugin_server.commands import client_files
from plugin_server.commands.client_files import MANIFEST, install_clients
from plugin_server.commands.clients import CLIENTS
from plugin_server.errors import BadFile, FolderNotWritable
from plugin_server.settings import shipped_presets


@pytest.fixture
def source(tmp_path):
    for name in ("max", "reaper"):
        (tmp_path / "source" / name / "inner").mkdir(parents=True)
        (tmp_path / "source" / name / "patch.txt").write_text(f"{name} 1")
        (tmp_path / "source" / name / "inner" / "part.txt").write_text("part")
    return tmp_path / "source"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home" / "patches"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_shipped_client_is_listed():
    folders = {path.name for path in shipped_presets("clients").iterdir() if path.is_dir()}
    assert folders == set(CLIENTS)
    for name in CLIENTS:
        assert (shipped_presets("clients") / name / "README.md").is_file()


def test_clients_are_copied_byte_by_byte(source, home):
    assert install_clients(source, home, ["reaper", "max"]) == [home / "reaper", home / "max"]
    for name in ("reaper", "max"):
        installed = files(home / name)
        assert set(json.loads(installed.pop(MANIFEST))) == set(installed)
        assert installed == files(source / name)
    assert {path.name for path in home.iterdir()} == {"reaper", "max"}


def test_a_newer_version_replaces_what_an_older_one_has_written(source, home):
    install_clients(source, home, ["max"])
    (source / "max" / "patch.txt").write_text("max 2")
    (source / "max" / "inner" / "part.txt").unlink()
    (home / "max" / ".DS_Store").write_text("a view of the folder")
    install_clients(source, home, ["max"])
    assert set(files(home / "max")) == {"patch.txt", MANIFEST}
    assert (home / "max" / "patch.txt").read_text() == "max 2"


def change(folder):
    (folder / "patch.txt").write_text("changed by hand")


def add(folder):
    (folder / "inner" / "own.txt").write_text("beside it")


def link(folder):
    (folder / "patch.txt").unlink()
    (folder / "patch.txt").symlink_to(folder / "inner" / "part.txt")


def forget(folder):
    (folder / MANIFEST).write_text("no json")


@pytest.mark.parametrize(("edit", "named"), [(change, "patch.txt"), (add, "inner/own.txt"), (link, "patch.txt"),
                                             (forget, "inner/part.txt, patch.txt")])  # fmt: skip
def test_what_somebody_else_wrote_is_never_replaced(source, home, edit, named):
    install_clients(source, home, ["max"])
    edit(home / "max")
    before = files(home)
    with pytest.raises(BadFile, match=f"written, or not so: {named};"):
        install_clients(source, home, ["reaper", "max"])
    assert files(home) == before


def test_a_file_in_the_way_is_named(source, home):
    home.mkdir(parents=True)
    (home / "max").write_text("a file")
    with pytest.raises(BadFile, match="is there and is no folder of this program"):
        install_clients(source, home, ["max"])
    assert (home / "max").read_text() == "a file"


def test_what_is_not_shipped_is_named(source, home):
    with pytest.raises(BadFile, match="touchosc is missing"):
        install_clients(source, home, ["max", "touchosc"])
    assert not home.exists()


def test_a_folder_that_cannot_be_made_is_named(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="file cannot be changed"):
        install_clients(source, tmp_path / "file", ["max"])


def test_a_failure_on_the_way_leaves_all_as_it_was(source, home, monkeypatch):
    install_clients(source, home, ["max"])
    before = files(home)
    (source / "max" / "patch.txt").write_text("max 2")
    rename = Path.rename

    def fail(path, target):
        if Path(target).name == "reaper" and path.parent.name == "new":
            raise OSError("no space left")
        return rename(path, target)

    monkeypatch.setattr(client_files.Path, "rename", fail)
    with pytest.raises(FolderNotWritable, match="no space left"):
        install_clients(source, home, ["max", "reaper"])
    assert files(home) == before
