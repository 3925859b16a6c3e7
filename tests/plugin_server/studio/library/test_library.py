import os
import subprocess
import sys
import unicodedata
import zlib
from pathlib import Path

import pytest

from plugin_server.audio.formats.files import write_clip
from plugin_server.errors import BadArgument, NothingToUndo, TrashFailed, UnknownClip
from plugin_server.studio.library import undo
from plugin_server.studio.library.library import MAX_TAG_LENGTH, MAX_TAGS, MAX_WORDS, Library
from plugin_server.studio.library.scan import BATCH, ScanResult
from tests.conftest import trash_in
from tests.support.recipes import sound, write_made


class Shelf:
    """A folder of clips and libraries of it, as one process after another opens them."""

    def __init__(self, place: Path) -> None:
        self.folder, self.index = place / "clips", place / "index.sqlite3"
        self.trash = place / "trash"
        self.kept = place / ".index.kept"
        self.folder.mkdir()
        self.libraries: list[Library] = []

    def open(self, trash=None) -> Library:
        self.close()
        self.libraries.append(Library(self.folder, self.index, trash or trash_in(self.trash.parent)))
        return self.libraries[-1]

    def close(self) -> None:
        for library in self.libraries:
            library.close()

    def make(self, library, *names, request="r", **more) -> list[Path]:
        paths = [write_made(self.folder, name, seed=zlib.crc32(name.encode()), **more) for name in names]
        for path in paths:
            library.add(path, request)
        return paths

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.wav"))


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.close()


@pytest.fixture
def library(shelf):
    return shelf.open()


def names(page):
    return [entry.path.name for entry in page.clips]


def test_the_newest_come_first_and_page_by_page(shelf, library):
    shelf.make(library, *(f"clip{i}.wav" for i in range(5)))
    assert names(library.newest(2)) == ["clip4.wav", "clip3.wav"]
    assert names(library.newest(9, 3)) == ["clip1.wav", "clip0.wav"]
    assert library.newest(2).total == 5


def test_an_entry_is_what_the_file_says(shelf, library):
    path = write_made(shelf.folder, "sea.wav", "sea waves", seed=7, take=3)
    library.add(path, "r")
    entry = library.find("last")
    assert (entry.id, entry.path, entry.file.prompt) == (sound(7).fingerprint(), path, "sea waves")
    assert (entry.file.seconds, entry.file.seed, entry.file.take, entry.file.model) == (0.5, 7, 3, "toy")
    assert (entry.is_starred, entry.tags, entry.state) == (False, "", "here")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("sea", ["b.wav", "a.wav"]),
        ("SEA wav", ["b.wav", "a.wav"]),
        ("sea night", ["b.wav"]),
        ("mowe", ["c.wav"]),
        ("Möwe", ["c.wav"]),
        ("雨", ["d.wav"]),
        ('"sea" OR rain*', []),
        ("prompt:sea", []),
        ("tiger", []),
    ],
)
def test_words_are_found_by_their_beginnings(shelf, library, words, found):
    prompts = {"a": "sea waves", "b": "sea waves at night", "c": "Möwe am Hafen", "d": "雨の音"}
    for name, prompt in prompts.items():
        shelf.make(library, f"{name}.wav", prompt=prompt)
    page = library.search(words, 10)
    assert (names(page), page.total) == (found, len(found))


def test_names_tags_and_stars_are_found_too(shelf, library):
    shelf.make(library, "kick-808_1s_s5_t1.wav", "other.wav")
    library.tag("other", "Dark night")
    library.star("other")
    assert names(library.search("kick 808", 5)) == ["kick-808_1s_s5_t1.wav"]
    assert names(library.search("dar", 5)) == names(library.search("starred", 5)) == ["other.wav"]
    library.star("other", starred=False)
    library.tag("other", "-dark")
    assert library.search("dark", 5).total == library.search("starred", 5).total == 0


@pytest.mark.parametrize("words", ["", "  ", "!?", "a " * (MAX_WORDS + 1)])
def test_nothing_to_look_for_is_told(library, words):
    with pytest.raises(BadArgument, match="words: got"):
        library.search(words, 5)


def test_a_clip_is_named_in_many_ways(shelf, library):
    (path,) = shelf.make(library, "sub/rain_0.5s_s1_t1.wav")
    wanted = library.find("last")
    for name in (wanted.id, wanted.id.upper(), "rain_0.5s_s1_t1", "rain_0.5s_s1_t1.wav", str(path)):
        assert library.find(name) == wanted
    assert library.find("sub/rain_0.5s_s1_t1.wav") == library.find(f"{shelf.folder}/x/../sub/{path.name}") == wanted


@pytest.mark.parametrize("name", ["", "none", "/etc/passwd", "../clips/rain.wav", "sub/none.wav", "a" * 5000, "\0"])
def test_what_is_no_clip_is_told(shelf, library, name):
    shelf.make(library, "rain.wav")
    with pytest.raises(UnknownClip, match="clip: got"):
        library.find(name)


def test_last_of_nothing_is_told(library):
    with pytest.raises(UnknownClip, match="'last'"):
        library.find("last")


def test_a_name_is_found_however_its_accents_are_written(shelf, library):
    shelf.make(library, "möwe.wav")
    assert library.find(unicodedata.normalize("NFD", "möwe")).path.name == "möwe.wav"


def test_of_copies_the_newest_whose_file_is_there_is_meant(shelf, library):
    first, second = (write_made(shelf.folder, name, seed=1) for name in ("a.wav", "b.wav"))
    library.add(first, "1")
    library.add(second, "2")
    clip_id = library.find("last").id
    assert library.find(clip_id).path == second
    library.undo()
    assert library.find(clip_id).path == first


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
        (entry,) = step.clips
        assert (step.kind, entry.state, entry.is_starred, entry.tags) == (kind, state, star, tags)
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
    assert list(shelf.kept.iterdir()) == []
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
    (entry,) = library.redo().clips
    assert entry.path.name == "a_2.wav"
    assert library.find("a_2").id == entry.id


def test_a_trash_that_fails_changes_nothing(shelf):
    def refuse(path):
        raise TrashFailed("no trash")

    library = shelf.open(refuse)
    shelf.make(library, "a.wav")
    with pytest.raises(TrashFailed):
        library.delete("a")
    assert library.find("a").state == "here"
    assert shelf.files() == ["a.wav"]
    assert list(shelf.kept.iterdir()) == []
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
    assert [entry.state for entry in library.newest(5).clips] == ["here", "here"]
    monkeypatch.undo()
    assert len(library.undo().clips) == 2


def test_undoing_a_clip_that_was_taken_away_by_hand_is_no_error(shelf, library):
    paths = shelf.make(library, "a.wav", "b.wav")
    paths[0].unlink()
    assert sorted(entry.state for entry in library.undo().clips) == ["gone", "undone"]
    assert [entry.state for entry in library.redo().clips if entry.path.name == "b.wav"] == ["here"]


def test_a_kept_file_that_was_taken_away_by_hand_is_gone(shelf, library):
    shelf.make(library, "a.wav")
    library.undo()
    for folder in shelf.kept.iterdir():
        (folder / "a.wav").unlink()
    assert [entry.state for entry in library.redo().clips] == ["gone"]


def test_only_so_many_steps_are_remembered(shelf, library, monkeypatch):
    monkeypatch.setattr(undo, "MAX_STEPS", 3)
    shelf.make(library, "a.wav", "b.wav")
    library.delete("a")
    for i in range(3):
        library.star("b", starred=i % 2 == 0)
    assert [library.undo().kind for _ in range(3)] == ["star"] * 3
    with pytest.raises(NothingToUndo):
        library.undo()
    assert list(shelf.kept.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "tags: got nothing"),
        ("x" * (MAX_TAG_LENGTH + 1), f"expected at most {MAX_TAG_LENGTH} characters"),
        (" ".join(map(str, range(MAX_TAGS + 1))), f"tags: got {MAX_TAGS + 1}, expected at most {MAX_TAGS}"),
    ],
)
def test_tags_have_limits(shelf, library, words, sentence):
    shelf.make(library, "a.wav")
    with pytest.raises(BadArgument, match=sentence):
        library.tag("a", words)


def test_tags_are_added_once_and_taken_away(shelf, library):
    shelf.make(library, "a.wav")
    assert library.tag("a", "Dark night").tags == "Dark night"
    assert library.tag("a", "dark loop").tags == "Dark night loop"
    assert library.tag("a", "-DARK -none").tags == "night loop"


def test_a_cancelled_clip_leaves_no_trace(shelf, library):
    shelf.make(library, "a.wav", request="a")
    (path,) = shelf.make(library, "b.wav", request="b")
    path.unlink()
    library.remove(path)
    assert names(library.newest(5)) == ["a.wav"]
    assert [entry.path.name for entry in library.undo().clips] == ["a.wav"]


def test_a_lost_index_is_made_again_from_the_files(shelf):
    library = shelf.open()
    shelf.make(library, *(f"clip{i}.wav" for i in range(BATCH + 5)))
    before = [(e.id, e.path, e.file.prompt, e.file.seconds, e.file.seed) for e in library.newest(1000).clips]
    library.close()
    for file in shelf.index.parent.glob("index.sqlite3*"):
        file.unlink()
    again = shelf.open()
    after = [(e.id, e.path, e.file.prompt, e.file.seconds, e.file.seed) for e in again.newest(1000).clips]
    assert sorted(after) == sorted(before)
    assert names(again.newest(3)) == ["clip204.wav", "clip203.wav", "clip202.wav"]
    assert again.search("sea", 1).total == BATCH + 5


def test_a_damaged_index_is_set_aside_and_made_again(shelf):
    library = shelf.open()
    shelf.make(library, "a.wav", "b.wav")
    library.close()
    size = shelf.index.stat().st_size
    shelf.index.write_bytes(shelf.index.read_bytes()[:4096] + os.urandom(size - 4096))
    again = shelf.open()
    assert again.find("a").state == "here"
    assert sorted(names(again.newest(5))) == ["a.wav", "b.wav"]
    assert len(list(shelf.index.parent.glob("index.sqlite3.damaged-*[0-9]"))) == 1


def test_a_clip_is_entered_into_an_index_that_was_damaged_meanwhile(shelf, caplog):
    shelf.make(shelf.open(), "a.wav")
    library = shelf.open()
    shelf.index.write_bytes(b"nonsense" * 1000)
    shelf.make(library, "b.wav")
    assert sorted(names(library.newest(5))) == ["a.wav", "b.wav"]
    assert "damaged" in caplog.text


def test_an_index_that_cannot_be_made_costs_no_clip(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    library = Library(tmp_path, tmp_path / "file" / "index.sqlite3")
    library.add(write_made(tmp_path, "a.wav"), "r")
    library.remove(tmp_path / "a.wav")
    assert "a.wav was not entered into the library" in caplog.text


def test_clips_that_were_renamed_or_moved_are_found_with_star_and_tags(shelf, library):
    paths = shelf.make(library, "a.wav", "b.wav")
    library.star("a")
    library.tag("b", "dark")
    (shelf.folder / "sub").mkdir()
    paths[0].rename(shelf.folder / "renamed.wav")
    paths[1].rename(shelf.folder / "sub" / "b.wav")
    assert library.scan() == ScanResult(moved=2)
    assert library.find("renamed").is_starred
    assert library.find("sub/b.wav").tags == "dark"
    assert library.scan() == ScanResult()


def test_a_clip_that_moved_is_found_when_it_is_asked_for(shelf, library):
    (path,) = shelf.make(library, "a.wav")
    clip_id = library.find("a").id
    path.rename(shelf.folder / "z.wav")
    assert library.find(clip_id).path.name == "z.wav"
    (shelf.folder / "z.wav").rename(path)
    assert names(library.newest(5)) == ["a.wav"]
    path.rename(shelf.folder / "y.wav")
    assert names(library.search("sea", 5)) == ["y.wav"]


def test_a_clip_that_was_put_there_by_hand_is_found_when_it_is_asked_for(shelf, library):
    path = write_made(shelf.folder, "sub/a.wav")
    assert library.find("sub/a.wav").path == library.find(str(path)).path == path
    path.rename(shelf.folder.parent / "away.wav")
    assert library.find("a").state == "gone"
    (shelf.folder.parent / "away.wav").rename(path)
    assert library.find("a").state == "here"


def test_a_file_outside_the_folder_is_none_of_ours(shelf, library):
    write_made(shelf.folder.parent, "outside.wav")
    for name in ("../outside.wav", str(shelf.folder.parent / "outside.wav")):
        with pytest.raises(UnknownClip):
            library.find(name)


def test_clips_that_changed_places_keep_what_is_theirs(shelf, library):
    a, b = shelf.make(library, "a.wav", "b.wav")
    library.star("a")
    a.rename(shelf.folder / "x")
    b.rename(a)
    (shelf.folder / "x").rename(b)
    assert library.scan() == ScanResult(moved=2)
    assert [(e.path.name, e.is_starred) for e in library.search("starred", 5).clips] == [("b.wav", True)]
    assert library.newest(5).total == 2


def test_a_clip_that_took_another_s_name(shelf, library):
    a, b = shelf.make(library, "a.wav", "b.wav")
    gone, kept = library.find("a").id, library.find("b").id
    b.replace(a)
    assert library.scan() == ScanResult(moved=1)
    assert (library.find(kept).path, library.find(gone).state) == (a, "gone")


def test_files_taken_away_are_gone_and_welcome_again(shelf, library, tmp_path):
    (path,) = shelf.make(library, "a.wav")
    library.star("a")
    path.rename(tmp_path / "elsewhere.wav")
    assert library.scan() == ScanResult(missing=1)
    entry = library.find("a")
    assert (entry.state, entry.is_starred) == ("gone", True)
    with pytest.raises(UnknownClip, match="no longer there"):
        library.find_file("a")
    (tmp_path / "elsewhere.wav").rename(path)
    assert library.scan() == ScanResult(moved=1)
    assert library.find("a").is_starred


def test_a_clip_that_was_taken_out_of_the_trash_by_hand_is_itself_again(shelf, library):
    (path,) = shelf.make(library, "a.wav")
    library.star("a")
    library.delete("a")
    (shelf.trash / "a.wav").rename(path)
    assert library.scan() == ScanResult(moved=1)
    assert library.find("a").is_starred
    assert library.undo().clips[0].path == path
    assert shelf.files() == ["a.wav"]


def test_a_copy_is_a_clip_of_its_own(shelf, library):
    (path,) = shelf.make(library, "a.wav")
    library.star("a")
    (shelf.folder / "0.wav").write_bytes(path.read_bytes())
    assert library.scan() == ScanResult(new=1)
    assert (library.find("a").is_starred, library.find("0").is_starred) == (True, False)


def test_a_disk_that_was_away_brings_every_copy_back_as_it_was(shelf, library, tmp_path):
    for i, name in enumerate(("a.wav", "b.wav", "c.wav")):
        library.add(write_made(shelf.folder, name, seed=1), str(i))
    library.star("a")
    library.tag("c", "dark")
    shelf.folder.rename(tmp_path / "away")
    assert library.scan() == ScanResult(missing=3)
    (tmp_path / "away").rename(shelf.folder)
    assert library.scan() == ScanResult(moved=3)
    assert [(e.path.name, e.is_starred, e.tags) for e in library.newest(5).clips] == [
        ("c.wav", False, "dark"),
        ("b.wav", False, ""),
        ("a.wav", True, ""),
    ]


def test_only_our_clips_are_entered(shelf, library):
    write_clip(shelf.folder / "foreign.wav", sound(1))
    (shelf.folder / "text.wav").write_text("no sound")
    (shelf.folder / "cut.wav").write_bytes(write_made(shelf.folder, "whole.wav").read_bytes()[:60])
    write_made(shelf.folder, ".hidden.wav")
    write_made(shelf.folder, ".hidden/a.wav")
    write_made(shelf.folder, "sub/deep/b.WAV", seed=2)
    write_made(shelf.folder, "seedless.wav", seed=3, model=None)
    write_made(shelf.folder, "wild.wav", seed=2**70)
    assert library.scan() == ScanResult(new=2)
    assert sorted(names(library.newest(9))) == ["b.WAV", "whole.wav"]


def test_a_file_of_the_first_version_is_known_by_its_sound(shelf, library):
    write_made(shelf.folder, "old.wav", seed=5, id=None)
    library.scan()
    assert library.find("old").id == sound(5).fingerprint()


def test_a_clip_that_was_saved_anew_without_its_recipe_stays(shelf, library):
    (path,) = shelf.make(library, "a.wav")
    library.star("a")
    write_clip(path, sound(9), overwrite=True)
    assert library.find("a").is_starred
    assert library.scan() == ScanResult()
    with pytest.raises(UnknownClip):
        library.find(sound(9).fingerprint())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not text")
def test_a_name_that_is_no_text_is_passed_over(shelf, library):
    write_made(shelf.folder, "a.wav").rename(os.fsdecode(os.fsencode(shelf.folder) + b"/\xff.wav"))
    write_made(shelf.folder, "b.wav")
    assert library.scan() == ScanResult(new=1)


def test_a_folder_that_is_not_there_yet_has_no_clips(tmp_path):
    library = Library(tmp_path / "none", tmp_path / "index.sqlite3")
    assert library.newest(5).total == 0
    library.close()


SCANNER = """
import contextlib
import sys
from pathlib import Path
from plugin_server.errors import NothingToUndo, UnknownClip
from plugin_server.studio.library.library import Library
library = Library(Path(sys.argv[1]), Path(sys.argv[2]), Path.unlink)
for _ in range(20):
    library.scan()
    # The other process may have undone every step, and so put every clip away, a moment ago.
    with contextlib.suppress(UnknownClip):
        library.star("last")
    with contextlib.suppress(NothingToUndo):
        library.undo()
"""


def test_two_processes_scan_star_and_undo_while_clips_come(shelf):
    library = shelf.open()
    shelf.make(library, "first.wav", request="first")
    command = [sys.executable, "-c", SCANNER, str(shelf.folder), str(shelf.index)]
    others = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for i in range(100):
        shelf.make(library, f"clip{i}.wav", request="many")
    errors = [other.communicate(timeout=120)[1] for other in others]
    # Each undoes what was done last, whoever did it: a clip may well have been put away.
    assert errors == ["", ""]
    library.scan()
    here = library.newest(1000)
    assert sorted(names(here)) == shelf.files()
    assert len({entry.path for entry in here.clips}) == here.total
