"""Batches of the prior and of the text tower, and their losses."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize
from onnx_export.clipsonic.training.prior import EmbeddingPairs, PriorTraining, augment_words
from onnx_export.clipsonic.training.text_tower import (
    DistillationBatches,
    DistillationSet,
    TextTraining,
    distillation_losses,
)

PAIRS = EmbeddingPairs(
    [np.eye(1, 6, dtype=np.float32), np.eye(1, 6, 1, dtype=np.float32)],
    [np.eye(2, 6, 2, dtype=np.float32), np.eye(2, 6, 4, dtype=np.float32)],
    np.array([0.25, 0.75]),
)


def test_words_are_drawn_with_pictures_of_their_group():
    words, pictures = PAIRS.draw(800, np.random.default_rng(0))
    groups = words.argmax(axis=1)
    assert set(pictures[groups == 0].argmax(axis=1)) == {2, 3} and set(pictures[groups == 1].argmax(axis=1)) == {4, 5}
    assert groups.mean() == pytest.approx(0.75, abs=0.05)


def test_statistics_are_those_of_the_pictures():
    mean, std = PAIRS.statistics()
    np.testing.assert_allclose(mean, [0, 0, 0.25, 0.25, 0.25, 0.25])
    np.testing.assert_allclose(std[:2], 0)
    np.testing.assert_allclose(std[2:], np.sqrt(0.25 * 0.75), rtol=1e-6)


def test_words_are_moved_a_little_and_sometimes_left_out():
    words = np.tile(np.eye(1, 6, dtype=np.float32), (3000, 1))
    moved = augment_words(words, PriorTraining(condition_dropout=0.1, embedding_noise=0.3), np.random.default_rng(0))
    lengths = np.linalg.norm(moved, axis=1)
    assert (lengths == 0).mean() == pytest.approx(0.1, abs=0.02)
    kept = moved[lengths > 0]
    np.testing.assert_allclose(lengths[lengths > 0], 1, rtol=1e-5)
    # At most the angle whose sine is 0.3.
    assert np.sqrt(1 - 0.09) - 1e-3 < kept[:, 0].min() < 0.97
    still = augment_words(words, PriorTraining(condition_dropout=0, embedding_noise=0), np.random.default_rng(0))
    np.testing.assert_allclose(still, words)


@pytest.fixture(scope="module")
def sets():
    # The tower declares operators that open_clip's import needs.
    TextTower(TextTowerSize(width=8, heads=1, layers=1, n_embedding=4))
    long = "a very long text about a big machine that hums and clicks and rattles the whole day " * 3
    short = DistillationSet(["hum", "a hiss", long], np.eye(3, 4, dtype=np.float32), 0.75)
    return [short, DistillationSet(["bang bang bang bang bang bang bang"], np.eye(1, 4, 3, dtype=np.float32), 0.25)]


def test_batches_have_their_shares_and_no_text_that_is_too_long(sets):
    batches = DistillationBatches(sets, TextTraining(batch=40), 77)
    rng = np.random.default_rng(0)
    for _ in range(12):
        ids, vectors = batches.draw(rng)
        counts = np.bincount(vectors.argmax(dim=1), minlength=4)
        # Seven words and two marks do not fit into the eight tokens of the first level.
        assert list(counts[2:]) in ([0, 10], [0, 0]) and counts[:2].sum() == 30
        assert ids.shape[1] == int((ids != 0).sum(dim=1).max()) and ids.dtype == torch.int64


def test_the_losses_of_the_distillation():
    targets = torch.eye(2, 4)
    assert [float(loss) for loss in distillation_losses(targets, targets)] == [0, 0]
    distance, similarity = distillation_losses(targets[:1].repeat(2, 1), targets)
    # One of two is right; two of four cosines are 1 in place of 0.
    assert float(distance) == 0.5 and float(similarity) == 0.5
