"""An id means the clip that was announced, not whichever file of it was found last."""

import shutil
import zlib

import pytest

from plugin_server.errors import UnknownClip
from plugin_server.studio.library.lookup import is_path
from tests.support.recipes import sound, write_made


@pytest.fixture
def copied(shelf, library):
    """A clip that was made, its id, and a copy that somebody keeps in a folder of theirs."""
    (path,) = shelf.make(library, "a.wav")
    copy = shelf.folder / "My Set" / "a.wav"
    copy.parent.mkdir()
    shutil.copyfile(path, copy)
    library.scan()
    return path, library.find("a.wav").id, copy


@pytest.mark.parametrize("preserve", [shutil.copyfile, shutil.copy2])
def test_an_id_and_a_name_mean_the_clip_that_was_made(shelf, library, preserve):
    (path,) = shelf.make(library, "b.wav")
    for folder in ("A", "Z"):
        (shelf.folder / folder).mkdir()
        preserve(path, shelf.folder / folder / "b.wav")
        library.scan()
        clip_id = library.find("b.wav").id
        assert [library.find(name).path for name in (clip_id, clip_id.upper(), "b")] == [path] * 3
        assert library.find(f"{folder}/b.wav").path == shelf.folder / folder / "b.wav"
    assert library.star(clip_id).path == path
    assert library.tag(clip_id, "mine").path == path
    assert not library.find("A/b.wav").is_starred


def test_deleting_by_id_spares_the_copies_also_the_second_time(shelf, library, copied):
    path, clip_id, copy = copied
    assert library.delete(clip_id).path == path
    assert (path.exists(), copy.exists()) == (False, True)
    for name in (clip_id, "a"):
        with pytest.raises(UnknownClip, match=r"no longer there; its copies are named by their paths: My Set/a\.wav"):
            library.delete(name)
    assert copy.exists()
    assert library.find_file(clip_id).path == copy
    assert library.delete("My Set/a.wav").path == copy
    assert not copy.exists()


def test_a_clip_that_was_taken_away_by_hand_is_never_made_up_for_by_its_copy(shelf, library, copied):
    path, clip_id, copy = copied
    path.unlink()
    with pytest.raises(UnknownClip, match="My Set/a"):
        library.delete(clip_id)
    assert copy.exists()
    assert library.find_file(clip_id).path == copy


def test_a_clip_that_was_moved_is_deleted_where_it_is(shelf, library):
    (path,) = shelf.make(library, "a.wav")
    moved = shelf.folder / "sub" / "b.wav"
    moved.parent.mkdir()
    path.rename(moved)
    assert library.delete(sound(zlib.crc32(b"a.wav")).fingerprint()).path == moved


def test_of_two_that_were_made_alike_the_last_one_is_meant(shelf, library):
    for name in ("t1.wav", "t1_2.wav"):
        library.add(write_made(shelf.folder, name, seed=1), name)
    clip_id = sound(1).fingerprint()
    assert library.find(clip_id).path.name == "t1_2.wav"
    assert [library.delete(clip_id).path.name for _ in range(2)] == ["t1_2.wav", "t1.wav"]


def test_without_announcements_the_oldest_file_is_meant(shelf, copied):
    path, clip_id, copy = copied
    shelf.close()
    for file in shelf.index.parent.glob("index.sqlite3*"):
        file.unlink()
    library = shelf.open()
    assert library.find(clip_id).path == path
    assert library.delete(clip_id).path == path
    with pytest.raises(UnknownClip, match="My Set/a"):
        library.delete(clip_id)
    assert copy.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a1b2", False), ("rain_0.5s", False), ("rain.wav", True), ("sub/rain", True), ("last", False)],
)
def test_a_path_is_told_from_an_id_and_a_name(tmp_path, name, expected):
    assert is_path(tmp_path, name) == expected
    assert is_path(tmp_path, str(tmp_path / name)) == expected


def test_a_copy_that_was_announced_in_the_clips_place_is_meant(library, copied):
    path, clip_id, copy = copied
    path.unlink()
    library.scan()
    library.announce(copy)
    assert library.delete(clip_id).path == copy
