import re
import wave

import numpy as np
import pytest
import soundfile
from PIL import Image

from plugin_server.audio.finish import FinishSettings, true_peak_db
from plugin_server.audio.formats.files import read_clip, read_recipe
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadArgument, BadFile, Cancelled, FolderNotWritable, NothingToUndo, UnknownModel
from plugin_server.studio.generator import ClipGenerator, GeneratorSettings, check_folder
from plugin_server.studio.image_fingerprints import fingerprint
from plugin_server.studio.requests import Generate, RenderBank, RenderSlot
from tests.support.clips import ignore, make


@pytest.mark.parametrize("seconds", [0.25, 1.0, 1.2345])
def test_a_clip_has_exactly_the_length_and_format_asked_for(generator, seconds):
    (clip,) = make(generator, seconds=seconds, seed=42)
    with wave.open(str(clip.path)) as file:
        assert (file.getnframes(), file.getframerate()) == (round(seconds * 48000), 48000)
        assert (file.getsampwidth(), file.getnchannels()) == (3, 1)


def test_level_and_ends_are_as_promised(generator):
    (made,) = make(generator, seconds=2)
    clip = read_clip(made.path)
    assert true_peak_db(clip) < -1
    assert np.abs(clip.samples).max() > 0.05
    assert clip.samples[0, 0] == clip.samples[-1, 0] == 0
    assert abs(clip.samples.mean()) < 1e-4


def test_names_are_readable_and_never_taken_twice(generator):
    first = make(generator, seconds=1, seed=42)[0].path.name
    second = make(generator, seconds=1, seed=42)[0].path.name
    assert (first, second) == ("sea-waves_1s_s42_t1.wav", "sea-waves_1s_s42_t1_2.wav")


def test_takes_have_seeds_of_their_own_and_are_announced_one_by_one(generator):
    clips, seen = [], []

    def on_clip(clip):
        clips.append(clip)
        seen.append(len(list(clip.path.parent.glob("*.wav"))))

    generator.run(Generate("rain", seconds=0.5, seed=7, variations=3), ignore, on_clip)
    assert [(clip.take, clip.seed) for clip in clips] == [(1, 7), (2, 8), (3, 9)]
    assert seen == [1, 2, 3]
    assert len({clip.id for clip in clips}) == 3


def test_progress_of_all_takes_rises_to_one(generator):
    reports = []
    generator.run(
        Generate("rain", seconds=0.5, variations=2), lambda fraction, _: reports.append(fraction), lambda _: None
    )
    assert reports == sorted(reports)
    assert reports[-1] == 1


def test_a_seed_that_was_drawn_is_in_the_file(generator):
    (clip,) = make(generator, seconds=0.5)
    assert read_recipe(clip.path)["seed"] == clip.seed
    assert re.search(rf"_s{clip.seed}_", clip.path.name)
    with soundfile.SoundFile(clip.path) as file:
        assert file.title == "Sea Waves!"


def test_what_the_model_cannot_make_is_refused_before_it_runs(generator):
    with pytest.raises(BadArgument, match=r"seconds: got 31, expected 0\.25 to 30 s for toy"):
        make(generator, seconds=31)
    with pytest.raises(UnknownModel, match="moon"):
        make(generator, model="moon")
    assert not generator.settings.folder.exists()


def test_a_cancelled_request_leaves_no_file(generator):
    def refuse(fraction, _stage):
        if fraction > 0.5:
            raise Cancelled("no")

    with pytest.raises(Cancelled):
        generator.run(Generate("rain", seconds=1), refuse, lambda _: None)
    assert list(generator.settings.folder.iterdir()) == []


def test_a_clip_is_in_the_library_before_it_is_announced(engine, toys, tmp_path, library):
    generator = ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 16, FinishSettings()), BundleRegistry((toys,)), engine, library
    )
    found = []
    generator.run(
        Generate("rain", 0.25, variations=2), ignore, lambda clip: found.append((clip, library.find(clip.id)))
    )
    assert [entry.path for _, entry in found] == [clip.path for clip, _ in found]
    # Samples of 16 bits have another fingerprint: the recipe keeps the id.
    assert [entry.id for entry in library.newest(5).clips] == [clip.id for clip, _ in reversed(found)]
    assert len(library.undo().clips) == 2


def test_a_clip_that_was_cancelled_at_the_last_moment_is_not_in_the_library(engine, toys, tmp_path, library):
    generator = ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 24, FinishSettings()), BundleRegistry((toys,)), engine, library
    )

    def refuse(_clip):
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        generator.run(Generate("rain", 0.25), ignore, refuse)
    assert library.newest(5).total == 0
    with pytest.raises(NothingToUndo):
        library.undo()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="file"):
        check_folder(tmp_path / "file" / "below")


def test_a_clip_that_is_cancelled_while_it_is_written_leaves_no_file(generator):
    written = []

    def refuse(clip):
        written.append(clip.path.is_file())
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        generator.run(Generate("rain", seconds=0.25), ignore, refuse)
    assert written == [True]
    assert list(generator.settings.folder.iterdir()) == []
    assert generator.n_clips == 0


def render(generator, bank):
    """What is made of a bank, part by part, and the progress."""
    clips, reports, remaining = [], [], bank
    while remaining:
        remaining = generator.run(remaining, lambda fraction, stage: reports.append((fraction, stage)), clips.append)
    return clips, reports


def test_of_a_bank_only_what_is_missing_is_made(library_generator):
    slots = tuple(
        Generate(prompt, seconds=0.5, seed=i, name=prompt) for i, prompt in enumerate(("rain", "sea", "fire"))
    )
    make(library_generator, prompt="sea", seconds=0.5, seed=1)
    clips, reports = render(library_generator, RenderBank("mine", slots))
    assert [clip.seed for clip in clips] == [0, 2]
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert "sea: is there" in [stage for _, stage in reports]
    assert render(library_generator, RenderBank("mine", slots))[0] == []


def test_a_slot_that_is_fired_is_made_once(library_generator):
    slot = RenderSlot("mine", 2, Generate("rain", seconds=0.5, seed=9), "f1")
    first, second = [], []
    library_generator.run(slot, ignore, first.append)
    library_generator.run(slot, ignore, second.append)
    assert [clip.path for clip in first] == [clip.path for clip in second]


@pytest.mark.parametrize(
    ("bars", "bpm", "rate"),
    [(2, 128, 48000), (1, 93.7, 44100), (0.75, 140, 48000), (4, 174, 44100), (0.25, 120, 48000)],
)
def test_bars_have_exactly_their_samples_and_a_closed_seam(engine, toys, tmp_path, bars, bpm, rate):
    generator = ClipGenerator(
        GeneratorSettings(tmp_path, "toy", 24, FinishSettings(sample_rate=rate)), BundleRegistry((toys,)), engine
    )
    (made,) = make(generator, bars=bars, bpm=bpm, seed=5)
    clip = read_clip(made.path)
    assert (clip.n_frames, clip.sample_rate) == (round(bars * 240 / bpm * rate), rate)
    steps = np.abs(np.diff(clip.samples[:, 0]))
    assert abs(clip.samples[0, 0] - clip.samples[-1, 0]) <= steps.max()
    bends = np.abs(np.diff(clip.samples[:, 0], 2))
    around = np.concatenate([clip.samples[-2:, 0], clip.samples[:2, 0]])
    assert np.abs(np.diff(around, 2)).max() <= bends.max()


def test_a_missing_image_is_refused_before_the_model_is_asked(generator, red, monkeypatch):
    red.unlink()
    monkeypatch.setattr(generator, "_engine", None)
    with pytest.raises(BadFile, match=r"image: .*my red\.png is not there"):
        make(generator, prompt="", images=(str(red),))


def test_all_takes_are_of_the_picture_as_it_was(generator, red):
    """Its fingerprint is that of what was asked for, whatever becomes of the file meanwhile."""
    expected, recipes = fingerprint(red), []

    def change(clip):
        recipes.append(read_recipe(clip.path))
        Image.new("RGB", (30, 20), "blue").save(red)

    generator.run(Generate(images=(str(red),), seconds=0.25, seed=5, variations=2), ignore, change)
    assert [recipe["fingerprints"] for recipe in recipes] == [[expected]] * 2
    assert [(recipe["seed"], recipe["take"]) for recipe in recipes] == [(5, 1), (6, 2)]


def test_a_model_is_asked_only_for_what_it_can(generator, red):
    with pytest.raises(BadArgument, match="image: got 1, but slow-toy takes words only"):
        make(generator, images=(str(red),), model="slow-toy")
    with pytest.raises(BadArgument, match="via: got sd, expected one of text, pd for toy"):
        make(generator, conditioning="sd")
