import errno
import os

import pytest

from plugin_server.errors import FolderNotWritable, TrashFailed
from plugin_server.studio.library import undo_files as kept_module
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


def test_a_file_goes_and_comes_back_as_it_was(disks, tmp_path, clip):
    kept = UndoFiles(tmp_path / "kept")
    token = kept.stash(clip)
    assert not clip.exists()
    assert kept.find(token).read_bytes() == b"sound"
    assert kept.restore(token, clip) == clip
    assert (clip.read_bytes(), clip.stat().st_mtime_ns) == (b"sound", 10**18)
    assert list((tmp_path / "kept").iterdir()) == []
    assert [path.name for path in clip.parent.iterdir()] == ["sea.wav"]


def test_a_file_never_replaces_one_that_came_meanwhile(disks, tmp_path, clip):
    kept = UndoFiles(tmp_path / "kept")
    token = kept.stash(clip)
    clip.write_bytes(b"another")
    assert kept.restore(token, clip).name == "sea_2.wav"
    assert clip.read_bytes() == b"another"
    with pytest.raises(FileExistsError):
        move_file(clip, clip.with_name("sea_2.wav"))
    assert clip.read_bytes() == b"another"


def test_a_folder_that_was_removed_is_made_again(disks, tmp_path, clip):
    kept = UndoFiles(tmp_path / "kept")
    token = kept.stash(clip)
    clip.parent.rmdir()
    assert kept.restore(token, clip).read_bytes() == b"sound"


def test_a_copy_stays_when_the_file_goes(disks, tmp_path, clip):
    kept = UndoFiles(tmp_path / "kept")
    token = kept.stash_copy(clip)
    clip.unlink()
    assert kept.restore(token, clip).read_bytes() == b"sound"


def test_a_file_that_is_not_there_is_told_and_leaves_nothing(tmp_path, clip):
    kept = UndoFiles(tmp_path / "kept")
    clip.unlink()
    for way in (kept.stash, kept.stash_copy):
        with pytest.raises(FileNotFoundError):
            way(clip)
    assert list((tmp_path / "kept").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        kept.restore("0123", clip)


def test_a_folder_that_cannot_be_written_is_told(tmp_path, clip):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="file"):
        UndoFiles(tmp_path / "file" / "kept").stash(clip)
    assert clip.exists()


def test_only_strays_that_are_old_are_swept_into_the_trash(tmp_path, clip, monkeypatch):
    kept, trash = UndoFiles(tmp_path / "kept"), []
    stray = kept.stash_copy(clip)
    known = kept.stash_copy(clip)
    kept.trash_orphans({known}, trash.append)
    assert trash == []
    now = kept_module.time.time()
    monkeypatch.setattr(kept_module.time, "time", lambda: now + ORPHAN_AGE_S + 1)
    kept.trash_orphans({known}, trash.append)
    assert [path.name for path in trash] == ["sea.wav"]
    assert kept.find(stray) is None
    assert kept.find(known)


def test_a_trash_that_does_not_work_is_told(tmp_path):
    with pytest.raises(TrashFailed, match=r"missing\.wav cannot be moved to the trash"):
        move_to_trash(tmp_path / "missing.wav")
