import pytest

from plugin_server.errors import NothingToUndo, TrashFailed, UnknownClip
from plugin_server.studio.library import undo
from tests.support.recipes import write_made


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
