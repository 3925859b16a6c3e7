import re
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from plugin_server.audio.clip import Clip
from plugin_server.audio.finish import FinishSettings, true_peak_db
from plugin_server.audio.formats.files import read_clip, read_recipe, write_clip
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadArgument, BadFile, Cancelled, FolderNotWritable, NothingToUndo, UnknownModel
from plugin_server.studio.generator import ClipGenerator, GeneratorSettings, check_folder
from plugin_server.studio.image_fingerprints import fingerprint
from plugin_server.studio.library.library import Library
from plugin_server.studio.requests import Generate, RenderBank, RenderSlot
from plugin_server.studio.reuse import request_like
from tests.conftest import trash_in


@pytest.fixture
def studio(engine, toys, tmp_path) -> ClipGenerator:
    return ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 24, FinishSettings()), BundleRegistry((toys,)), engine
    )


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path / "clips", tmp_path / "index.sqlite3", trash_in(tmp_path))
    yield library
    library.close()


def ignore(fraction, stage):
    pass


def make(studio, **fields) -> list:
    clips = []
    studio.run(Generate(**({"prompt": "Sea Waves!"} | fields)), ignore, clips.append)
    return clips


@pytest.mark.parametrize("seconds", [0.25, 1.0, 1.2345])
def test_a_clip_has_exactly_the_length_and_format_asked_for(studio, seconds):
    (clip,) = make(studio, seconds=seconds, seed=42)
    with wave.open(str(clip.path)) as file:
        assert (file.getnframes(), file.getframerate()) == (round(seconds * 48000), 48000)
        assert (file.getsampwidth(), file.getnchannels()) == (3, 1)


def test_level_and_ends_are_as_promised(studio):
    (made,) = make(studio, seconds=2)
    clip = read_clip(made.path)
    assert true_peak_db(clip) < -1
    assert np.abs(clip.samples).max() > 0.05
    assert clip.samples[0, 0] == clip.samples[-1, 0] == 0
    assert abs(clip.samples.mean()) < 1e-4


def test_names_are_readable_and_never_taken_twice(studio):
    first = make(studio, seconds=1, seed=42)[0].path.name
    second = make(studio, seconds=1, seed=42)[0].path.name
    assert (first, second) == ("sea-waves_1s_s42_t1.wav", "sea-waves_1s_s42_t1_2.wav")


def test_takes_have_seeds_of_their_own_and_are_announced_one_by_one(studio):
    clips, seen = [], []

    def on_clip(clip):
        clips.append(clip)
        seen.append(len(list(clip.path.parent.glob("*.wav"))))

    studio.run(Generate("rain", seconds=0.5, seed=7, variations=3), ignore, on_clip)
    assert [(clip.take, clip.seed) for clip in clips] == [(1, 7), (2, 8), (3, 9)]
    assert seen == [1, 2, 3]
    assert len({clip.id for clip in clips}) == 3


def test_progress_of_all_takes_rises_to_one(studio):
    heard = []
    studio.run(Generate("rain", seconds=0.5, variations=2), lambda f, s: heard.append(f), lambda clip: None)
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_a_clip_can_be_made_again_from_its_own_file(studio):
    (clip,) = make(studio, seconds=1, seed=5, negative="wind", steps=3, guidance=1.5)
    request, checksum = request_like(clip.path)
    (again,) = make(studio, **{f: getattr(request, f) for f in ("prompt", "seconds", "seed", "negative", "steps",
                                                               "guidance", "model")})  # fmt: skip
    assert again.id == clip.id
    assert np.array_equal(read_clip(again.path).samples, read_clip(clip.path).samples)
    assert checksum == read_recipe(clip.path)["checksum"]


def test_a_seed_that_was_drawn_is_in_the_file(studio):
    (clip,) = make(studio, seconds=0.5)
    assert read_recipe(clip.path)["seed"] == clip.seed
    assert re.search(rf"_s{clip.seed}_", clip.path.name)
    with soundfile.SoundFile(clip.path) as file:
        assert file.title == "Sea Waves!"


def test_what_the_model_cannot_make_is_refused_before_it_runs(studio):
    with pytest.raises(BadArgument, match=r"seconds: got 31, expected 0\.25 to 30 s for toy"):
        make(studio, seconds=31)
    with pytest.raises(UnknownModel, match="moon"):
        make(studio, model="moon")
    assert not studio.settings.folder.exists()


def test_a_cancelled_request_leaves_no_file(studio):
    def refuse(fraction, stage):
        if fraction > 0.5:
            raise Cancelled("no")

    with pytest.raises(Cancelled):
        studio.run(Generate("rain", seconds=1), refuse, lambda clip: None)
    assert list(studio.settings.folder.iterdir()) == []


def test_a_clip_is_in_the_library_before_it_is_announced(engine, toys, tmp_path, library):
    studio = ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 16, FinishSettings()), BundleRegistry((toys,)), engine, library
    )
    found = []
    studio.run(Generate("rain", 0.25, variations=2), ignore, lambda clip: found.append((clip, library.find(clip.id))))
    assert [entry.path for _, entry in found] == [clip.path for clip, _ in found]
    # Samples of 16 bits have another fingerprint: the recipe keeps the id.
    assert [entry.id for entry in library.newest(5).clips] == [clip.id for clip, _ in reversed(found)]
    assert len(library.undo().clips) == 2


def test_a_clip_that_was_cancelled_at_the_last_moment_is_not_in_the_library(engine, toys, tmp_path, library):
    studio = ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 24, FinishSettings()), BundleRegistry((toys,)), engine, library
    )

    def refuse(clip):
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        studio.run(Generate("rain", 0.25), ignore, refuse)
    assert library.newest(5).total == 0
    with pytest.raises(NothingToUndo):
        library.undo()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="file"):
        check_folder(tmp_path / "file" / "below")


def test_a_file_without_a_usable_recipe_is_told(tmp_path):
    clip = Clip.mono(np.zeros(10), 48000)
    for name, recipe in (("none", None), ("part", {"prompt": "x"}), ("wild", {"prompt": "x", "seconds": "y"})):
        path = tmp_path / f"{name}.wav"
        write_clip(path, clip, None, recipe)
        with pytest.raises(BadFile, match=name):
            request_like(path)
    with pytest.raises(BadFile):
        request_like(Path(tmp_path / "missing.wav"))


def test_a_clip_that_is_cancelled_while_it_is_written_leaves_no_file(studio):
    written = []

    def refuse(clip):
        written.append(clip.path.is_file())
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        studio.run(Generate("rain", seconds=0.25), ignore, refuse)
    assert written == [True]
    assert list(studio.settings.folder.iterdir()) == []
    assert studio.n_clips == 0


@pytest.fixture
def shelved(engine, toys, tmp_path, library) -> ClipGenerator:
    """A studio whose clips go into a library."""
    return ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 24, FinishSettings()), BundleRegistry((toys,)), engine, library
    )


def test_a_clip_that_was_made_is_found_by_its_request(shelved):
    (made,) = make(shelved, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    assert shelved.find_existing(request).path == made.path
    assert shelved.find_existing(replace(request, name="called otherwise")).id == made.id
    others = ({"seed": 4}, {"seconds": 0.6}, {"steps": 2}, {"guidance": 5.0}, {"loop": True}, {"stereo": 0.5})
    for other in (*others, {"negative": "wind"}, {"seed": None}, {"prompt": "rain"}):
        assert shelved.find_existing(replace(request, **other)) is None, other


def test_a_clip_that_was_moved_is_found_and_one_that_was_removed_is_not(shelved):
    (made,) = make(shelved, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    moved = made.path.with_name("called by hand.wav")
    made.path.rename(moved)
    assert shelved.find_existing(request).path == moved
    moved.unlink()
    assert shelved.find_existing(request) is None


def test_a_clip_of_another_rate_or_bundle_is_not_taken_for_it(shelved, engine, toys, library):
    make(shelved, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    settings = replace(shelved.settings, finish=FinishSettings(sample_rate=44100))
    assert ClipGenerator(settings, BundleRegistry((toys,)), engine, library).find_existing(request) is None
    assert shelved.find_existing(replace(request, model="slow-toy")) is None
    assert ClipGenerator(shelved.settings, BundleRegistry((toys,)), engine).find_existing(request) is None


def render(studio, bank):
    """What is made of a bank, part by part, and the progress."""
    clips, heard, rest = [], [], bank
    while rest:
        rest = studio.run(rest, lambda fraction, stage: heard.append((fraction, stage)), clips.append)
    return clips, heard


def test_of_a_bank_only_what_is_missing_is_made(shelved):
    slots = tuple(
        Generate(prompt, seconds=0.5, seed=i, name=prompt) for i, prompt in enumerate(("rain", "sea", "fire"))
    )
    make(shelved, prompt="sea", seconds=0.5, seed=1)
    clips, heard = render(shelved, RenderBank("mine", slots))
    assert [clip.seed for clip in clips] == [0, 2]
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert "sea: is there" in [stage for _, stage in heard]
    assert render(shelved, RenderBank("mine", slots))[0] == []


def test_a_slot_that_is_fired_is_made_once(shelved):
    slot = RenderSlot("mine", 2, Generate("rain", seconds=0.5, seed=9), "f1")
    first, second = [], []
    shelved.run(slot, ignore, first.append)
    shelved.run(slot, ignore, second.append)
    assert [clip.path for clip in first] == [clip.path for clip in second]


@pytest.mark.parametrize(
    ("bars", "bpm", "rate"),
    [(2, 128, 48000), (1, 93.7, 44100), (0.75, 140, 48000), (4, 174, 44100), (0.25, 120, 48000)],
)
def test_bars_have_exactly_their_samples_and_a_closed_seam(engine, toys, tmp_path, bars, bpm, rate):
    studio = ClipGenerator(
        GeneratorSettings(tmp_path, "toy", 24, FinishSettings(sample_rate=rate)), BundleRegistry((toys,)), engine
    )
    (made,) = make(studio, bars=bars, bpm=bpm, seed=5)
    clip = read_clip(made.path)
    assert (clip.n_frames, clip.sample_rate) == (round(bars * 240 / bpm * rate), rate)
    steps = np.abs(np.diff(clip.samples[:, 0]))
    assert abs(clip.samples[0, 0] - clip.samples[-1, 0]) <= steps.max()
    bends = np.abs(np.diff(clip.samples[:, 0], 2))
    around = np.concatenate([clip.samples[-2:, 0], clip.samples[:2, 0]])
    assert np.abs(np.diff(around, 2)).max() <= bends.max()


def test_a_name_is_kept_for_the_next_clip_like_it(studio):
    (made,) = make(studio, name="My Sea", seconds=0.5, seed=5)
    assert made.path.name == "my-sea_0.5s_s5_t1.wav"
    assert request_like(made.path)[0] == Generate(
        "Sea Waves!", seconds=0.5, seed=5, name="My Sea", model="toy", steps=4, guidance=2.0, conditioning="text"
    )


@pytest.fixture
def red(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "my red.png")
    return tmp_path / "my red.png"


def test_a_recipe_tells_pictures_and_what_was_in_them(shelved, library, red):
    (made,) = make(shelved, prompt="", images=(str(red),), seconds=0.5, seed=5)
    assert made.path.name == "my-red_0.5s_s5_t1.wav"
    recipe = read_recipe(made.path)
    assert (recipe["images"], recipe["fingerprints"]) == ([str(red)], [fingerprint(red)])
    assert (recipe["prompt"], recipe["blend"], recipe["frames"]) == ("", 1.0, 1) and "via" not in recipe
    assert library.find("last").file.prompt == "my red"
    again, _ = request_like(made.path)
    assert again == Generate(
        images=(str(red),), seconds=0.5, seed=5, model="toy", steps=4, guidance=2.0, format=again.format
    )
    (copy,) = make(shelved, prompt="", images=(str(red),), seconds=0.5, seed=5)
    assert copy.id == made.id


def test_words_beside_pictures_keep_their_share_and_their_way(studio, red):
    asked = {"prompt": "rain", "images": (str(red), str(red)), "blend": 0.25, "conditioning": "pd", "frames": 3}
    (made,) = make(studio, **asked, seconds=0.5, seed=5)
    again, _ = request_like(made.path)
    assert {name: getattr(again, name) for name in asked} == asked
    (copy,) = make(studio, **{f: getattr(again, f) for f in (*asked, "seconds", "seed", "steps", "guidance")})
    assert copy.id == made.id


def test_a_picture_that_was_changed_or_taken_away_makes_no_such_clip(shelved, red, tmp_path):
    (made,) = make(shelved, prompt="", images=(str(red),), seconds=0.5, seed=5)
    request = Generate(images=(str(red),), seconds=0.5, seed=5)
    assert shelved.find_existing(request).path == made.path
    # The same picture in another place is the same picture, when it is called so.
    (tmp_path / "other").mkdir()
    moved = red.rename(tmp_path / "other" / red.name)
    assert shelved.find_existing(replace(request, images=(str(moved),))).path == made.path
    assert shelved.find_existing(request) is None
    with pytest.raises(BadFile, match=r"image: .*my red\.png is not there"):
        request_like(made.path)
    Image.new("RGB", (30, 20), "blue").save(red)
    assert shelved.find_existing(request) is None
    with pytest.raises(BadFile, match=r"its image .*my red\.png was changed since"):
        request_like(made.path)
    long = f"/{300 * 'x'}.png"
    assert shelved.find_existing(replace(request, images=(long,))) is None
    with pytest.raises(BadFile, match=r"image: .* cannot be read: File name too long"):
        fingerprint(Path(long))


def test_a_picture_that_is_not_there_is_told_before_the_model_is_asked(studio, red, monkeypatch):
    red.unlink()
    monkeypatch.setattr(studio, "_engine", None)
    with pytest.raises(BadFile, match=r"image: .*my red\.png is not there"):
        make(studio, prompt="", images=(str(red),))


def test_all_takes_are_of_the_picture_as_it_was(studio, red):
    """Its fingerprint is that of what was asked for, whatever becomes of the file meanwhile."""
    wanted, recipes = fingerprint(red), []

    def change(clip):
        recipes.append(read_recipe(clip.path))
        Image.new("RGB", (30, 20), "blue").save(red)

    studio.run(Generate(images=(str(red),), seconds=0.25, seed=5, variations=2), ignore, change)
    assert [recipe["fingerprints"] for recipe in recipes] == [[wanted]] * 2
    assert [(recipe["seed"], recipe["take"]) for recipe in recipes] == [(5, 1), (6, 2)]


def test_other_pictures_may_take_the_place_of_those_that_are_gone(studio, red, tmp_path):
    (made,) = make(studio, prompt="rain", images=(str(red),), blend=0.25, seconds=0.5, seed=5)
    red.unlink()
    other = (str(tmp_path / "other.png"),)
    request, _ = request_like(made.path, other)
    assert (request.images, request.blend) == (other, 0.25)
    (words,) = make(studio, prompt="rain", seconds=0.5, seed=5)
    assert request_like(words.path, other)[0].images == other


def test_a_clip_from_before_there_were_ways_is_found(shelved):
    (made,) = make(shelved, seconds=0.5, seed=3)
    recipe = read_recipe(made.path)
    assert recipe.pop("via") == "text"
    clip = read_clip(made.path)
    made.path.unlink()
    write_clip(made.path, clip, None, recipe)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    assert shelved.find_existing(request).path == made.path
    assert shelved.find_existing(replace(request, conditioning="pd")) is None
    assert request_like(made.path)[0].conditioning == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": 3},
        {"images": [3]},
        {"images": ["/a\0.png"]},
        {"fingerprints": []},
        {"fingerprints": None},
        {"blend": None, "prompt": "x", "images": ["a.png"]},
        {"blend": "half", "prompt": "x"},
        {"frames": 0},
    ],
)
def test_recipes_of_pictures_that_cannot_be_used_are_told(studio, red, wrong):
    (made,) = make(studio, prompt="", images=(str(red),), seconds=0.5, seed=5)
    write_clip(made.path.with_name("x.wav"), read_clip(made.path), ClipMetadata(), read_recipe(made.path) | wrong)
    with pytest.raises(BadFile):
        request_like(made.path.with_name("x.wav"))


def test_a_model_is_asked_only_for_what_it_can(studio, red):
    with pytest.raises(BadArgument, match="image: got 1, but slow-toy takes words only"):
        make(studio, images=(str(red),), model="slow-toy")
    with pytest.raises(BadArgument, match="via: got sd, expected one of text, pd for toy"):
        make(studio, conditioning="sd")


def test_tempo_and_key_are_in_the_name_the_recipe_and_the_request_like_it(studio):
    (made,) = make(studio, bars=1, bpm=128, key="f#m", seed=5)
    assert made.path.name == "sea-waves_128bpm_F#min_1bar_s5_t1.wav"
    recipe = read_recipe(made.path)
    assert (recipe["bars"], recipe["bpm"], recipe["key"], recipe["loop"]) == (1, 128, "F# minor", True)
    again, _ = request_like(made.path)
    assert (again.bars, again.bpm, again.key, again.seconds) == (1, 128, "F# minor", None)
    (copy,) = make(
        studio, **{f: getattr(again, f) for f in ("bars", "bpm", "key", "seed", "loop", "steps", "guidance")}
    )
    assert copy.id == made.id


def test_a_clip_that_tells_another_tempo_or_key_is_not_the_one_asked_for(shelved):
    (made,) = make(shelved, bars=1, bpm=120, key="C", seed=3)
    request = Generate("Sea Waves!", bars=1, bpm=120, key="C", seed=3)
    assert shelved.find_existing(request).path == made.path
    for other in ({"bars": 0.5, "bpm": 60}, {"key": "F# minor"}, {"bars": None, "seconds": 2.0, "bpm": None}):
        assert shelved.find_existing(replace(request, **other)) is None, other


@pytest.mark.parametrize("form", ["wav", "flac", "aiff"])
def test_each_format_holds_the_same_clip_and_is_found_again(shelved, library, form):
    (plain,) = make(shelved, seconds=0.5, seed=3)
    (made,) = make(shelved, seconds=0.5, seed=3, format=form)
    assert made.path.suffix == f".{form}" and made.id == plain.id
    assert np.array_equal(read_clip(made.path).samples, read_clip(plain.path).samples)
    assert request_like(made.path)[0].format == form
    assert shelved.find_existing(Generate("Sea Waves!", seconds=0.5, seed=3, format=form)).path == made.path
    assert library.scan().new == 0 and made.path in [entry.path for entry in library.newest(9).clips]


def test_a_lost_index_is_made_anew_from_all_formats(shelved, library, tmp_path):
    paths = {make(shelved, seconds=0.5, seed=3, format=form)[0].path for form in ("wav", "flac", "aiff")}
    other = Library(tmp_path / "clips", tmp_path / "other.sqlite3", trash_in(tmp_path))
    assert other.scan().new == 3
    assert {entry.path for entry in other.newest(9).clips} == paths
    other.close()
