import json
import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats import files
from plugin_server.audio.formats.files import read_clip, read_format, read_recipe, write_clip
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.errors import BadFile, ClipsonicError, FolderNotWritable

LOOP = ClipMetadata("t", software="us", loop=True, bpm=120, bars=1, key="C major")


@pytest.fixture
def clip() -> Clip:
    return Clip(np.random.default_rng(0).uniform(-1, 1, (4801, 2)).astype(np.float32), 48000)


@pytest.mark.parametrize(("bits", "subtype", "step"), [(16, "PCM_16", 2**-15), (24, "PCM_24", 2**-23)])
def test_other_readers_see_the_same_samples(tmp_path, clip, bits, subtype, step):
    path = tmp_path / "x.wav"
    write_clip(path, clip, ClipMetadata(title="odd"), {"seed": 1}, bits)
    info = soundfile.info(path)
    assert (info.subtype, info.samplerate, info.channels, info.frames) == (subtype, 48000, 2, 4801)
    assert np.abs(soundfile.read(path)[0] - clip.samples).max() <= 1.01 * step
    with wave.open(str(path)) as file:
        assert file.getnframes() == 4801
    assert np.abs(read_clip(path).samples - clip.samples).max() <= 1.01 * step


def test_tags_are_read_by_libsndfile(tmp_path, clip):
    path = tmp_path / "x.wav"
    write_clip(path, clip, ClipMetadata(title="Möwen", artist="me", software="us", date="2026-01-02", comment="c"))
    with soundfile.SoundFile(path) as file:
        assert (file.title, file.artist, file.date, file.comment) == ("Möwen", "me", "2026-01-02", "c")


def test_the_recipe_comes_back_exactly(tmp_path, clip):
    recipe = {"prompt": '波 🌊 "quoted" \n line', "seconds": 0.1 + 0.2, "seed": 2**31 - 1, "take": 1}
    write_clip(tmp_path / "x.wav", clip, None, recipe)
    assert read_recipe(tmp_path / "x.wav") == recipe


def test_the_sizes_in_the_header_are_true(tmp_path, clip):
    path = tmp_path / "x.wav"
    odd = Clip.mono(clip.samples[:3, 0], 48000)
    write_clip(path, odd, ClipMetadata(title="ab"), {"p": "x"})
    content = path.read_bytes()
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    assert len(content) % 2 == 0


def test_a_taken_name_is_never_written_over(tmp_path, clip):
    path = tmp_path / "x.wav"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_clip(path, clip)
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["x.wav"]


@pytest.mark.parametrize("broken", ["fsync", "link"])
def test_a_failing_write_leaves_nothing_behind(tmp_path, clip, monkeypatch, broken):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, broken, fail)
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(FolderNotWritable, match="No space left"):
        write_clip(tmp_path / "x.wav", clip)
    assert os.listdir(tmp_path) == []


def test_file_systems_without_links_get_a_rename(tmp_path, clip, monkeypatch):
    def no_links(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.os, "link", no_links)
    path = tmp_path / "x.wav"
    write_clip(path, clip)
    assert read_clip(path).n_frames == 4801
    with pytest.raises(FileExistsError):
        write_clip(path, clip)
    assert os.listdir(tmp_path) == ["x.wav"]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_files_of_others_are_read(tmp_path, clip, subtype, form):
    path = tmp_path / "x.wav"
    soundfile.write(path, clip.samples, 44100, subtype, format=form)
    found = read_clip(path)
    assert found.sample_rate == 44100
    assert np.abs(found.samples - clip.samples).max() < 1e-4


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "not a WAV"), (b"RIFF\0\0\0\0AVI ", "not a WAV"), (b"RIFF\4\0\0\0WAVE", "without format")],
)
def test_what_is_no_wav_is_an_error_with_its_path(tmp_path, content, word):
    path = tmp_path / "odd.wav"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=word) as caught:
        read_clip(path)
    assert "odd.wav" in str(caught.value)
    with pytest.raises(BadFile, match="cannot be read"):
        read_clip(tmp_path / "missing.wav")


def test_a_file_without_our_recipe_is_an_error(tmp_path, clip):
    path = tmp_path / "x.wav"
    soundfile.write(path, clip.samples, 44100)
    with pytest.raises(BadFile, match="holds no recipe"):
        read_recipe(path)


def test_no_damage_raises_anything_unforeseen(tmp_path, clip):
    path = tmp_path / "x.wav"
    write_clip(
        path,
        Clip(clip.samples[:50], 48000),
        LOOP,
        {"p": "x"},
    )
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for cut in range(0, len(whole), 5):
        damaged = bytearray(whole[:cut] if cut % 2 else whole)
        if damaged:
            for _ in range(3):
                damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        for read in (read_clip, read_format, read_recipe):
            try:
                read(path)
            except ClipsonicError:
                pass


def test_the_recipe_is_plain_json_in_a_chunk_of_its_own(tmp_path, clip):
    path = tmp_path / "x.wav"
    write_clip(path, clip, None, {"prompt": "rain"})
    content = path.read_bytes()
    offset = content.index(b"clps")
    size = struct.unpack("<I", content[offset + 4 : offset + 8])[0]
    assert json.loads(content[offset + 8 : offset + 8 + size]) == {"prompt": "rain"}


def test_overwriting_must_be_asked_for(tmp_path, clip):
    path = tmp_path / "x.wav"
    path.write_text("old")
    write_clip(path, clip, overwrite=True)
    assert read_clip(path).n_frames == 4801
    assert os.listdir(tmp_path) == ["x.wav"]


@pytest.mark.parametrize("wrong", [{"recipe": {"x": float("nan")}}, {"bits": 8}])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, clip, wrong):
    with pytest.raises(ValueError):
        write_clip(tmp_path / "x.wav", clip, **wrong)
    assert os.listdir(tmp_path) == []


def test_a_file_cut_anywhere_is_an_error_with_its_path(tmp_path, clip):
    path = tmp_path / "cut.wav"
    write_clip(
        path,
        Clip(clip.samples[:50], 48000),
        LOOP,
        {"p": "x"},
    )
    whole = path.read_bytes()
    for n in [*range(0, len(whole), 3), len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(BadFile, match=r"cut\.wav"):
            read_clip(path)


def test_the_recipe_is_read_without_the_samples(tmp_path, clip):
    path = tmp_path / "x.wav"
    write_clip(path, clip, LOOP, {"p": "x"})
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"data" + struct.pack("<I", 4801 * 2 * 3))])
    assert read_recipe(path) == {"p": "x"}


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_unknown_chunks_streamed_sizes_and_trailing_bytes_are_passed_over(tmp_path, clip, size):
    path = tmp_path / "x.wav"
    write_clip(path, clip)
    whole = path.read_bytes()
    odd = b"junk" + struct.pack("<I", 3) + b"abc\0"
    path.write_bytes(b"RIFF" + struct.pack("<I", size) + b"WAVE" + odd + whole[12:] + b"ID3 and the like")
    (tmp_path / "plain.wav").write_bytes(whole)
    theirs, _ = soundfile.read(tmp_path / "plain.wav", dtype="float32")
    assert np.array_equal(read_clip(path).samples, theirs)


def test_a_path_no_system_takes_is_an_error():
    with pytest.raises(BadFile, match="cannot be read"):
        read_clip(Path("a\0b.wav"))
