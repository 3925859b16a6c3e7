"""WAV, FLAC and AIFF as readers that are not ours see them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wavinfo import WavInfoReader

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import read_clip, read_format, read_recipe, write_clip
from plugin_server.audio.formats.flac import read_comments
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.errors import BadFile, ClipsonicError

RATE, BARS, BPM = 44100, 2, 128
N_FRAMES = round(BARS * 240 / BPM * RATE)
RECIPE = {"prompt": '波 "quoted"', "seed": 7}
LOOP = ClipMetadata(
    title="Kit of tins",
    artist="Clipsonic Live 0.0",
    comment="128 bpm, F# minor",
    software="Clipsonic Live 0.0",
    date="2026-01-02",
    time="03:04:05",
    reference="abc123",
    history="seed 7: tins",
    loop=True,
    bpm=BPM,
    bars=BARS,
    key="F# minor",
)
SUFFIXES = ("wav", "flac", "aiff")


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip(np.random.default_rng(0).uniform(-0.9, 0.9, (N_FRAMES, 2)).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def files(clip, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("formats")
    paths = {suffix: folder / f"loop.{suffix}" for suffix in SUFFIXES}
    for path in paths.values():
        write_clip(path, clip, LOOP, RECIPE)
    return paths


def output_of(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian packages sndfile-programs, ffmpeg, mediainfo, flac)")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_samples_recipe_and_rate_come_back_and_are_the_same_in_each(files, clip, suffix):
    found = read_clip(files[suffix])
    assert np.array_equal(found.samples, read_clip(files["wav"]).samples)
    assert np.abs(found.samples - clip.samples).max() <= 2**-23
    assert read_format(files[suffix]).sample_rate == found.sample_rate == RATE
    assert read_recipe(files[suffix]) == RECIPE
    info = soundfile.info(files[suffix])
    assert (info.subtype, info.frames, info.channels) == ("PCM_24", N_FRAMES, 2)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bits", [16, 24])
def test_odd_lengths_and_mono_in_both_depths(tmp_path, clip, suffix, bits):
    path = tmp_path / f"odd.{suffix}"
    write_clip(
        path, Clip.mono(clip.samples[:101, 0], RATE), ClipMetadata("odd", software="s", loop=True), {"x": "y"}, bits
    )
    assert read_clip(path).n_frames == 101
    assert read_recipe(path) == {"x": "y"}
    assert soundfile.info(path).subtype == f"PCM_{bits}"


def test_libsndfile_reads_loop_tempo_and_origin(files):
    said = output_of("sndfile-info", str(files["wav"]))
    words = " ".join(said.split())
    for line in (
        "Beats : 8 Meter : 4/4 Tempo : 128.0",
        "Loop,RootNoteValid,StretchOn",
        "Midi Note : 54",
        f"Cue ID : 1 Type : 0 Start : 0 End : {N_FRAMES - 1}",
        "labl : 2 : bar 2",
        "INAM : Kit of tins",
    ):
        assert line in words, line
    # Nothing is wrong with it but a chunk that is ours.
    assert said.count("***") == 1 and "*** clps" in said


def test_libsndfile_reads_the_loop_of_an_aiff(files):
    said = output_of("sndfile-info", str(files["aiff"]))
    assert "MARK" in said and "INST" in said and "Kit of tins" in said
    assert "Base Note : 54" in said and "*** " not in said


def test_ffmpeg_reads_each_and_its_tags(files):
    for suffix, path in files.items():
        said = json.loads(
            output_of("ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path))
        )
        (stream,) = said["streams"]
        assert int(stream["duration_ts"]) == N_FRAMES, suffix
        tags = {key.lower(): text for key, text in said["format"]["tags"].items()}
        assert tags["title"] == "Kit of tins" and "128 bpm" in tags["comment"], suffix
    assert said["streams"][0]["bits_per_raw_sample"] == "24"


def test_mediainfo_reads_origin_and_tempo(files):
    wav = json.loads(output_of("mediainfo", "--Output=JSON", str(files["wav"])))["media"]["track"][0]
    assert wav["Description"] == "Kit of tins" and wav["Producer"] == "Clipsonic Live 0.0"
    assert wav["Encoded_Date"] == "2026-01-02 03:04:05"
    flac = json.loads(output_of("mediainfo", "--Output=JSON", str(files["flac"])))["media"]["track"][0]
    assert flac["Title"] == "Kit of tins" and flac["BPM"] == "128"


def test_wavinfo_reads_every_chunk(files):
    info = WavInfoReader(str(files["wav"]))
    assert info.fmt.sample_rate == RATE and info.data.frame_count == N_FRAMES
    assert info.bext.description == "Kit of tins" and info.bext.originator == "Clipsonic Live 0.0"
    assert info.bext.originator_ref == "abc123" and info.bext.originator_date == "2026-01-02"
    assert "seed 7: tins" in info.bext.coding_history
    (loop,) = info.smpl.sample_loops
    assert (loop.start, loop.end, loop.loop_type, loop.repetition_count) == (0, N_FRAMES - 1, 0, 0)
    assert info.smpl.midi_note == 54
    assert [cue.sample_offset for cue in info.cues.cues] == [0, round(N_FRAMES / 2)]
    assert info.info.title == "Kit of tins"


def test_the_flac_decoder_finds_nothing_wrong(files):
    output_of("flac", "--test", "--silent", str(files["flac"]))
    comments = read_comments(files["flac"])
    assert (comments["BPM"], comments["INITIALKEY"], comments["LOOPLENGTH"]) == ("128", "F#min", str(N_FRAMES))


def test_a_shot_has_no_loop_and_says_so(tmp_path, clip):
    path = tmp_path / "shot.wav"
    write_clip(path, clip, ClipMetadata("shot", software="s", bpm=100), {})
    content = path.read_bytes()
    assert b"smpl" not in content and b"cue " not in content
    offset = content.index(b"acid") + 8
    assert int.from_bytes(content[offset : offset + 4], "little") == 1


@pytest.mark.parametrize("suffix", ["flac", "aiff"])
def test_no_damage_raises_anything_unforeseen(tmp_path, clip, suffix):
    path = tmp_path / f"x.{suffix}"
    write_clip(path, Clip(clip.samples[:50], RATE), LOOP, RECIPE)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for cut in range(0, len(whole), 7):
        damaged = bytearray(whole[:cut] if cut % 2 else whole)
        if damaged:
            for _ in range(3):
                damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        for read in (read_clip, read_format, read_recipe):
            try:
                read(path)
            except ClipsonicError as error:
                assert path.name in str(error)


@pytest.mark.parametrize("suffix", ["flac", "aiff"])
def test_a_file_of_another_program_has_no_recipe(tmp_path, clip, suffix):
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, clip.samples[:1000], RATE, "PCM_16")
    assert read_clip(path).n_frames == 1000
    with pytest.raises(BadFile, match="holds no recipe"):
        read_recipe(path)


def test_a_format_is_known_by_the_file_and_not_by_its_name(tmp_path, files):
    renamed = tmp_path / "loop.wav"
    shutil.copy(files["flac"], renamed)
    assert read_clip(renamed).n_frames == N_FRAMES and read_recipe(renamed) == RECIPE


def test_an_unknown_ending_is_refused(tmp_path, clip):
    with pytest.raises(ValueError, match=r"expected one that ends with \.wav, \.flac, \.aiff"):
        write_clip(tmp_path / "x.mp3", clip)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bits", [0, 8, 32, -16])
def test_other_depths_are_refused(tmp_path, clip, suffix, bits):
    with pytest.raises(ValueError, match=f"bits: got {bits}, expected 16 or 24"):
        write_clip(tmp_path / f"x.{suffix}", clip, bits=bits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("recipe", [{"x": float("nan")}, {"x": float("inf")}, {"x": b"bytes"}], ids=str)
def test_a_recipe_that_is_no_json_is_refused(tmp_path, suffix, recipe):
    with pytest.raises((ValueError, TypeError)):
        write_clip(tmp_path / f"x.{suffix}", Clip.mono(np.zeros(10), RATE), recipe=recipe)
    assert list(tmp_path.iterdir()) == []


def test_a_comment_that_flac_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"comments: got \d+ bytes, expected at most 16777215"):
        write_clip(tmp_path / "x.flac", Clip.mono(np.zeros(10), RATE), ClipMetadata(comment="x" * 2**24))


@pytest.mark.parametrize(
    ("suffix", "content", "sentence"),
    [
        ("flac", b"fLaC", "cut off within its metadata"),
        ("flac", b"fLaC\x84\x00\x00\x04\xff\xff\xff\xff", "its comments cannot be read"),
        ("flac", b"fLaC\x80\x00\x00\x00", "holds no recipe"),
        ("aiff", b"FORM\x00\x00\x00\x04JUNK", "not an AIFF file"),
        ("aiff", b"FORM\x00\x00\x00\x04AIFF", "holds no recipe"),
        ("aiff", b"FORM\x00\x00\x00\x10AIFFAPPL\x00\x00\x00\x09", "cut off: its chunk b'APPL' has 0 of 9 bytes"),
        ("aiff", b"FORM\x00\x00\x00\x10AIFFAPPL\x00\x00\x00\x04none", "holds no recipe"),
        ("aiff", b"FORM\x00\x00\x00\x10AIFFAPPL\x00\x00\x00\x06clps{]", "its recipe cannot be read"),
        ("aiff", b"FORM\x00\x00\x00\x10AIFFAPPL\x00\x00\x00\x06clps[]", "holds no recipe"),
        ("wav", b"RIFF\x04\x00\x00\x00WAVE", "holds no recipe"),
        ("wav", b"", "not a WAV file"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence_with_its_path(tmp_path, suffix, content, sentence):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=re.escape(f"{path}: {sentence}")):
        read_recipe(path)


@pytest.mark.parametrize("read", [read_clip, read_format, read_recipe])
@pytest.mark.parametrize("name", ["none.wav", "none.flac", "nul\0.wav"])
def test_a_file_that_is_not_there_is_named(tmp_path, read, name):
    with pytest.raises(BadFile, match="cannot be read"):
        read(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_many_channels_come_back_in_their_order(tmp_path, suffix):
    n_channels = 8
    samples = np.arange(80, dtype=np.float32).reshape(10, n_channels) / 128
    write_clip(tmp_path / f"x.{suffix}", Clip(samples, RATE))
    assert np.array_equal(read_clip(tmp_path / f"x.{suffix}").samples, samples)


def test_metadata_that_is_empty_leaves_no_comments(tmp_path):
    write_clip(tmp_path / "x.flac", Clip.mono(np.zeros(10), RATE))
    assert read_comments(tmp_path / "x.flac") == {}
