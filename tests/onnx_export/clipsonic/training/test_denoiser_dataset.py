"""Examples for the denoiser: odds, canvases, alignment, and the same batches for the same random numbers."""

from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.clipsonic.training.denoiser import DenoiserTraining
from onnx_export.clipsonic.training.denoiser_dataset import (
    CANVASES,
    DenoiserDataset,
    InfiniteDataset,
    MelNormalisation,
    grain,
    saved_normalisation,
)
from onnx_export.training.checkpoint import Checkpoint
from plugin_server.audio.spectral import LOG_FLOOR, MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=4)
PLAIN = DenoiserTraining(tokens=60, condition_dropout=0, embedding_noise=0, cross_label_mix=0, mixup_probability=0)
ONE = MelNormalisation(np.zeros(4, np.float32), np.ones(4, np.float32))
EMBEDDINGS = {label: np.eye(1, 6, i, dtype=np.float32) for i, label in enumerate(("a", "b", "c"))}


def examples(labels, frames, training=PLAIN, split="train", mel=MEL, norm=ONE):
    sounds = [sound(label, number=i) for i, label in enumerate(labels)]
    conditioning = LabelConditioning(dataset(sounds, frames, mel), EMBEDDINGS)
    return DenoiserDataset(conditioning, norm, training, 4, split)


def test_the_odds_of_the_canvases_add_up():
    assert sum(canvas.odds for canvas in CANVASES) == pytest.approx(1)
    lengths = [canvas.seconds for canvas in CANVASES]
    assert lengths == sorted(lengths)


def test_a_label_is_drawn_in_its_length_to_the_power_of_three_tenths():
    odds = examples("aab", [86, 172, 86]).odds
    assert odds[0] * 2 == pytest.approx(odds[1])
    assert (odds[0] + odds[1]) / odds[2] == pytest.approx(3**0.3)


def test_a_sound_counts_for_at_most_ten_seconds():
    odds = examples("aa", [860, 8600]).odds
    assert odds[0] == pytest.approx(odds[1])


def test_lengths_follow_the_mel():
    """With half the frames a second, ten seconds have half the frames."""
    mel = MelSettings(n_mels=4, sample_rate=22_050, f_max_hz=11_025)
    slow = examples("aa", [430, 8600], mel=mel).odds
    assert slow[0] == pytest.approx(slow[1])


def test_mel_and_embedding_are_of_one_sound():
    """The mel of sound i is around -i, its label's embedding is the i-th axis."""
    data = examples("abc", [3000, 3000, 3000])
    rng = np.random.default_rng(1)
    for _ in range(8):
        mels, embeddings, seconds = data.draw(rng)
        for mel, embedding in zip(mels, embeddings, strict=True):
            assert round(float(-mel.mean())) == int(embedding.argmax())
        assert mels.shape[2] % 4 == 0
        assert float(seconds[0]) == pytest.approx(mels.shape[2] * MEL.hop / MEL.sample_rate)
        assert len(mels) == max(1, 60 // (mels.shape[2] // 4))


def test_clips_without_a_condition_and_of_other_splits_are_left_out():
    sounds = [sound("a"), sound("unknown", number=1), sound("b", "valid"), sound("c", "test")]
    conditioning = LabelConditioning(dataset(sounds, [9] * 4, MEL), EMBEDDINGS)
    assert [list(DenoiserDataset(conditioning, ONE, PLAIN, 4, s).indices) for s in ("train", "valid", "test")] == [
        [0],
        [2],
        [3],
    ]
    assert len(DenoiserDataset(conditioning, ONE, PLAIN, 4, "valid")) == 1


def test_a_short_sound_has_silence_around_it():
    data = examples("a", [20])
    floor = np.float32(np.log(LOG_FLOOR))
    rng = np.random.default_rng(0)
    canvases = [data._canvas(0, 400, rng) for _ in range(200)]
    silent = [(canvas == floor).all(axis=1) for canvas in canvases]
    once = [rows for rows in silent if (~rows).sum() == 20]
    # A one-shot is repeated with a probability of a quarter.
    assert 0.65 < len(once) / 200 < 0.85
    assert 0.6 < np.mean([not rows[0] for rows in once]) < 0.85


def test_a_longer_sound_is_cropped():
    data = examples("a", [500])
    crops = [data._canvas(0, 100, np.random.default_rng(seed)) for seed in range(40)]
    mel = data.dataset.mel(0).astype(np.float32)
    starts = [next(i for i in range(401) if np.array_equal(mel[i : i + 100], crop)) for crop in crops]
    assert starts.count(0) > 5 and len(set(starts)) > 15


def test_mixup_adds_power_and_embeddings():
    data = examples("ab", [3000, 3000], DenoiserTraining(tokens=60, condition_dropout=0, embedding_noise=0,
                                                          cross_label_mix=0, mixup_probability=1))  # fmt: skip
    mels, embeddings, _ = data.draw(np.random.default_rng(0))
    for mel, embedding in zip(mels, embeddings, strict=True):
        both = int((embedding > 0.1).sum()) == 2
        # Two sounds at 0 and -1 are together at 0.5 * ln(1 + e^-2); the same one twice is 0.35 louder.
        expected = 0.063 if both else 0.347 - int(embedding.argmax())
        assert float(mel.mean()) == pytest.approx(expected, abs=0.05)
        assert float(embedding.norm()) == pytest.approx(1, abs=1e-5)


def test_some_clips_have_no_condition():
    data = examples("a", [3000], DenoiserTraining(tokens=4000, condition_dropout=0.5, mixup_probability=0))
    _, embeddings, _ = data.draw(np.random.default_rng(0))
    lengths = embeddings.norm(dim=1)
    assert 0.3 < float((lengths == 0).float().mean()) < 0.7
    assert torch.allclose(lengths[lengths > 0], torch.ones(1), atol=1e-5)


def test_noise_keeps_embeddings_near():
    data = examples("a", [3000], DenoiserTraining(tokens=2000, condition_dropout=0, embedding_noise=0.6))
    cosines = data.draw(np.random.default_rng(0))[1][:, 0]
    assert 0.8 < float(cosines.min()) < 0.99 < float(cosines.max())


def test_the_same_random_numbers_give_the_same_batch():
    """The numbers are those of earlier versions, for the shipped mel."""
    data = examples("aab", [60, 300, 1000], DenoiserTraining(tokens=100, mixup_probability=0.3), mel=MEL)
    mels, embeddings, seconds = data.draw(np.random.default_rng(7))
    assert mels.shape == (1, 4, 252) and float(seconds[0]) == pytest.approx(2.925714)
    assert float(mels.sum()) == pytest.approx(-2021.8086, rel=1e-5)
    assert float(embeddings.abs().sum()) == pytest.approx(1.3327109, rel=1e-5)


def test_workers_draw_together_what_one_process_draws():
    data = examples("abc", [100, 200, 300])
    alone = list(islice(InfiniteDataset(data, seed=3), 6))
    later = list(islice(InfiniteDataset(data, seed=3, start=4), 2))
    together = list(islice(DataLoader(InfiniteDataset(data, seed=3), batch_size=None, num_workers=2), 6))
    for one, other in [*zip(alone, together, strict=True), *zip(alone[4:], later, strict=True)]:
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(alone[0][0], next(iter(InfiniteDataset(data, seed=4)))[0])


def test_normalisation_is_that_of_the_sounding_frames():
    sounds = dataset([sound("a"), sound("b", "test")], [400, 50], MEL)
    loud = np.tile(np.array([[1.0, 2, 3, 4], [3, 4, 5, 6]]), (200, 1)).astype(np.float16)
    # Every tenth frame is measured; here these alternate, but for silent ones.
    sounds.mels[:400] = np.repeat(loud[:40], 10, axis=0)
    sounds.mels[:100] = -11
    norm = MelNormalisation.measure(sounds)
    np.testing.assert_allclose(norm.mean, [2, 3, 4, 5])
    np.testing.assert_allclose(norm.std, [1, 1, 1, 1])


def test_grain_is_what_neighbours_do_not_tell():
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 4, 300)[:, None] + np.linspace(0, 3, 12)
    rough = smooth + 0.5 * rng.standard_normal(smooth.shape)
    inside = (slice(3, -3), slice(3, -3))
    assert np.abs(grain(smooth, np.zeros(12), np.ones(12))[inside]).max() < 1e-6
    # A number is a twenty-fifth of its own neighbourhood.
    assert grain(rough, np.zeros(12), np.ones(12))[inside].std() == pytest.approx(0.5 * (24 / 25) ** 0.5, rel=0.05)
    assert grain(rough, np.zeros(12), np.full(12, 2.0))[inside].std() == pytest.approx(0.25, rel=0.05)
    sounds = dataset([sound("a")], [400], MEL)
    norm = MelNormalisation.measure(sounds)
    # All that is there is grain, but for what falls into the mean of its neighbours.
    np.testing.assert_allclose(norm.grain, 0.9, atol=0.1)


@pytest.mark.parametrize("skip", [False, True])
def test_a_denoiser_carries_its_normalisation(tmp_path, skip):
    model = Denoiser(DenoiserSize(n_mels=4, n_embedding=6, width=8, depth=1, heads=2, skip=skip))
    norm = MelNormalisation(np.arange(4, dtype=np.float32), np.full(4, 2, np.float32), np.full(4, 0.1, np.float32))
    norm.store(model)
    Checkpoint(tmp_path / "d.pt", {"model": model}).save(1)
    saved = saved_normalisation(tmp_path / "d.pt")
    np.testing.assert_array_equal(saved.mean, norm.mean)
    np.testing.assert_array_equal(saved.std, norm.std)
    assert np.array_equal(saved.grain, norm.grain) if skip else saved.grain is None
    assert saved_normalisation(tmp_path / "none.pt") is None
