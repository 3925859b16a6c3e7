from dataclasses import replace

import numpy as np
import pytest
import torch

from onnx_export.clipsep.mixtures import (
    EmbeddingTable,
    MixtureSampler,
    MixtureTraining,
    SeparationData,
    halved,
    loud_rms,
)
from onnx_export.clipsep.spectrum import StftSettings

CPU = torch.device("cpu")
TRAINING = MixtureTraining(batch=6, frames=64)


def sampler(tones, words, training=TRAINING, pictures=None) -> MixtureSampler:
    return MixtureSampler(SeparationData(tones, words, pictures), training, StftSettings(), CPU)


def test_two_sources_make_the_mixture(tones, words):
    batch = sampler(tones, words, replace(TRAINING, third=0.0)).draw()
    torch.testing.assert_close(batch.targets[:, :2].sum(dim=1), batch.mixture)


def test_a_third_source_is_in_the_mixture_and_in_the_rest_alone(tones, words):
    batch = sampler(tones, words, replace(TRAINING, third=1.0, absent=0.0)).draw()
    assert (batch.targets[:, :2].sum(dim=1) - batch.mixture).abs().amax(dim=(1, 2)).min() > 1
    torch.testing.assert_close(batch.targets[:, 0] + batch.targets[:, 2], batch.mixture)
    assert not batch.named[:, 2].any() and not batch.queries[:, 2].any() and batch.present.all()


def test_a_sound_that_is_absent_is_asked_for_and_silent(tones, words):
    batch = sampler(tones, words, replace(TRAINING, absent=1.0)).draw()
    assert batch.named.all() and not batch.present[:, 2].any() and not batch.targets[:, 2].abs().any()
    assert all(row[2] not in row[:2] for row in batch.labels.tolist())


def test_labels_that_mean_the_same_are_not_mixed(tones, words):
    twins = words | {"horn": words["drum"]}
    for _ in range(5):
        for first, second, _ in sampler(tones, twins).draw().labels.tolist():
            assert first != second and {first, second} != {1, 2}


def test_queries_are_unit_vectors_near_their_label(tones, words):
    draws = sampler(tones, words, replace(TRAINING, query_noise=0.1))
    labels = torch.arange(5).repeat(10)
    queries = draws.queries(labels)
    torch.testing.assert_close(queries.norm(dim=1), torch.ones(50))
    assert (queries[:, :5].argmax(dim=1) == labels).all()


def test_pictures_ask_where_a_label_has_some(tones, words):
    pictures = {"bell": np.eye(8)[[7]].astype(np.float32)}
    draws = sampler(tones, words, replace(TRAINING, pictures=1.0, query_noise=0.0), pictures)
    queries = draws.queries(torch.tensor([0, 1]))
    assert queries[0, 7] == 1 and queries[1].argmax() == 1


def test_a_seed_gives_the_same_mixtures(tones, words):
    draws = sampler(tones, words)
    torch.manual_seed(3)
    first = draws.draw()
    torch.manual_seed(3)
    assert torch.equal(first.mixture, draws.draw().mixture)


def test_a_short_sound_is_struck_again(tones, words):
    draws = sampler(tones, words, replace(TRAINING, frames=516, speed=0.0))
    power = draws._crops(torch.zeros(8, dtype=torch.long)).square()
    assert power.unflatten(1, (2, -1)).mean(dim=2).min() > 1e-3
    assert power.unflatten(1, (-1, 1032)).mean(dim=2).amin(dim=1).max() == 0


def test_sources_keep_their_pitch(tones, words):
    draws = sampler(tones, words, replace(TRAINING, speed=0.0, room=0.0, equalised=0.0))
    spectra = draws._sources(torch.arange(5))
    peaks = spectra.abs().square().mean(dim=2).argmax(dim=1) * 22_050 / 1024
    np.testing.assert_allclose(peaks, 300 * np.arange(1, 6), atol=22)


def test_half_the_rate_keeps_low_sounds_and_drops_high_ones():
    times = np.arange(44_100) / 44_100
    low, high = ((9000 * np.sin(2 * np.pi * f * times)).astype(np.int16) for f in (1000, 15_000))
    kept, dropped = (halved(x, 2, CPU).float()[100:-100] for x in (low, high))
    assert len(halved(low, 2, CPU)) == 22_050
    assert kept.abs().max() == pytest.approx(9000, rel=0.01) and dropped.abs().max() < 30


def test_level_is_that_of_the_louder_half():
    samples = torch.zeros(1, 22_050)
    samples[:, 441 * 24 :] = 0.5
    assert loud_rms(samples, 22_050).item() == pytest.approx(0.5, rel=0.02)


def test_too_few_labels_are_refused(tones, words):
    with pytest.raises(ValueError, match="'train' has 2 labels"):
        sampler(tones, {label: words[label] for label in ("bell", "drum")})


def test_a_label_without_embeddings_draws_some_row():
    table = EmbeddingTable({"a": np.ones((2, 3), np.float32)}, ["a", "b"], CPU)
    assert table.draw(torch.tensor([0, 1])).shape == (2, 3)
