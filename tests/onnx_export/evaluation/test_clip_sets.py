"""Sets of clips: where they come from, and that each keeps the label and the prompt it stands for."""

from collections import Counter

import numpy as np
import pytest

from onnx_export.data.sounds import normalise_level, split_of
from onnx_export.evaluation.clip_sets import (
    CLIP_SECONDS,
    MAX_PER_LABEL,
    CaptionSearch,
    EvalClip,
    corpus_clips,
    generate,
    generated_for,
    generated_from_prompts,
    matching_length,
    read_paraphrases,
    resynthesised,
    same_label_clips,
    select_test_clips,
    white_noise_for,
)
from onnx_export.evaluation.judges import evaluated_labels
from tests.support.toys import MEL

RATE = MEL.sample_rate


@pytest.fixture(scope="module")
def real(cache):
    return corpus_clips(cache, select_test_clips(cache, evaluated_labels(cache.sounds)))


def loud_rms(wave):
    """The level that `normalise_level` sets, of noise that is as loud everywhere."""
    return float(np.sqrt((wave**2).mean()))


def test_paraphrases_are_none_of_the_labels():
    pairs = read_paraphrases()
    assert len(pairs) >= 170
    assert len({prompt for prompt, _ in pairs}) == len(pairs)
    assert not {prompt for prompt, _ in pairs} & {label for _, label in pairs}


def test_corpus_clips_carry_their_rows_of_the_catalogue(cache):
    (clip,) = corpus_clips(cache, [4])
    sound = cache.sounds[4]
    assert (clip.label, clip.prompt, clip.category, clip.recording_id) == (
        sound.label,
        sound.caption,
        sound.category,
        sound.recording_id,
    )
    np.testing.assert_array_equal(clip.wave, cache.wave(4))


def test_test_clips_are_few_of_each_label(cache):
    indices = select_test_clips(cache, ["hum", "rain"])
    count = Counter(cache.sounds[i].label for i in indices)
    assert set(count) == {"hum", "rain"} and max(count.values()) <= MAX_PER_LABEL
    assert all(split_of(cache.sounds[i].recording_id) == "test" for i in indices)


def test_same_label_clips_come_from_training_recordings(cache, real):
    same = same_label_clips(cache, real)
    assert [clip.label for clip in same] == [clip.label for clip in real]
    assert all(split_of(clip.recording_id) == "train" for clip in same)
    assert all(split_of(clip.recording_id) == "test" for clip in real)


def test_same_label_clips_repeat_only_when_all_are_used(cache, real):
    n_hums = sum(cache.sounds[i].label == "hum" for i in cache.indices("train"))
    hum = next(clip for clip in real if clip.label == "hum")
    recordings = [clip.recording_id for clip in same_label_clips(cache, [hum] * (n_hums + 1))]
    assert len(set(recordings[:n_hums])) == n_hums and recordings[n_hums] in recordings[:n_hums]


def test_a_search_finds_captions_and_keeps_what_was_searched_for(cache):
    def embed(texts):
        return np.array([[text.endswith("rain"), text.endswith("hum"), 0.1] for text in texts], np.float32)

    ((one, two),) = CaptionSearch(cache, embed).search([("a humming hum", "hum")], 2)
    assert (one.prompt, one.label) == ("a humming hum", "hum")
    assert {one.category, two.category} == {"hum"}
    assert one.recording_id != two.recording_id
    assert {split_of(clip.recording_id) for clip in (one, two)} == {"train"}


def test_a_generated_clip_has_no_recording():
    clip = EvalClip(np.zeros(3), "hum", "a hum", "motors", "r1")
    generated = clip.with_wave(np.ones(5))
    assert (generated.label, generated.prompt, generated.category) == ("hum", "a hum", "motors")
    assert generated.recording_id is None and len(generated.wave) == 5


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 0.25), (2.0, 2.0), (25.0, 10.0)])
def test_lengths_are_those_of_recordings_within_what_the_model_makes(toy_model, seconds, expected):
    assert matching_length(toy_model, np.zeros(round(seconds * RATE))) == expected


def test_generated_clips_are_as_long_and_as_loud_as_asked(toy_model):
    wave = generate(toy_model, "hum", 1.5, 3)
    assert len(wave) == 1.5 * RATE and wave.dtype == np.float32
    np.testing.assert_allclose(normalise_level(wave, RATE), wave, atol=1e-5)
    np.testing.assert_array_equal(wave, generate(toy_model, "hum", 1.5, 3))
    assert not np.array_equal(wave, generate(toy_model, "hum", 1.5, 4))
    assert not np.array_equal(wave, generate(toy_model, "rain", 1.5, 3))


def test_clips_are_generated_for_recordings_one_by_one(toy_model, real):
    clips = generated_for(toy_model, real[:2])
    assert [clip.label for clip in clips] == [clip.label for clip in real[:2]]
    assert [len(clip.wave) for clip in clips] == [len(clip.wave) for clip in real[:2]]
    np.testing.assert_array_equal(clips[1].wave, generate(toy_model, real[1].prompt, 1.0, 1))


def test_takes_of_a_prompt_differ_by_their_seeds(toy_model):
    ((one, two),) = generated_from_prompts(toy_model, [("a hum", "hum")], 2)
    assert (one.label, one.prompt, one.category) == ("hum", "a hum", "")
    assert len(one.wave) == CLIP_SECONDS * RATE
    np.testing.assert_array_equal(one.wave, generate(toy_model, "a hum", CLIP_SECONDS, 100))
    assert not np.array_equal(one.wave, two.wave)


def test_resynthesised_clips_keep_length_and_recording(toy_model, real):
    copies = resynthesised(toy_model, real[:2])
    for copy, clip in zip(copies, real[:2], strict=True):
        assert len(copy.wave) <= len(clip.wave) and len(copy.wave) > len(clip.wave) - 2 * MEL.hop
        assert (copy.recording_id, copy.label) == (clip.recording_id, clip.label)


def test_noise_is_as_long_as_the_clips_and_at_the_corpus_level(real):
    noise = white_noise_for(real, RATE)
    assert [len(clip.wave) for clip in noise] == [len(clip.wave) for clip in real]
    assert all(clip.recording_id is None for clip in noise)
    assert loud_rms(noise[0].wave) == pytest.approx(0.08, rel=0.1)
    assert not np.array_equal(noise[0].wave, noise[1].wave)
