import errno
import os

import pytest

from plugin_server.errors import FolderNotWritable, TrashFailed
from plugin_server.studio.library import undo_files as undo_files_module
from plugin_server.studio.library.undo_files import ORPHAN_AGE_S, UndoFiles, move_file, move_to_trash


@pytest.fixture(params=["one disk", "two disks"])
def disks(request, monkeypatch):
    """Links between folders work, or are refused as between two disks."""
    if request.param == "two disks":
        real = os.link

        def link(old, new):
            if old.parent != new.parent:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            real(old, new)

        monkeypatch.setattr(os, "link", link)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clips" / "sea.wav"
    path.parent.mkdir()
    path.write_bytes(b"sound")
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.mark.usefixtures("disks")
def test_a_file_goes_and_comes_back_as_it_was(tmp_path, clip):
    undo_files = UndoFiles(tmp_path / "undo")
    token = undo_files.stash(clip)
    assert not clip.exists()
    assert undo_files.find(token).read_bytes() == b"sound"
    assert undo_files.restore(token, clip) == clip
    assert (clip.read_bytes(), clip.stat().st_mtime_ns) == (b"sound", 10**18)
    assert list((tmp_path / "undo").iterdir()) == []
    assert [path.name for path in clip.parent.iterdir()] == ["sea.wav"]


@pytest.mark.usefixtures("disks")
def test_a_file_never_replaces_one_that_came_meanwhile(tmp_path, clip):
    undo_files = UndoFiles(tmp_path / "undo")
    token = undo_files.stash(clip)
    clip.write_bytes(b"another")
    assert undo_files.restore(token, clip).name == "sea_2.wav"
    assert clip.read_bytes() == b"another"
    with pytest.raises(FileExistsError):
        move_file(clip, clip.with_name("sea_2.wav"))
    assert clip.read_bytes() == b"another"


@pytest.mark.usefixtures("disks")
def test_a_folder_that_was_removed_is_made_again(tmp_path, clip):
    undo_files = UndoFiles(tmp_path / "undo")
    token = undo_files.stash(clip)
    clip.parent.rmdir()
    assert undo_files.restore(token, clip).read_bytes() == b"sound"


@pytest.mark.usefixtures("disks")
def test_a_copy_stays_when_the_file_goes(tmp_path, clip):
    undo_files = UndoFiles(tmp_path / "undo")
    token = undo_files.stash_copy(clip)
    clip.unlink()
    assert undo_files.restore(token, clip).read_bytes() == b"sound"


def test_a_file_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path, clip):
    undo_files = UndoFiles(tmp_path / "undo")
    clip.unlink()
    for stash in (undo_files.stash, undo_files.stash_copy):
        with pytest.raises(FileNotFoundError):
            stash(clip)
    assert list((tmp_path / "undo").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        undo_files.restore("0123", clip)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, clip):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="file"):
        UndoFiles(tmp_path / "file" / "undo").stash(clip)
    assert clip.exists()


def test_only_orphans_that_are_old_go_to_the_trash(tmp_path, clip, monkeypatch):
    undo_files, trash = UndoFiles(tmp_path / "undo"), []
    orphan = undo_files.stash_copy(clip)
    known = undo_files.stash_copy(clip)
    undo_files.trash_orphans({known}, trash.append)
    assert trash == []
    now = undo_files_module.time.time()
    monkeypatch.setattr(undo_files_module.time, "time", lambda: now + ORPHAN_AGE_S + 1)
    undo_files.trash_orphans({known}, trash.append)
    assert [path.name for path in trash] == ["sea.wav"]
    assert undo_files.find(orphan) is None
    assert undo_files.find(known)


def test_a_trash_that_does_not_work_is_an_error(tmp_path):
    with pytest.raises(TrashFailed, match=r"missing\.wav cannot be moved to the trash"):
        move_to_trash(tmp_path / "missing.wav")
