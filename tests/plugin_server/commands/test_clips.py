"""`clipsonic clips` in this process, with clips in a folder."""

import json

import pytest

from plugin_server import cli
from tests.conftest import trash_in
from tests.support.recipes import write_made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPSONIC_INDEX_FOLDER", str(tmp_path / "library"))
    folder = tmp_path / "clips"
    write_made(folder, "rain.wav", "rain")
    (folder / "My Set").mkdir()
    (folder / "My Set" / "kept.wav").write_bytes((folder / "rain.wav").read_bytes())
    return folder


def run(capsys, *arguments, status=0):
    assert cli.main(["clips", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def test_copies_are_told_apart_by_their_files(folder, capsys):
    out = run(capsys, "--folder", folder)
    assert "  My Set/kept.wav  rain" in out and "  rain.wav         rain" in out


def test_lists_and_one_clip_come_as_json(folder, capsys):
    page = json.loads(run(capsys, "--json", "--folder", folder))
    assert (page["folder"], page["total"]) == (str(folder), 2)
    assert {clip["file"]: clip["path"] for clip in page["clips"]} == {
        name: str(folder / name) for name in ("rain.wav", "My Set/kept.wav")
    }
    found = json.loads(run(capsys, "search", "kept", "--json", "--folder", folder))
    assert [clip["file"] for clip in found["clips"]] == ["My Set/kept.wav"]
    one = json.loads(run(capsys, "info", "rain.wav", "--json", "--folder", folder))
    assert (one["prompt"], one["seed"], one["star"], one["tags"]) == ("rain", 1, False, [])


def test_a_word_with_a_minus_is_taken_away_as_over_osc(folder, capsys):
    common = ["--folder", folder]
    run(capsys, "tag", "rain.wav", "dark", "night", "noise", *common)
    assert "tags    noise\n" in run(capsys, "tag", "rain.wav", "-dark", "-night", *common)
    # Though -n is a flag of others, and -v one of this.
    assert "tags    vinyl\n" in run(capsys, "tag", "rain.wav", "vinyl", "-noise", *common)
    assert "tags" not in run(capsys, "tag", "rain.wav", "-vinyl", "-v", *common)
    assert "tags    a-b\n" in run(capsys, "tag", "rain.wav", "a-b", "c", "-c", *common)
    assert "tags" not in run(capsys, "tag", "rain.wav", "-a-b", "--remove", *common)


def test_a_word_with_a_minus_is_not_looked_for(folder, capsys):
    write_made(folder, "sea.wav", "sea at night", seed=2)
    for words in (["-rain"], ["night", "-noise", "-rain"]):
        found = json.loads(run(capsys, "search", *words, "--json", "--folder", folder))
        assert [clip["file"] for clip in found["clips"]] == ["sea.wav"]


def test_a_file_is_named_from_where_the_person_is(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder / "My Set")
    assert str(folder / "My Set" / "kept.wav") in run(capsys, "info", "kept.wav", "--folder", folder)


def test_nothing_to_undo_is_said(folder, capsys):
    assert run(capsys, "undo", "--folder", folder, status=1).startswith("clipsonic: undo: nothing is left")


def test_a_search_without_a_match_says_what_was_looked_for(folder, capsys):
    assert run(capsys, "search", "sea", "night", "--folder", folder) == f"no clips with 'sea night' in {folder}\n"


def test_undo_and_redo_say_where_the_clip_is(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("plugin_server.studio.library.undo_files.move_to_trash", trash_in(tmp_path))
    run(capsys, "delete", "rain.wav", "--folder", folder)
    assert run(capsys, "undo", "--folder", folder) == "back in the folder: rain.wav\n"
    assert run(capsys, "redo", "--folder", folder) == "deleted again: rain.wav\n"
