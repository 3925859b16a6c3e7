"""A clip that was made is known, though the disk has no room for the index."""

import pytest

from plugin_server.errors import LibraryFailed, UnknownClip
from plugin_server.studio.library.library import Library
from tests.plugin_server.studio.library.conftest import names
from tests.support.recipes import write_made


def fill_disk(library, *, full):
    """Let the index grow no further, as on a full disk, or let it again."""
    pages = library._index.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    most = pages if full else 10**6
    library._index.read(lambda connection: connection.execute(f"PRAGMA max_page_count = {most}").fetchone())


@pytest.fixture
def full(shelf, library, caplog):
    """A library with a clip that could not be entered."""
    shelf.make(library, "old.wav")
    fill_disk(library, full=True)
    number = 0
    while "was not entered" not in caplog.text:
        number += 1
        library.add(write_made(shelf.folder, f"new{number}.wav", "x" * 2000, seed=number), str(number))
    return library, shelf.folder / f"new{number}.wav"


def test_a_clip_is_known_though_the_index_is_full(full):
    library, path = full
    record = library.find_file("last")
    for name in (record.id, path.name, path.stem, str(path), "Last"):
        assert library.find_file(name).path == record.path == path
    assert library.find("old").path.name == "old.wav"
    for change in (lambda: library.tag("last", "x"), lambda: library.star("last"), lambda: library.delete("last")):
        with pytest.raises(LibraryFailed, match="index yet, which cannot be written"):
            change()


def test_it_is_entered_when_there_is_room(full):
    library, path = full
    fill_disk(library, full=False)
    assert library.find("last").number > 0
    assert names(library.newest(1)) == [path.name]
    library.undo()
    assert not path.exists()


def test_it_is_entered_before_the_next_one(full, shelf):
    library, path = full
    fill_disk(library, full=False)
    shelf.make(library, "next.wav", request="next")
    assert names(library.newest(2)) == ["next.wav", path.name]


def test_an_index_that_cannot_be_made_leaves_what_was_made_known(tmp_path):
    (tmp_path / "file").write_text("")
    library = Library(tmp_path, tmp_path / "file" / "index.sqlite3")
    path = write_made(tmp_path, "a.wav")
    library.add(path, "r")
    assert library.find_file("last").path == path
    library.remove(path)
    with pytest.raises((LibraryFailed, UnknownClip)):
        library.find("last")
