"""The steps of the library where files, trash or database get in the way."""

from pathlib import Path

import pytest

from plugin_server.errors import FolderNotWritable, NothingToUndo, TrashFailed, UnknownClip
from plugin_server.studio.library import undo
from plugin_server.studio.library.database import LibraryDatabase
from plugin_server.studio.library.records import ClipRecord, ClipState, read_clip_file, record_of, upsert
from plugin_server.studio.library.undo import ClipChange, UndoHistory
from plugin_server.studio.library.undo_files import UndoFiles
from tests.support.recipes import write_made


class Folder:
    """A sample folder with its index, its undo files and a trash whose failure can be asked for."""

    def __init__(self, path: Path) -> None:
        self.clips, self.trash = path / "clips", path / "trash"
        for folder in (self.clips, self.trash):
            folder.mkdir()
        self.index = LibraryDatabase(path / "index.sqlite3")
        self.undo_files = UndoFiles(path / "undo")
        self.history = UndoHistory(self.clips, self.undo_files, self.move_to_trash)
        self.is_trash_broken = False

    def move_to_trash(self, path: Path) -> None:
        if self.is_trash_broken:
            raise TrashFailed("no trash")
        path.rename(self.trash / path.name)

    def generate(self, name: str, request: str) -> int:
        """Enter a clip as a take of a request; its number."""
        write_made(self.clips, name)
        file = read_clip_file(self.clips, name)

        def work(connection) -> int:
            number = upsert(connection, file)
            self.history.record(connection, "generate", [ClipChange(number)], request)
            return number

        return self.index.write(work)

    def clip(self, number: int) -> ClipRecord:
        query = "SELECT * FROM clips WHERE number = ?"
        return self.index.read(lambda db: record_of(db.execute(query, (number,)).fetchone(), self.clips))

    def delete(self, number: int) -> None:
        clip = self.clip(number)
        self.index.write(lambda connection: self.history.delete(connection, clip))

    def undo(self):
        return self.index.write(self.history.undo)

    def redo(self):
        return self.index.write(self.history.redo)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.clips.iterdir())


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    yield folder
    folder.index.close()


def test_nothing_done_is_nothing_to_undo_or_redo(folder):
    with pytest.raises(NothingToUndo, match="undo: nothing is left"):
        folder.undo()
    with pytest.raises(NothingToUndo, match="redo: nothing was undone"):
        folder.redo()


def test_takes_without_a_request_are_steps_of_their_own(folder):
    for name in ("a.wav", "b.wav"):
        folder.generate(name, "")
    assert [clip.path.name for clip in folder.undo().clips] == ["b.wav"]
    assert folder.files() == ["a.wav"]


def test_a_request_that_was_interrupted_by_another_is_two_steps(folder):
    for name, request in (("a.wav", "1"), ("b.wav", "2"), ("c.wav", "1")):
        folder.generate(name, request)
    assert [[clip.path.name for clip in folder.undo().clips] for _ in range(3)] == [["c.wav"], ["b.wav"], ["a.wav"]]


def test_a_stashed_file_is_found_by_the_token_of_its_record(folder):
    number = folder.generate("a.wav", "1")
    content = (folder.clips / "a.wav").read_bytes()
    folder.undo()
    clip = folder.clip(number)
    assert clip.state == ClipState.UNDONE
    assert folder.undo_files.find(clip.undo_token).read_bytes() == content
    folder.redo()
    assert folder.clip(number).undo_token == ""


def test_deleting_a_clip_whose_file_was_just_taken_away_is_no_step(folder):
    number = folder.generate("a.wav", "1")
    clip = folder.clip(number)
    clip.path.unlink()
    with pytest.raises(UnknownClip, match=r"a\.wav is no longer there"):
        folder.index.write(lambda connection: folder.history.delete(connection, clip))
    assert folder.undo().kind == "generate"


def test_a_trash_that_fails_on_redo_leaves_the_clip_and_the_step(folder):
    number = folder.generate("a.wav", "1")
    folder.delete(number)
    folder.undo()
    (folder.trash / "a.wav").unlink()
    folder.is_trash_broken = True
    with pytest.raises(TrashFailed):
        folder.redo()
    assert folder.files() == ["a.wav"]
    assert folder.clip(number).state == ClipState.PRESENT
    folder.is_trash_broken = False
    assert folder.redo().kind == "delete"
    assert folder.files() == []


def test_a_trash_that_fails_when_undone_takes_are_dropped_leaves_them_for_the_next_scan(folder, caplog):
    number = folder.generate("a.wav", "1")
    folder.undo()
    token = folder.clip(number).undo_token
    folder.is_trash_broken = True
    folder.generate("b.wav", "2")
    assert "a take that was undone: no trash" in caplog.text
    assert folder.clip(number).state == ClipState.DELETED
    assert folder.undo_files.find(token).name == "a.wav"
    with pytest.raises(NothingToUndo):
        folder.redo()


def test_a_clip_that_cannot_come_back_leaves_the_others_stashed(folder, monkeypatch):
    numbers = [folder.generate(name, "1") for name in ("a.wav", "b.wav")]
    folder.undo()
    real = folder.undo_files.restore

    def restore(token: str, path: Path) -> Path:
        if path.name == "b.wav":
            raise FolderNotWritable("b.wav cannot be written: full")
        return real(token, path)

    monkeypatch.setattr(folder.undo_files, "restore", restore)
    with pytest.raises(FolderNotWritable):
        folder.redo()
    assert folder.files() == []
    assert [folder.clip(number).state for number in numbers] == [ClipState.UNDONE] * 2
    monkeypatch.undo()
    folder.redo()
    assert folder.files() == ["a.wav", "b.wav"]


def test_a_clip_that_a_person_brought_back_by_hand_is_left_alone(folder):
    number = folder.generate("a.wav", "1")
    folder.delete(number)
    (folder.trash / "a.wav").rename(folder.clips / "a.wav")
    folder.index.write(lambda db: db.execute("UPDATE clips SET state = 'here' WHERE number = ?", (number,)))
    (clip,) = folder.undo().clips
    assert (clip.path.name, clip.state) == ("a.wav", ClipState.PRESENT)
    assert folder.files() == ["a.wav"]


def test_takes_of_one_request_are_one_step(shelf, library):
    shelf.make(library, "a1.wav", "a2.wav", request="a")
    shelf.make(library, "b.wav", request="b")
    assert [e.path.name for e in library.undo().clips] == ["b.wav"]
    step = library.undo()
    assert (step.kind, [e.state for e in step.clips]) == ("generate", ["undone", "undone"])
    assert shelf.files() == []
    with pytest.raises(NothingToUndo):
        library.undo()
    library.redo()
    assert shelf.files() == ["a1.wav", "a2.wav"]


def test_steps_go_back_and_forth_over_restarts(shelf):
    library = shelf.open()
    (path,) = shelf.make(library, "sea.wav")
    content = path.read_bytes()
    library.star("sea")
    library.tag("sea", "dark")
    library.delete("sea")
    states = [("delete", "here", True, "dark"), ("tag", "here", True, ""), ("star", "here", False, "")]
    states += [("generate", "undone", False, "")]
    for kind, state, star, tags in states:
        step = shelf.open().undo()
        (record,) = step.clips
        assert (step.kind, record.state, record.is_starred, record.tags) == (kind, state, star, tags)
    assert shelf.files() == []
    for kind in ("generate", "star", "tag", "delete"):
        assert shelf.open().redo().kind == kind
    assert shelf.files() == []
    library = shelf.open()
    library.undo()
    assert path.read_bytes() == content
    assert library.find("sea").is_starred


def test_what_changes_nothing_is_no_step(shelf, library):
    shelf.make(library, "sea.wav")
    library.star("sea", starred=False)
    assert library.undo().kind == "generate"


def test_a_new_step_ends_redoing_and_throws_what_was_undone_into_the_trash(shelf, library):
    shelf.make(library, "a.wav", request="a")
    library.undo()
    shelf.make(library, "b.wav", request="b")
    with pytest.raises(NothingToUndo, match="redo"):
        library.redo()
    assert [path.name for path in shelf.trash.iterdir()] == ["a.wav"]
    assert list(shelf.stash.iterdir()) == []
    assert library.find("a").state == "deleted"


def test_a_deleted_clip_is_in_the_trash_and_comes_back(shelf, library):
    (path,) = shelf.make(library, "a.wav")
    content = path.read_bytes()
    assert library.delete("a").state == "deleted"
    assert (shelf.files(), (shelf.trash / "a.wav").read_bytes()) == ([], content)
    assert library.newest(5).total == library.search("sea", 5).total == 0
    with pytest.raises(UnknownClip, match="was deleted"):
        library.delete("a")
    library.undo()
    assert path.read_bytes() == content
    assert library.newest(5).total == library.search("sea", 5).total == 1


def test_a_clip_comes_back_under_another_name_where_its_own_was_taken(shelf, library):
    shelf.make(library, "a.wav", request="a")
    library.undo()
    write_made(shelf.folder, "a.wav", seed=99)
    (record,) = library.redo().clips
    assert record.path.name == "a_2.wav"
    assert library.find("a_2").id == record.id


def test_a_trash_that_fails_changes_nothing(shelf):
    def refuse(_):
        raise TrashFailed("no trash")

    library = shelf.open(refuse)
    shelf.make(library, "a.wav")
    with pytest.raises(TrashFailed):
        library.delete("a")
    assert library.find("a").state == "here"
    assert shelf.files() == ["a.wav"]
    assert list(shelf.stash.iterdir()) == []
    assert library.undo().kind == "generate"


def test_an_undo_that_fails_halfway_changes_nothing(shelf, library, monkeypatch):
    shelf.make(library, "a.wav", "b.wav")
    real = library._undo_files.stash

    def stash(path, token=""):
        if path.name == "b.wav":
            raise TrashFailed("stop")
        return real(path, token)

    monkeypatch.setattr(library._undo_files, "stash", stash)
    with pytest.raises(TrashFailed):
        library.undo()
    assert shelf.files() == ["a.wav", "b.wav"]
    assert [record.state for record in library.newest(5).clips] == ["here", "here"]
    monkeypatch.undo()
    assert len(library.undo().clips) == 2


def test_undoing_a_clip_that_was_taken_away_by_hand_is_no_error(shelf, library):
    paths = shelf.make(library, "a.wav", "b.wav")
    paths[0].unlink()
    assert sorted(record.state for record in library.undo().clips) == ["gone", "undone"]
    assert [record.state for record in library.redo().clips if record.path.name == "b.wav"] == ["here"]


def test_a_stashed_file_that_was_taken_away_by_hand_is_missing(shelf, library):
    shelf.make(library, "a.wav")
    library.undo()
    for folder in shelf.stash.iterdir():
        (folder / "a.wav").unlink()
    assert [record.state for record in library.redo().clips] == ["gone"]


def test_only_so_many_steps_are_remembered(shelf, library, monkeypatch):
    monkeypatch.setattr(undo, "MAX_STEPS", 3)
    shelf.make(library, "a.wav", "b.wav")
    library.delete("a")
    for i in range(3):
        library.star("b", starred=i % 2 == 0)
    assert [library.undo().kind for _ in range(3)] == ["star"] * 3
    with pytest.raises(NothingToUndo):
        library.undo()
    assert list(shelf.stash.iterdir()) == []
