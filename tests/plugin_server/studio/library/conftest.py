"""A sample folder with its library, for the tests of this folder."""

import zlib
from pathlib import Path

import pytest

from plugin_server.studio.library.library import Library
from plugin_server.studio.library.records import Page
from tests.conftest import trash_in
from tests.support.recipes import write_made


class Shelf:
    """A folder of clips and libraries of it, as one process after another opens them."""

    def __init__(self, path: Path) -> None:
        self.folder, self.index = path / "clips", path / "index.sqlite3"
        self.trash = path / "trash"
        self.stash = path / ".index.kept"
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


def names(page: Page) -> list[str]:
    """Return the names of the files of a page."""
    return [record.path.name for record in page.clips]
