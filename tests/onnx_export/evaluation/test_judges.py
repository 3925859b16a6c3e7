"""The judges themselves: they must know good from bad before they judge a model."""

from dataclasses import replace

import numpy as np
import pytest

from onnx_export.data.sounds import split_of
from onnx_export.evaluation.clip_sets import corpus_clips
from onnx_export.evaluation.features import MelStatistics, stack_features
from onnx_export.evaluation.judges import (
    MIN_RECORDINGS,
    N_FOLDS,
    CaptionRegression,
    Judge,
    LabelClassifiers,
    Standardizer,
    evaluated_labels,
    fold_of,
)
from tests.support.corpus import EVALUATED_LABELS
from tests.support.toys import MEL as TOY_MEL

LABELS = EVALUATED_LABELS


@pytest.fixture(scope="module")
def classifiers(cache):
    """Classifiers over the toy corpus, with its training rows."""
    features = MelStatistics(TOY_MEL)
    train = cache.indices("train")
    rows = stack_features([cache.wave(i) for i in train], features.clip_features)
    return features, LabelClassifiers.train(rows, [cache.sounds[i] for i in train], steps=60), rows, train


def test_the_classifiers_know_recordings_they_were_not_trained_on(cache, classifiers):
    features, networks, _, _ = classifiers
    clips = corpus_clips(cache, cache.indices("test"))
    rows = stack_features([clip.wave for clip in clips], features.clip_features)
    ranks = networks.ranks(rows, [clip.label for clip in clips], [None] * len(clips))
    assert networks.labels == evaluated_labels(cache.sounds) == LABELS
    assert ranks.shape == (len(clips), N_FOLDS) and (ranks >= 0).all()
    assert (ranks == 0).mean() > 0.8


def test_a_training_recording_is_judged_by_who_was_not_trained_on_it(cache, classifiers):
    _, networks, rows, train = classifiers
    sounds = [cache.sounds[i] for i in train]
    ranks = networks.ranks(rows, [s.label for s in sounds], [s.recording_id for s in sounds])
    assert ((ranks >= 0).sum(axis=1) == 1).all()
    assert all(ranks[i, fold_of(s.recording_id)] >= 0 for i, s in enumerate(sounds))


def test_ranks_of_labels_are_those_of_the_scores():
    """Networks that give back their features: the rank is the number of larger ones."""
    import torch

    plain = Standardizer(np.zeros(3, np.float32), np.ones(3, np.float32))
    networks = LabelClassifiers(["a", "b", "c"], plain, {k: torch.nn.Identity() for k in range(N_FOLDS)})
    rows = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 5.0, 2.0]], np.float32)
    ranks = networks.ranks(rows, ["a", "c", "c"], [None] * 3)
    assert ranks.tolist() == [[0] * N_FOLDS, [2] * N_FOLDS, [1] * N_FOLDS]


def test_folds_are_about_as_large():
    counts = np.bincount([fold_of(f"recording-{i}") for i in range(4000)], minlength=N_FOLDS)
    assert len(counts) == N_FOLDS and counts.min() > 800


def test_training_is_the_same_each_time(cache, classifiers):
    _, networks, rows, train = classifiers
    sounds = [cache.sounds[i] for i in train]
    again = LabelClassifiers.train(rows, sounds, steps=60)
    labels, recordings = [s.label for s in sounds], [None] * len(sounds)
    np.testing.assert_array_equal(again.ranks(rows, labels, recordings), networks.ranks(rows, labels, recordings))


def test_features_are_standardised_and_limited():
    rows = np.random.default_rng(0).standard_normal((500, 4)) * [1, 2, 3, 4] + 7
    scaler = Standardizer.fit(rows)
    scaled = scaler.transform(rows)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=0.01)
    assert scaler.transform(np.full((1, 4), 1e6)).tolist() == [[6.0] * 4]


def test_a_label_needs_recordings_in_both_splits(cache):
    sounds = [sound for sound in cache.sounds if sound.label == "hum"]
    train = [s for s in sounds if split_of(s.recording_id) == "train"]
    test = [s for s in sounds if split_of(s.recording_id) == "test"]
    assert evaluated_labels([*train[:MIN_RECORDINGS], test[0]]) == ["hum"]
    assert evaluated_labels([*train[: MIN_RECORDINGS - 1], test[0]]) == []
    assert evaluated_labels(train) == []
    # Pieces of one recording count once.
    assert evaluated_labels([*train[:1] * 9, test[0]]) == []


def test_a_judge_knows_the_clips_of_its_labels(cache, judge):
    clips = corpus_clips(cache, cache.indices("test"))
    accuracy = judge.top_k_accuracy(judge.clip_features(clips), clips)
    assert np.mean(accuracy[1]) > 0.8 and accuracy[5] == [1.0] * len(clips)
    wrong = [replace(clip, label=LABELS[(LABELS.index(clip.label) + 1) % 3]) for clip in clips]
    assert np.mean(judge.top_k_accuracy(judge.clip_features(wrong), wrong)[1]) < 0.2


def test_sounds_lie_nearest_the_sentences_of_their_captions(cache, judge):
    clips = corpus_clips(cache, cache.indices("test"))
    rows = judge.classifiers.scaler.transform(judge.clip_features(clips))
    right = judge.captions.similarity(rows, [clip.prompt for clip in clips])
    wrong = judge.captions.similarity(rows, [f"some {LABELS[(LABELS.index(c.label) + 1) % 3]}" for c in clips])
    assert right.shape == (len(clips),) and np.abs(right).max() <= 1
    assert right.mean() > 0.8 > 0 > wrong.mean()


def test_a_caption_regression_of_a_linear_map_gives_its_directions_back():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, 3))
    target = rows @ np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    regression = CaptionRegression.fit(rows, list(range(len(rows))), lambda indices: target[list(indices)] + 5)
    np.testing.assert_allclose(regression.mean, target.mean(axis=0) + 5)
    # The ridge takes a twentieth away.
    np.testing.assert_allclose(regression.weights[:3], [[20 / 21, 0], [0, 40 / 21], [0, 0]], atol=0.02)
    assert regression.similarity(rows[:50], list(range(50))).min() > 0.99


def test_without_a_sentence_encoder_there_is_no_regression(cache):
    judge = Judge.train(MelStatistics(TOY_MEL), cache, LABELS, None)
    assert judge.captions is None


def test_points_and_windows_have_as_many_numbers_as_components(cache, judge):
    clips = corpus_clips(cache, cache.indices("test")[:3])
    points = judge.project(judge.clip_features(clips))
    assert points.shape == (3, judge.training_points.shape[1])
    windows = judge.window_points(clips)
    assert len(windows) == 3 and all(part.shape[1] == judge.window_components.axes.shape[1] for part in windows)


def test_clips_of_one_sound_differ_less_than_those_of_many(cache, judge):
    by_label = [corpus_clips(cache, [i, i + 3, i + 6]) for i in range(3)]
    mixed = [corpus_clips(cache, [i, i + 1, i + 2]) for i in (0, 9, 18)]
    copies = [[group[0]] * 2 for group in by_label]
    diversity = judge.diversity({"recordings": by_label, "mixed": mixed, "copies": copies, "none": []})
    assert set(diversity) == {"recordings", "mixed", "copies"}
    assert diversity["recordings"].mean == pytest.approx(1)
    assert diversity["mixed"].mean > 1 > diversity["copies"].mean == pytest.approx(0, abs=1e-6)
