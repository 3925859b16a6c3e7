import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from plugin_server.errors import LibraryFailed
from plugin_server.studio.library.database import MIGRATIONS, LibraryDatabase

ROW = "INSERT INTO clips (id, path, name, size, mtime_ns, made, seconds, take, seed, model, prompt) VALUES {}"
CLIP = "('a1', 'sea.wav', 'sea', 1, 2, 3, 0.5, 1, 42, 'toy', 'sea waves')"


def old_index(path, version):
    """A file with the first `version` migrations and a clip."""
    with closing(sqlite3.connect(path)) as connection:
        for migration in MIGRATIONS[:version]:
            connection.executescript(migration)
        connection.execute(ROW.format(CLIP))
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


def schema(index):
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    return index.read(lambda connection: [tuple(row) for row in connection.execute(query)])


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_every_older_schema_becomes_the_newest_and_keeps_its_clips(tmp_path, version):
    old_index(tmp_path / "old.sqlite3", version)
    old, new = LibraryDatabase(tmp_path / "old.sqlite3"), LibraryDatabase(tmp_path / "new.sqlite3")
    assert schema(old) == schema(new)
    assert (old.is_new, new.is_new) == (False, True)
    found = "SELECT name FROM clips WHERE number IN (SELECT rowid FROM words WHERE words MATCH 'waves')"
    assert old.read(lambda connection: connection.execute(found).fetchone()["name"]) == "sea"
    old.close()
    new.close()


def test_an_index_of_a_newer_program_is_left_alone(tmp_path):
    path = tmp_path / "index.sqlite3"
    old_index(path, len(MIGRATIONS))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    index = LibraryDatabase(path)
    with pytest.raises(LibraryFailed, match="newer version"):
        index.read(lambda _: None)
    index.close()
    assert [file.name for file in tmp_path.iterdir() if "damaged" in file.name] == []


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_set_aside(tmp_path, content):
    path = tmp_path / "index.sqlite3"
    path.write_bytes(content)
    index = LibraryDatabase(path)
    assert index.read(lambda connection: connection.execute("SELECT count(*) FROM clips").fetchone()[0]) == 0
    assert index.is_new
    (aside,) = tmp_path.glob("index.sqlite3.damaged-*[0-9]")
    assert aside.read_bytes() == content
    index.close()


def damage_pages(path):
    """Overwrite all pages but the first, as a disk that fails may."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def test_damaged_pages_are_found_when_they_are_read(tmp_path):
    path = tmp_path / "index.sqlite3"
    index = LibraryDatabase(path)
    index.write(lambda connection: connection.execute(ROW.format(CLIP)))
    index.close()
    damage_pages(path)
    assert index.read(lambda connection: connection.execute("SELECT * FROM clips").fetchall()) == []
    assert list(tmp_path.glob("index.sqlite3.damaged-*"))
    index.close()


def test_a_check_finds_damage_before_anyone_reads_it(tmp_path):
    path = tmp_path / "index.sqlite3"
    index = LibraryDatabase(path)
    index.write(lambda connection: connection.execute(ROW.format(CLIP)))
    index.check()
    assert not list(tmp_path.glob("*damaged*"))
    index.close()
    damage_pages(path)
    index.check()
    assert list(tmp_path.glob("index.sqlite3.damaged-*"))
    assert not path.exists()


def test_an_index_that_was_thrown_away_is_made_anew(tmp_path):
    path = tmp_path / "index.sqlite3"
    index = LibraryDatabase(path)
    index.write(lambda connection: connection.execute(ROW.format(CLIP)))
    index.is_new = False
    index.close()
    for file in tmp_path.iterdir():
        file.unlink()
    assert index.read(lambda connection: connection.execute("SELECT count(*) FROM clips").fetchone()[0]) == 0
    assert index.is_new
    index.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody remove a file that is open")
def test_an_open_index_that_was_thrown_away_is_not_written_to_any_longer(tmp_path):
    path = tmp_path / "index.sqlite3"
    index = LibraryDatabase(path)
    index.write(lambda connection: connection.execute(ROW.format(CLIP)))
    path.unlink()
    index.write(lambda connection: connection.execute(ROW.format(CLIP)))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM clips").fetchone() == (1,)
    index.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    index = LibraryDatabase(tmp_path / "index.sqlite3")

    def work(connection):
        connection.execute(ROW.format(CLIP))
        raise KeyError("stop")

    with pytest.raises(KeyError):
        index.write(work)
    assert index.read(lambda connection: connection.execute("SELECT count(*) FROM clips").fetchone()[0]) == 0
    index.close()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryFailed, match="file"):
        LibraryDatabase(tmp_path / "file" / "index.sqlite3").read(lambda _: None)


WRITER = """
import sys
from pathlib import Path
from plugin_server.studio.library.database import LibraryDatabase
index = LibraryDatabase(Path(sys.argv[1]))
for i in range(200):
    path = f"{sys.argv[2]}-{i}"
    row = (path, path, path, 1, 2, 3.0, 0.5, 1, i, "toy", "rain")
    marks = ", ".join("?" * len(row))
    columns = "id, path, name, size, mtime_ns, made, seconds, take, seed, model, prompt"
    index.write(lambda connection: connection.execute(f"INSERT INTO clips ({columns}) VALUES ({marks})", row))
"""


def test_two_processes_make_and_fill_one_index_at_once(tmp_path):
    path = tmp_path / "index.sqlite3"
    commands = [[sys.executable, "-c", WRITER, str(path), name] for name in ("a", "b")]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [writer.communicate(timeout=60)[1] for writer in writers]
    assert errors == ["", ""]
    index = LibraryDatabase(path)
    assert index.read(lambda connection: connection.execute("SELECT count(*) FROM words").fetchone()[0]) == 400
    index.close()
