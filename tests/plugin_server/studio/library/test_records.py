"""What the library takes from a clip's file, and what it refuses."""

import os
from pathlib import Path

import pytest

from plugin_server.errors import BadFile
from plugin_server.studio.library.database import LibraryDatabase
from plugin_server.studio.library.records import (
    ClipState,
    name_of,
    prompt_of,
    read_clip_file,
    record_of,
    set_path,
    upsert,
)
from tests.support.recipes import sound, write_as_made, write_made


@pytest.fixture
def index(tmp_path):
    index = LibraryDatabase(tmp_path / "index.sqlite3")
    yield index
    index.close()


def records(index, folder):
    query = "SELECT * FROM clips ORDER BY number"
    return index.read(lambda connection: [record_of(row, folder) for row in connection.execute(query)])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("rain.wav", "rain"),
        ("sub/deep/rain.FLAC", "rain"),
        ("rain.aif", "rain"),
        ("rain_0.5s_s1_t1.aiff", "rain_0.5s_s1_t1"),
        ("rain_0.5s", "rain_0.5s"),
        ("rain.mp3", "rain.mp3"),
        ("mo\u0308we.wav", "m\u00f6we"),
    ],
)
def test_a_name_is_the_last_part_without_the_ending(path, name):
    assert name_of(path) == name


@pytest.mark.parametrize(
    ("recipe", "prompt"),
    [
        ({"prompt": "rain"}, "rain"),
        ({"prompt": "rain", "images": ["/a/sea.png"]}, "rain"),
        ({"prompt": "", "images": ["/a/sea.png", "/b/red sky.jpg"]}, "sea, red sky"),
        ({"prompt": "a\ud800b"}, "a?b"),
    ],
)
def test_a_clip_is_found_by_its_words_or_else_its_pictures(recipe, prompt):
    assert prompt_of(recipe) == prompt


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ({}, KeyError),
        ({"prompt": ""}, TypeError),
        ({"prompt": 7}, TypeError),
        ({"prompt": "", "images": 7}, TypeError),
        ({"prompt": "", "images": [7]}, TypeError),
    ],
)
def test_a_recipe_without_words_or_pictures_is_refused(recipe, error):
    with pytest.raises(error):
        prompt_of(recipe)


def test_a_file_gives_what_its_recipe_says(tmp_path):
    path = write_made(tmp_path, "sub/sea.wav", "sea waves", seed=7, take=3)
    os.utime(path, ns=(10**18, 10**18))
    file = read_clip_file(tmp_path, "sub/sea.wav")
    assert (file.id, file.relative_path, file.name) == (sound(7).fingerprint(), "sub/sea.wav", "sea")
    assert (file.size, file.mtime_ns, file.created_at) == (path.stat().st_size, 10**18, 1e9)
    assert (file.seconds, file.take, file.seed, file.model, file.prompt) == (0.5, 3, 7, "toy", "sea waves")


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": "many"},
        {"seed": -1},
        {"seed": True},
        {"take": 1.5},
        {"take": 2**63},
        {"model": ""},
        {"model": 5},
        {"seconds": [1]},
        {"seconds": "long"},
        {"id": 12},
    ],
    ids=str,
)
def test_a_recipe_that_was_tampered_with_is_none_of_ours(tmp_path, wrong):
    values = {"prompt": "sea", "seed": 1} | wrong
    write_as_made(tmp_path, "x.wav", sound(1), **values)
    with pytest.raises(BadFile, match=r"x\.wav: its recipe cannot be (used|read)"):
        read_clip_file(tmp_path, "x.wav")


def test_a_model_s_name_cannot_steer_a_terminal(tmp_path):
    write_as_made(tmp_path, "x.wav", sound(1), prompt="sea", seed=1, model="toy\x1b[31m")
    assert read_clip_file(tmp_path, "x.wav").model == "toy [31m"


def test_a_recipe_of_before_there_were_takes_is_a_first_take(tmp_path):
    write_made(tmp_path, "x.wav", take=None)
    assert read_clip_file(tmp_path, "x.wav").take == 1


def test_a_row_comes_back_as_it_was_entered(tmp_path, index):
    write_made(tmp_path, "sub/sea.wav", seed=7)
    file = read_clip_file(tmp_path, "sub/sea.wav")
    number = index.write(lambda connection: upsert(connection, file))
    (record,) = records(index, tmp_path)
    assert record.file == file
    assert (record.number, record.id, record.path) == (number, file.id, tmp_path / "sub" / "sea.wav")
    assert (record.tags, record.is_starred, record.state, record.undo_token) == ("", False, ClipState.PRESENT, "")
    assert record.is_unchanged


def test_a_file_at_the_same_path_updates_its_row(tmp_path, index):
    for seed in (1, 2):
        path = write_made(tmp_path, f"{seed}.wav", seed=seed)
        path.replace(tmp_path / "x.wav")
        file = read_clip_file(tmp_path, "x.wav")
        number = index.write(lambda connection, file=file: upsert(connection, file))
    (record,) = records(index, tmp_path)
    assert (record.number, record.file.seed) == (number, 2)


def test_a_clip_that_moves_to_a_path_takes_it_from_another(tmp_path, index):
    numbers = []
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_made(tmp_path, name, seed=seed)
        file = read_clip_file(tmp_path, name)
        numbers.append(index.write(lambda connection, file=file: upsert(connection, file)))
    (tmp_path / "a.wav").replace(tmp_path / "b.wav")
    index.write(lambda connection: set_path(connection, numbers[0], tmp_path, "b.wav"))
    first, second = records(index, tmp_path)
    assert (first.path.name, first.file.name, first.state) == ("b.wav", "b", ClipState.PRESENT)
    assert first.is_unchanged
    assert second.state == ClipState.MISSING


def test_a_file_that_was_written_to_or_taken_away_is_changed(tmp_path, index):
    path = write_made(tmp_path, "a.wav")
    file = read_clip_file(tmp_path, "a.wav")
    index.write(lambda connection: upsert(connection, file))
    (record,) = records(index, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content + b"more")
    assert not record.is_unchanged
    path.write_bytes(content)
    os.utime(path, ns=(file.mtime_ns, file.mtime_ns))
    assert record.is_unchanged
    path.unlink()
    assert not record.is_unchanged


def test_states_are_stored_as_they_always_were():
    assert [state.value for state in ClipState] == ["here", "gone", "undone", "deleted"]
    assert Path(f"a ({ClipState.MISSING})").name == "a (gone)"
