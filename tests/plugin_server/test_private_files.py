"""Modes of what is made, whatever the umask is."""

import os
import stat
import sys

import pytest

from plugin_server.private_files import make_private_file, make_private_folder
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.changes import BankChanges
from plugin_server.studio.banks.files import BankRegistry
from plugin_server.studio.library.library import Library
from plugin_server.studio.requests import Generate
from tests.support.recipes import write_made

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_missing_folders_are_private_and_others_stay(tmp_path):
    (tmp_path / "there").mkdir(0o755)
    make_private_folder(tmp_path / "there" / "a" / "b")
    make_private_folder(tmp_path / "there" / "a" / "b")
    assert [mode(tmp_path / name) for name in ("there", "there/a", "there/a/b")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")


def test_a_file_is_made_private_also_one_that_is_there(tmp_path):
    (tmp_path / "old").write_text("kept")
    (tmp_path / "old-wal").write_text("kept")
    for name in ("old", "new"):
        make_private_file(tmp_path / name)
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}
    assert (tmp_path / "old").read_text() == "kept"
    (tmp_path / "folder").mkdir()
    make_private_file(tmp_path / "folder")
    assert mode(tmp_path / "folder") == 0o777


def test_the_index_is_private(tmp_path):
    (tmp_path / "clips").mkdir()
    library = Library(tmp_path / "clips", tmp_path / "data" / "library" / "clips.sqlite3")
    library.newest(1)
    made = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert {mode(path) for path in made} == {0o600} and made
    assert {mode(tmp_path / "data"), mode(tmp_path / "data" / "library")} == {0o700}
    library.close()


def test_a_bank_that_is_saved_is_private_and_clips_are_as_the_umask_says(tmp_path):
    bank = Bank("mine", "", (Slot("a", Generate("rain", seed=1)),))
    path = BankChanges(BankRegistry([tmp_path / "data" / "banks"])).save(bank, "mine")
    assert [mode(path), mode(path.parent), mode(path.parent.parent)] == [0o600, 0o700, 0o700]
    os.umask(0o027)
    assert mode(write_made(tmp_path, "a.wav")) == 0o640
