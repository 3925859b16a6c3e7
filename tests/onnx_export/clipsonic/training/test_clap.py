"""Batches and losses of the contrastive model, against arithmetic."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.training.clap import ClapPairs, ClapTraining, contrastive_loss, crop
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=4)


def test_the_loss_of_orthogonal_pairs():
    """Two pairs that agree, at temperature 1: ln(1 + 1/e) each way."""
    unit = torch.eye(2)
    expected = 2 * float(torch.log1p(torch.exp(torch.tensor(-1.0))))
    assert float(contrastive_loss(unit, unit, torch.eye(2) > 0, 1.0)) == pytest.approx(expected, rel=1e-5)
    assert float(contrastive_loss(unit, unit.flip(0), torch.eye(2) > 0, 1.0)) == pytest.approx(expected + 2, rel=1e-5)


def test_pairs_of_one_label_are_all_right():
    twins = torch.eye(1, 4).repeat(2, 1)
    same = torch.ones(2, 2) > 0
    # Each row's probabilities are a half and a half, whatever the temperature.
    assert float(contrastive_loss(twins, twins, same, 12.0)) == pytest.approx(2 * np.log(2), rel=1e-5)


def test_crops_are_normalised_and_filled_with_silence():
    mel = np.full((10, 4), -7.0, np.float16)
    part = crop(mel, 16, np.random.default_rng(0))
    assert part.shape == (4, 16) and part.dtype == np.float32
    np.testing.assert_allclose(part[:, :10], 5 / 3, rtol=1e-6)
    np.testing.assert_allclose(part[:, 10:], -3)


def test_the_crop_follows_the_mel():
    def frames(mel):
        words = LabelConditioning(dataset([sound("a")], [9], mel), {"a": np.eye(1, 3, dtype=np.float32)})
        return ClapPairs(words, ClapTraining()).frames

    assert frames(MelSettings()) == 216
    assert frames(MelSettings(sample_rate=22_050, f_max_hz=11_025)) == 108


def test_pairs_are_of_one_sound_and_rare_labels_are_drawn_more():
    sounds = [sound("a", number=i) for i in range(4)] + [sound("b", number=4), sound("b", "valid")]
    words = LabelConditioning(dataset(sounds, [20] * 6, MEL), {x: np.eye(1, 3, i) for i, x in enumerate("ab")})
    pairs = ClapPairs(words, ClapTraining(batch=500, crop_s=0.1))
    # Four sounds of one label and one of the other: in the roots of these numbers.
    np.testing.assert_allclose(pairs.odds, np.array([0.5, 0.5, 0.5, 0.5, 1.0]) / 3)
    embeddings, mels, label_ids = pairs.draw(np.random.default_rng(0))
    assert torch.equal(embeddings.argmax(dim=1), label_ids) and mels.shape == (500, 4, 9)
    assert float((label_ids == 1).float().mean()) == pytest.approx(1 / 3, abs=0.06)
    assert len(ClapPairs(words, ClapTraining(), "valid")) == 1 and len(ClapPairs(words, ClapTraining(), "test")) == 0
