import json
import os
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from plugin_server.audio.formats.files import SUFFIXES, write_clip
from plugin_server.errors import LibraryFailed, UnknownClip
from plugin_server.studio.library import library as module
from plugin_server.studio.library import scan
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.records import read_clip_file
from plugin_server.studio.library.scan import BATCH, MAX_TOLD, ScanResult
from tests.plugin_server.studio.library.conftest import names
from tests.support.odd_files import ODD_KINDS, make_odd, posix
from tests.support.recipes import sound, write_made


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


def test_clips_that_swapped_paths_keep_their_stars(shelf, library):
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
    lost, moved = library.find("a").id, library.find("b").id
    b.replace(a)
    assert library.scan() == ScanResult(moved=1)
    assert (library.find(moved).path, library.find(lost).state) == (a, "gone")


def test_files_taken_away_are_missing_until_they_are_back(shelf, library, tmp_path):
    (path,) = shelf.make(library, "a.wav")
    library.star("a")
    path.rename(tmp_path / "elsewhere.wav")
    assert library.scan() == ScanResult(missing=1)
    record = library.find("a")
    assert (record.state, record.is_starred) == ("gone", True)
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
    assert len({record.path for record in here.clips}) == here.total


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_that_is_put_away_during_a_scan_is_missing_and_nothing_to_tell_of(
    shelf, library, monkeypatch, caplog, is_known
):
    path = write_made(shelf.folder, "a.wav", seed=1)
    if is_known:
        library.add(path, "r")
        os.utime(path, (1, 1))

    def read(folder, relative_path, **how):
        path.unlink()
        return read_clip_file(folder, relative_path, **how)

    monkeypatch.setattr(scan, "read_clip_file", read)
    assert library.scan() == ScanResult(0, 0, int(is_known))
    assert not caplog.text and library.newest(9).total == 0


def test_opening_scans_in_the_background(shelf, library, caplog):
    write_made(shelf.folder, "a.wav")
    with caplog.at_level("INFO"):
        library.open()
        wait_for_thread("library")
    assert "new=1" in caplog.text
    assert names(library.newest(5)) == ["a.wav"]


@pytest.mark.parametrize(
    ("error", "text"),
    [(LibraryFailed("the disk is away"), "not at hand: the disk is away"), (KeyError("bug"), "the library's scan")],
    ids=["foreseen", "unforeseen"],
)
def test_an_error_while_opening_is_only_logged(library, monkeypatch, caplog, error, text):
    def fail():
        raise error

    monkeypatch.setattr(library, "scan", fail)
    library.open()
    wait_for_thread("library")
    assert text in caplog.text


def test_a_scan_that_was_stopped_enters_nothing(shelf, library):
    write_made(shelf.folder, "a.wav")
    library.stop_scanning()
    assert library.scan() == ScanResult()


def wait_for_thread(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(timeout=30)
            assert not thread.is_alive()


def write_recipe(path, recipe: bytes, data: bytes = bytes(300)):
    """Write a WAV file with a recipe of any bytes."""
    chunks = [(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24)), (b"clps", recipe), (b"data", data)]
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(one)) + one + b"\0" * (len(one) % 2) for name, one in chunks)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


GOOD = {"prompt": "good", "seconds": 0.0125, "seed": 1, "model": "m", "checksum": "c", "take": 1, "id": "abc"}
EVIL = {
    "seconds_nan": GOOD | {"seconds": float("nan")},
    "seconds_inf": GOOD | {"seconds": float("inf")},
    "seconds_huge": GOOD | {"seconds": 10**400},
    "seconds_minus": GOOD | {"seconds": -1},
    "seconds_text": GOOD | {"seconds": "1"},
    "seconds_true": GOOD | {"seconds": True},
    "seed_huge": GOOD | {"seed": 10**30},
    "take_nested": GOOD | {"take": [[[]]]},
    "prompt_long": GOOD | {"prompt": "x" * 100_000},
    "model_long": GOOD | {"model": "x" * 100_000},
    "id_path": GOOD | {"id": "../../x"},
    "id_long": GOOD | {"id": "a" * 10_000},
    "id_list": GOOD | {"id": ["a"]},
    "nul": GOOD | {"prompt": "a\0b"},
    "images": GOOD | {"prompt": "", "images": [[]] * 3},
    "images_many": GOOD | {"prompt": "", "images": ["/x.png"] * 10_000},
    "list": [GOOD],
}


def test_what_a_file_claims_never_costs_the_others(shelf, caplog):
    for i in range(3):
        write_made(shelf.folder, f"good{i}.wav", seed=i)
    for name, recipe in EVIL.items():
        write_recipe(shelf.folder / f"{name}.wav", json.dumps(recipe).encode())
    write_recipe(shelf.folder / "deep.wav", b"[" * 100_000)
    write_recipe(shelf.folder / "digits.wav", b'{"seconds": ' + b"9" * 5000 + b"}")
    write_recipe(shelf.folder / "utf16.wav", json.dumps(GOOD).encode("utf-16"))
    for i in range(3):
        (shelf.folder / f"cut{i}.wav").write_bytes(b"RIFF")
    library = shelf.open()
    assert library.scan() == ScanResult(3, 0, 0)
    assert sorted(names(library.newest(50))) == ["good0.wav", "good1.wav", "good2.wav"]
    lines = [record.message for record in caplog.records if "passed over" in record.message]
    assert len(lines) == MAX_TOLD + 1
    caplog.clear()
    write_made(shelf.folder, "good3.wav", seed=3)
    assert library.scan() == ScanResult(1, 0, 0)
    assert "passed over" not in caplog.text


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_what_is_no_file_is_passed_over_at_once(shelf, kind):
    write_made(shelf.folder, "good.wav")
    for suffix in SUFFIXES:
        make_odd(shelf.folder / "sub" / f"odd{suffix}", kind)
    library = shelf.open()
    assert library.scan() == ScanResult(1, 0, 0)
    with pytest.raises(UnknownClip):
        library.find("sub/odd.wav")


def test_a_sparse_file_is_passed_over_at_once(shelf):
    began = time.monotonic()
    write_recipe(shelf.folder / "recipe.wav", b"")
    size = 3 * 2**30
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEclps" + struct.pack("<I", size - 20)
    (shelf.folder / "recipe.wav").write_bytes(head)
    (shelf.folder / "zeros.wav").write_bytes(b"RIFF" + struct.pack("<I", size) + b"WAVE")
    (shelf.folder / "blocks.flac").write_bytes(b"fLaC")
    (shelf.folder / "chunks.aiff").write_bytes(b"FORM" + struct.pack(">I", size) + b"AIFF")
    appl = b"AIFFAPPL" + struct.pack(">I", size - 20) + b"clps"
    (shelf.folder / "recipe.aiff").write_bytes(b"FORM" + struct.pack(">I", size) + appl)
    for path in shelf.folder.iterdir():
        os.truncate(path, size)
    library = shelf.open()
    assert library.scan() == ScanResult(0, 0, 0)
    assert time.monotonic() - began < 2


def test_a_row_that_cannot_be_written_undoes_no_other(shelf, monkeypatch):
    for i in range(3):
        write_made(shelf.folder, f"{i}.wav", seed=i)

    def read_badly(folder, path):
        file = read_clip_file(folder, path)
        return replace(file, seconds=None) if path == "1.wav" else file

    monkeypatch.setattr(scan, "read_clip_file", read_badly)
    library = shelf.open()
    assert library.scan().new == 2
    assert sorted(names(library.newest(5))) == ["0.wav", "2.wav"]


def test_folders_within_folders_are_looked_into_up_to_a_depth(shelf):
    write_made(shelf.folder, "/".join(["d"] * 60) + "/deep.wav", seed=1)
    place = shelf.folder / "far"
    for _ in range(300):
        place /= "d"
    place.mkdir(parents=True)
    write_made(place, "too-deep.wav", seed=2)
    assert names(shelf.open().newest(5)) == ["deep.wav"]


def test_closing_waits_no_longer_than_a_moment_for_a_scan_that_hangs(shelf, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    library = shelf.open()
    library._scanning.acquire()
    began = time.monotonic()
    library.close()
    assert time.monotonic() - began < 2
    library._scanning.release()
