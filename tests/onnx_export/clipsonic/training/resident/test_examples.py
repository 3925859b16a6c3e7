"""Batches on the device: sound and words together, mixtures, colours, and nothing that leaves the device."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training import denoiser
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.clipsonic.training.denoiser import Augmentation, Autoguidance, DenoiserTraining, flow_loss
from onnx_export.clipsonic.training.denoiser_dataset import MelNormalisation
from onnx_export.clipsonic.training.resident.examples import ResidentExamples
from onnx_export.clipsonic.training.resident.guidance import Autoguide, with_guidance
from onnx_export.clipsonic.training.resident.mel_table import build_mel_table
from onnx_export.training.ema import EMA
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=4)
CPU = torch.device("cpu")
PLAIN = {"condition_dropout": 0, "embedding_noise": 0, "cross_label_mix": 0, "mixup_probability": 0}
ONE = MelNormalisation(np.zeros(4, np.float32), np.ones(4, np.float32))
SOUNDS = dataset([sound("abc"[i], number=i) for i in range(3)], [3000, 3000, 3000], MEL)
EMBEDDINGS = {label: np.eye(1, 6, i, dtype=np.float32) for i, label in enumerate("abc")}


def examples(augmentation=None, device=CPU, **changes):
    training = DenoiserTraining(tokens=600, augmentation=augmentation or Augmentation(), **PLAIN | changes)
    table = build_mel_table(SOUNDS, training.augmentation.length_percent, device)
    return ResidentExamples(LabelConditioning(SOUNDS, EMBEDDINGS), ONE, training, 2, table)


def test_mel_and_embedding_are_of_one_sound():
    """The mel of sound i is around -i, its label's embedding is the i-th axis."""
    data, rng = examples(), np.random.default_rng(1)
    torch.manual_seed(0)
    seen = set()
    for _ in range(6):
        batch = data.draw(rng)
        n, n_mels, frames = batch.clean.shape
        assert (n_mels, frames % 2) == (4, 0) and n == max(1, 600 // (frames // 2))
        assert float(batch.seconds[0]) == pytest.approx(frames * MEL.hop / MEL.sample_rate)
        for mel, embedding in zip(batch.clean, batch.embedding, strict=True):
            assert round(float(-mel.mean())) == int(embedding.argmax())
            seen.add(int(embedding.argmax()))
    assert seen == {0, 1, 2}


def test_mixup_adds_power_and_embeddings():
    torch.manual_seed(0)
    batch = examples(mixup_probability=1).draw(np.random.default_rng(0))
    for mel, embedding in zip(batch.clean, batch.embedding, strict=True):
        levels = [-float(i) for i in range(3) if embedding[i] > 0.1]
        levels = levels if len(levels) == 2 else levels * 2
        assert float(mel.mean()) == pytest.approx(0.5 * np.logaddexp(2 * levels[0], 2 * levels[1]), abs=0.05)
        assert float(embedding.norm()) == pytest.approx(1, abs=1e-5)


def test_an_equaliser_changes_bands_smoothly_and_by_its_deviation():
    data = examples(Augmentation(equaliser_db=3.0))
    torch.manual_seed(0)
    changed = data._equalise(torch.zeros(4000, 2, 4)) * 20 / np.log(10)
    assert float(changed.square().mean().sqrt()) == pytest.approx(3.0, rel=0.1)
    assert torch.equal(changed[:, 0], changed[:, 1])
    silent = torch.full((50, 2, 4), float(np.log(1e-5)))
    assert torch.equal(data._equalise(silent), silent)


def test_conditions_are_moved_and_left_out():
    data = examples(condition_dropout=0.5, embedding_noise=0.6)
    torch.manual_seed(0)
    moved = data._move(torch.eye(6)[torch.zeros(2000, dtype=torch.long)])
    lengths = moved.norm(dim=1)
    assert float((lengths == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    cosines = moved[lengths > 0][:, 0]
    assert 0.78 < float(cosines.min()) < 0.99 < float(cosines.max())


def test_a_step_on_another_device_mixes_no_tensors_and_waits_for_no_number(monkeypatch):
    """Tensors of a device that does not exist have shapes alone: reading one, or adding one from here, is an error."""
    monkeypatch.setattr(denoiser, "precision", lambda device: nullcontext())
    monkeypatch.setattr(torch, "from_numpy", lambda a: torch.empty(a.shape, dtype=getattr(torch, str(a.dtype))))
    with FakeTensorMode(allow_non_fake_inputs=True):
        device = torch.device("lazy")
        data = examples(Augmentation((90,), 0.5, 2.0, 1.0, 0.1), device, mixup_probability=0.3)
        with device:
            model, teacher = (Denoiser(DenoiserSize(4, 6, 2, 16, 1, 2, skip=True)) for _ in range(2))
        rng, ema = np.random.default_rng(0), EMA(model)
        for guide in (None, Autoguide(teacher, teacher, Autoguidance())):
            batch = data.draw(rng)
            loss = flow_loss(model, with_guidance(batch, 3.0), data.training, guide)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            ema.update(model)
            assert {x.device.type for x in (batch.clean, batch.embedding, loss, norm)} == {"lazy"}
