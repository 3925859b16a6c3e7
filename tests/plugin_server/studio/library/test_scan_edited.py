"""A file that was edited and kept its recipe is another clip."""

import os
import shutil
import zlib

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import read_clip, read_recipe, write_clip
from plugin_server.errors import UnknownClip
from plugin_server.studio.library import library as module
from tests.plugin_server.studio.library.conftest import names
from tests.support.recipes import sound, write_as_made, write_made

EDITS = {
    "shorter": lambda samples: samples[: len(samples) // 2],
    "longer": lambda samples: np.concatenate([samples, samples]),
    "reversed": lambda samples: samples[::-1],
    "quiet": lambda samples: samples * np.float32(0.5),
    "stereo": lambda samples: np.repeat(samples, 2, axis=1),
    "a click": lambda samples: samples[:1],
}


def edit(source, target, how, bits=24):
    """Write what an editor does that keeps chunks which it does not know."""
    clip, recipe = read_clip(source), read_recipe(source)
    samples = np.ascontiguousarray(EDITS[how](clip.samples))
    write_clip(target, Clip(samples, clip.sample_rate), None, recipe, bits, overwrite=True)


@pytest.fixture
def made(shelf, library):
    """A clip that was made, and its id."""
    (path,) = shelf.make(library, "a.wav")
    return path, sound(zlib.crc32(b"a.wav")).fingerprint()


def lose_index(shelf):
    shelf.close()
    for file in shelf.index.parent.glob("index.sqlite3*"):
        file.unlink()
    return shelf.open()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
@pytest.mark.parametrize("how", EDITS)
def test_an_edited_copy_is_another_clip(shelf, library, made, how, suffix):
    path, clip_id = made
    target = shelf.folder / f"edited{suffix}"
    edit(path, target, how)
    library.scan()
    found, edited = library.find("edited"), read_clip(target)
    assert (found.id, found.file.origin, found.file.seconds) == (edited.fingerprint(), clip_id, edited.seconds)
    assert (library.find(clip_id).path, library.find(clip_id).file.seconds) == (path, 0.5)
    assert [record.path for record in library.find_by_request("sea waves", zlib.crc32(b"a.wav"), "toy")] == [path]


@pytest.mark.parametrize("how", EDITS)
def test_a_clip_that_was_edited_in_place_is_another_one(shelf, library, made, how):
    path, clip_id = made
    library.star(clip_id)
    edit(path, path, how)
    library.scan()
    found = library.find("a.wav")
    assert (found.id, found.file.origin) == (read_clip(path).fingerprint(), clip_id)
    assert library.find(clip_id).state == "gone" and library.find(clip_id).is_starred
    with pytest.raises(UnknownClip, match="no longer there"):
        library.find_file(clip_id)
    assert library.find_by_request("sea waves", zlib.crc32(b"a.wav"), "toy") == []


def test_a_clip_whose_texts_were_edited_stays_itself(shelf, library, made):
    path, clip_id = made
    library.star(clip_id)
    content = path.read_bytes()
    assert content.count(b"sea waves") == 2
    path.write_bytes(content.replace(b"INAM", b"IGNR"))
    os.utime(path, ns=(10**18, 10**18))
    library.scan()
    assert (library.find(clip_id).path, library.find(clip_id).is_starred) == (path, True)
    assert library.find(clip_id).file.is_checked


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_an_edited_copy_does_not_take_the_id_when_the_index_is_lost(shelf, made, order):
    path, clip_id = made
    copy = shelf.folder / "b.wav"
    edit(path, copy, "reversed")
    for file, age in zip((path, copy), order, strict=True):
        os.utime(file, ns=(age * 10**18, age * 10**18))
    library = lose_index(shelf)
    library.scan()
    assert sorted(names(library.newest(5))) == ["a.wav", "b.wav"]
    assert (library.find(clip_id).path, library.find("b").file.origin) == (path, clip_id)


def test_an_edited_file_alone_is_found_out_when_it_is_used(shelf, made):
    path, clip_id = made
    edit(path, path, "reversed")
    library = lose_index(shelf)
    library.scan()
    assert library.find_by_request("sea waves", zlib.crc32(b"a.wav"), "toy") == []
    assert library.find("a.wav").file.origin == clip_id
    library = lose_index(shelf)
    library.scan()
    with pytest.raises(UnknownClip):
        library.find_file(clip_id)
    assert library.find("a.wav").id == read_clip(path).fingerprint()


def test_samples_are_looked_at_once_for_each_file(shelf, made, monkeypatch):
    path, clip_id = made
    library = lose_index(shelf)
    checks = []
    read = module.read_clip_file
    monkeypatch.setattr(module, "read_clip_file", lambda *a, **more: checks.append(more) or read(*a, **more))
    for _ in range(3):
        assert library.find_file(clip_id).path == path
    shelf.open().find_file(clip_id)
    assert checks == [{"check": True}]


def test_what_was_just_made_is_not_looked_at_again(shelf, library, made, monkeypatch):
    monkeypatch.setattr(module, "read_clip_file", lambda *a, **more: pytest.fail("read again"))
    assert library.find_file(made[1]).path == made[0]


def test_a_clip_of_16_bits_is_known_by_the_samples_that_it_holds(shelf, library):
    clip = sound(5)
    fields = {"prompt": "sea", "seconds": clip.seconds, "seed": 5, "model": "toy", "id": clip.fingerprint()}
    path = shelf.folder / "a.wav"
    write_clip(path, clip, None, fields | {"stored_id": clip.fingerprint(16)}, 16)
    assert read_clip(path).fingerprint() == clip.fingerprint(16)
    edit(path, shelf.folder / "b.wav", "reversed", bits=16)
    # Of an earlier version, which did not say what it holds.
    old = shelf.folder / "old.wav"
    write_clip(old, sound(6), None, fields | {"id": sound(6).fingerprint(), "seed": 6}, 16)
    shutil.copyfile(old, shelf.folder / "old copy.wav")
    library.scan()
    assert (library.find(clip.fingerprint()).path, library.find("b").file.origin) == (path, clip.fingerprint())
    assert {library.find(name).id for name in ("old", "old copy")} == {sound(6).fingerprint()}


def test_a_plain_copy_stays_the_same_clip(shelf, library, made):
    path, clip_id = made
    shutil.copyfile(path, shelf.folder / "b.wav")
    library.scan()
    assert (library.find("b.wav").id, library.find("b.wav").file.origin) == (clip_id, "")


def test_a_recipe_that_tells_another_length_by_less_than_a_moment_is_believed(shelf, library):
    write_as_made(shelf.folder, "a.wav", sound(1), seconds=0.5005)
    write_made(shelf.folder, "b.wav", seed=2, seconds=0.6)
    library.scan()
    assert library.find("a").file.seconds == 0.5005
    # Its samples are those of its id all the same.
    assert (library.find("b").file.seconds, library.find("b").id) == (0.5, sound(2).fingerprint())
