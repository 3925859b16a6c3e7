from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plugin_server.audio.clip import Clip
from plugin_server.audio.finish import FinishSettings
from plugin_server.audio.formats.files import read_clip, read_recipe, write_clip
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadFile, LibraryFailed
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.image_fingerprints import fingerprint
from plugin_server.studio.library.library import Library
from plugin_server.studio.requests import Generate
from plugin_server.studio.reuse import request_like
from tests.conftest import trash_in
from tests.support.clips import make


def test_a_clip_can_be_made_again_from_its_own_file(generator):
    (clip,) = make(generator, seconds=1, seed=5, negative="wind", steps=3, guidance=1.5)
    request, checksum = request_like(clip.path)
    (again,) = make(generator, **{f: getattr(request, f) for f in ("prompt", "seconds", "seed", "negative", "steps",
                                                               "guidance", "model")})  # fmt: skip
    assert again.id == clip.id
    assert np.array_equal(read_clip(again.path).samples, read_clip(clip.path).samples)
    assert checksum == read_recipe(clip.path)["checksum"]


def test_a_file_without_a_usable_recipe_is_refused(tmp_path):
    clip = Clip.mono(np.zeros(10), 48000)
    for name, recipe in (("none", None), ("part", {"prompt": "x"}), ("wild", {"prompt": "x", "seconds": "y"})):
        path = tmp_path / f"{name}.wav"
        write_clip(path, clip, None, recipe)
        with pytest.raises(BadFile, match=name):
            request_like(path)
    with pytest.raises(BadFile):
        request_like(Path(tmp_path / "missing.wav"))


def test_a_clip_that_was_made_is_found_by_its_request(library_generator):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    assert library_generator.find_existing(request).path == made.path
    assert library_generator.find_existing(replace(request, name="called otherwise")).id == made.id
    others = ({"seed": 4}, {"seconds": 0.6}, {"steps": 2}, {"guidance": 5.0}, {"loop": True}, {"stereo": 0.5})
    for other in (*others, {"negative": "wind"}, {"seed": None}, {"prompt": "rain"}):
        assert library_generator.find_existing(replace(request, **other)) is None, other


@pytest.mark.parametrize("written", ["cafe\u0301 noise", '"café noise"', "café  noise ", "\ufeffcafé noise"])
def test_a_clip_of_an_earlier_version_is_found_however_its_words_were_written(library_generator, library, written):
    (made,) = make(library_generator, prompt="café noise", seconds=0.5, seed=3)
    request = Generate("café noise", seconds=0.5, seed=3)
    clip, recipe = read_clip(made.path), read_recipe(made.path)
    made.path.unlink()
    write_clip(made.path, clip, ClipMetadata(title=written), recipe | {"prompt": written})
    library.scan()
    assert library_generator.find_existing(request).path == made.path
    # As the index of an earlier version has it.
    library._index.write(lambda connection: connection.execute("UPDATE clips SET prompt = ?", (written,)))
    assert library_generator.find_existing(request).path == made.path


def test_a_clip_of_the_default_format_is_found_where_that_is_named(library_generator):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3, format="wav")
    assert library_generator.find_existing(request).path == made.path
    (named,) = make(library_generator, prompt="rain", seconds=0.5, seed=3, format="wav")
    assert library_generator.find_existing(Generate("rain", seconds=0.5, seed=3)).path == named.path


def test_the_same_request_is_answered_with_the_clip_that_is_there(library_generator, tmp_path):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    (found,) = make(
        library_generator, prompt=" Sea  Waves! ", seconds=0.5, seed=3, format="wav", name="called otherwise"
    )
    assert found == replace(made, is_new=False) and made.is_new
    assert len(list((tmp_path / "clips").glob("*"))) == library_generator.n_clips == 1
    (anew,) = make(library_generator, seconds=0.5, seed=3, again=True)
    assert (anew.id, anew.path.name) == (made.id, "sea-waves_0.5s_s3_t1_2.wav")


def test_without_a_seed_another_one_is_drawn(library_generator):
    (first,), (second,) = (make(library_generator, seconds=0.5) for _ in range(2))
    assert first.seed != second.seed and second.is_new


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"seconds": 0.6},
        {"steps": 2},
        {"loop": True},
        {"negative": "wind"},
        {"format": "flac"},
        {"key": "C"},
    ],
)
def test_another_request_is_made(library_generator, other):
    make(library_generator, seconds=0.5, seed=3)
    (made,) = make(library_generator, **({"seconds": 0.5, "seed": 3} | other))
    assert made.is_new


def test_a_clip_that_is_not_there_any_more_is_made(library_generator, library):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    library.delete(made.id)
    (again,) = make(library_generator, seconds=0.5, seed=3)
    assert again == made
    again.path.unlink()
    assert make(library_generator, seconds=0.5, seed=3)[0].is_new


@pytest.mark.parametrize("edit", [lambda samples: samples[::-1].copy(), lambda samples: samples[:500]])
def test_a_clip_that_was_edited_is_made_anew(library_generator, edit):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    clip, recipe = read_clip(made.path), read_recipe(made.path)
    write_clip(made.path, Clip(edit(clip.samples), clip.sample_rate), None, recipe, overwrite=True)
    (again,) = make(library_generator, seconds=0.5, seed=3)
    assert again.is_new and again.id == made.id and again.path != made.path


def test_of_several_takes_only_those_are_made_that_are_not_there(library_generator, library):
    first, second, third = make(library_generator, seconds=0.5, seed=3, variations=3)
    second.path.unlink()
    clips = make(library_generator, seconds=0.5, seed=3, variations=4)
    assert [(clip.take, clip.seed, clip.is_new) for clip in clips] == [
        (1, 3, False),
        (3, 5, False),
        (2, 4, True),
        (4, 6, True),
    ]
    assert [clip.id for clip in clips[:3]] == [first.id, third.id, second.id]
    assert len(library.undo().clips) == 2


@pytest.mark.parametrize("changed", [{"bits": 16}, {"finish": FinishSettings(loudness_lufs=-14)}])
def test_a_clip_of_other_settings_is_made_anew(library_generator, changed):
    make(library_generator, seconds=0.5, seed=3)
    library_generator.settings = replace(library_generator.settings, **changed)
    (made,) = make(library_generator, seconds=0.5, seed=3)
    assert made.is_new
    assert not make(library_generator, seconds=0.5, seed=3)[0].is_new


def test_a_library_that_cannot_be_asked_costs_no_clip(library_generator, library, monkeypatch):
    make(library_generator, seconds=0.5, seed=3)

    def fail(*_: object) -> None:
        raise LibraryFailed("the disk is away")

    monkeypatch.setattr(library, "find_by_request", fail)
    assert make(library_generator, seconds=0.5, seed=3)[0].is_new


def test_what_is_said_of_a_clip_is_said_again(library_generator):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    recipe = read_recipe(made.path)
    clip = read_clip(made.path)
    for values, expected in (
        ({"confidence": 0.25, "nearest": "sea waves", "heard": [3, 9]}, (0.25, "sea waves", 3, 9)),
        ({"confidence": "high", "nearest": 5, "heard": 3}, (1.0, "", 0, 0)),
        ({"confidence": 7.0, "nearest": "x" * 5000, "heard": [9, 3]}, (1.0, "x" * 200, 0, 0)),
        ({"confidence": 10**10, "heard": [1, 10**10]}, (1.0, "", 0, 0)),
    ):
        write_clip(made.path, clip, None, recipe | values, overwrite=True)
        (found,) = make(library_generator, seconds=0.5, seed=3)
        said = (found.confidence, found.nearest, found.n_heard, found.n_words)
        assert (found.is_new, said) == (False, expected)


def test_a_clip_that_was_moved_is_found_and_one_that_was_removed_is_not(library_generator):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    moved = made.path.with_name("called by hand.wav")
    made.path.rename(moved)
    assert library_generator.find_existing(request).path == moved
    moved.unlink()
    assert library_generator.find_existing(request) is None


def test_a_clip_of_another_rate_or_bundle_is_not_taken_for_it(library_generator, engine, toys, library):
    make(library_generator, seconds=0.5, seed=3)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    settings = replace(library_generator.settings, finish=FinishSettings(sample_rate=44100))
    assert ClipGenerator(settings, BundleRegistry((toys,)), engine, library).find_existing(request) is None
    assert library_generator.find_existing(replace(request, model="slow-toy")) is None
    assert ClipGenerator(library_generator.settings, BundleRegistry((toys,)), engine).find_existing(request) is None


def test_a_recipe_holds_the_name_for_the_next_clip_like_it(generator):
    (made,) = make(generator, name="My Sea", seconds=0.5, seed=5)
    assert made.path.name == "my-sea_0.5s_s5_t1.wav"
    assert request_like(made.path)[0] == Generate(
        "Sea Waves!", seconds=0.5, seed=5, name="My Sea", model="toy", steps=4, guidance=2.0, conditioning="text"
    )


def test_a_recipe_names_images_and_their_fingerprints(library_generator, library, red):
    (made,) = make(library_generator, prompt="", images=(str(red),), seconds=0.5, seed=5)
    assert made.path.name == "my-red_0.5s_s5_t1.wav"
    recipe = read_recipe(made.path)
    assert (recipe["images"], recipe["fingerprints"]) == ([str(red)], [fingerprint(red)])
    assert (recipe["prompt"], recipe["blend"], recipe["frames"]) == ("", 1.0, 1) and "via" not in recipe
    assert library.find("last").file.prompt == "my red"
    again, _ = request_like(made.path)
    assert again == Generate(
        images=(str(red),), seconds=0.5, seed=5, model="toy", steps=4, guidance=2.0, format=again.format
    )
    (copy,) = make(library_generator, prompt="", images=(str(red),), seconds=0.5, seed=5)
    assert copy.id == made.id


def test_words_beside_images_keep_their_share_and_conditioning(generator, red):
    asked = {"prompt": "rain", "images": (str(red), str(red)), "blend": 0.25, "conditioning": "pd", "frames": 3}
    (made,) = make(generator, **asked, seconds=0.5, seed=5)
    again, _ = request_like(made.path)
    assert {name: getattr(again, name) for name in asked} == asked
    (copy,) = make(generator, **{f: getattr(again, f) for f in (*asked, "seconds", "seed", "steps", "guidance")})
    assert copy.id == made.id


def test_a_picture_that_was_changed_or_taken_away_makes_no_such_clip(library_generator, red, tmp_path):
    (made,) = make(library_generator, prompt="", images=(str(red),), seconds=0.5, seed=5)
    request = Generate(images=(str(red),), seconds=0.5, seed=5)
    assert library_generator.find_existing(request).path == made.path
    # The same picture in another place is the same picture, when it is called so.
    (tmp_path / "other").mkdir()
    moved = red.rename(tmp_path / "other" / red.name)
    assert library_generator.find_existing(replace(request, images=(str(moved),))).path == made.path
    assert library_generator.find_existing(request) is None
    with pytest.raises(BadFile, match=r"image: .*my red\.png is not there"):
        request_like(made.path)
    Image.new("RGB", (30, 20), "blue").save(red)
    assert library_generator.find_existing(request) is None
    with pytest.raises(BadFile, match=r"its image .*my red\.png was changed since"):
        request_like(made.path)
    long = f"/{300 * 'x'}.png"
    assert library_generator.find_existing(replace(request, images=(long,))) is None
    with pytest.raises(BadFile, match=r"image: .* cannot be read: File name too long"):
        fingerprint(Path(long))


def test_other_images_may_replace_those_that_are_gone(generator, red, tmp_path):
    (made,) = make(generator, prompt="rain", images=(str(red),), blend=0.25, seconds=0.5, seed=5)
    red.unlink()
    other = (str(tmp_path / "other.png"),)
    request, _ = request_like(made.path, other)
    assert (request.images, request.blend) == (other, 0.25)
    (words,) = make(generator, prompt="rain", seconds=0.5, seed=5)
    assert request_like(words.path, other)[0].images == other


def test_a_clip_from_before_there_were_conditionings_is_found(library_generator):
    (made,) = make(library_generator, seconds=0.5, seed=3)
    recipe = read_recipe(made.path)
    assert recipe.pop("via") == "text"
    clip = read_clip(made.path)
    made.path.unlink()
    write_clip(made.path, clip, None, recipe)
    request = Generate("Sea Waves!", seconds=0.5, seed=3)
    assert library_generator.find_existing(request).path == made.path
    assert library_generator.find_existing(replace(request, conditioning="pd")) is None
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
def test_unusable_recipes_of_images_are_refused(generator, red, wrong):
    (made,) = make(generator, prompt="", images=(str(red),), seconds=0.5, seed=5)
    write_clip(made.path.with_name("x.wav"), read_clip(made.path), ClipMetadata(), read_recipe(made.path) | wrong)
    with pytest.raises(BadFile):
        request_like(made.path.with_name("x.wav"))


def test_tempo_and_key_are_in_the_name_the_recipe_and_the_request_like_it(generator):
    (made,) = make(generator, bars=1, bpm=128, key="f#m", seed=5)
    assert made.path.name == "sea-waves_128bpm_F#min_1bar_s5_t1.wav"
    recipe = read_recipe(made.path)
    assert (recipe["bars"], recipe["bpm"], recipe["key"], recipe["loop"]) == (1, 128, "F# minor", True)
    again, _ = request_like(made.path)
    assert (again.bars, again.bpm, again.key, again.seconds) == (1, 128, "F# minor", None)
    (copy,) = make(
        generator, **{f: getattr(again, f) for f in ("bars", "bpm", "key", "seed", "loop", "steps", "guidance")}
    )
    assert copy.id == made.id


def test_a_clip_of_another_tempo_or_key_is_another_clip(library_generator):
    (made,) = make(library_generator, bars=1, bpm=120, key="C", seed=3)
    request = Generate("Sea Waves!", bars=1, bpm=120, key="C", seed=3)
    assert library_generator.find_existing(request).path == made.path
    for other in ({"bars": 0.5, "bpm": 60}, {"key": "F# minor"}, {"bars": None, "seconds": 2.0, "bpm": None}):
        assert library_generator.find_existing(replace(request, **other)) is None, other


@pytest.mark.parametrize("form", ["wav", "flac", "aiff"])
def test_each_format_holds_the_same_clip_and_is_found_again(library_generator, library, form):
    (plain,) = make(library_generator, seconds=0.5, seed=3)
    (made,) = make(library_generator, seconds=0.5, seed=3, format=form, again=True)
    assert made.path.suffix == f".{form}" and made.id == plain.id
    assert np.array_equal(read_clip(made.path).samples, read_clip(plain.path).samples)
    assert request_like(made.path)[0].format == form
    assert library_generator.find_existing(Generate("Sea Waves!", seconds=0.5, seed=3, format=form)).path == made.path
    assert library.scan().new == 0 and made.path in [entry.path for entry in library.newest(9).clips]


def test_a_lost_index_is_made_anew_from_all_formats(library_generator, tmp_path):
    paths = {make(library_generator, seconds=0.5, seed=3, format=form)[0].path for form in ("wav", "flac", "aiff")}
    other = Library(tmp_path / "clips", tmp_path / "other.sqlite3", trash_in(tmp_path))
    assert other.scan().new == 3
    assert {entry.path for entry in other.newest(9).clips} == paths
    other.close()
