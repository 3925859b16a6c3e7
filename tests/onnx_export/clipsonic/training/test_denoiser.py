"""The denoiser's loss against arithmetic, distilled guidance, and runs that stop."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.models.denoiser import DenoiserSize
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.clipsonic.training.denoiser import (
    Batch,
    DenoiserTraining,
    draw_guidance,
    flow_loss,
    guidance_shift,
    noise_levels,
    train_denoiser,
)
from onnx_export.training.metrics import metrics_path
from onnx_export.training.run import Intervals, TrainingRun
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

CPU = torch.device("cpu")
TRAINING = DenoiserTraining(steps=4, tokens=40, guidance_distillation_from=2)
SIZE = DenoiserSize(n_mels=4, n_embedding=6, width=8, depth=1, heads=2)


def batch(n=6, guidance=1.0, clean=0.0):
    embedding = torch.nn.functional.normalize(torch.ones(n, 6), dim=1)
    return Batch(torch.full((n, 4, 8), clean), embedding, torch.ones(n), torch.full((n,), guidance))


def test_the_loss_of_a_known_estimate():
    """An estimate that is wrong by 3 everywhere costs 9 / sigma², bounded below min_sigma."""
    training = DenoiserTraining(noise_width=1e-6, noise_centre=0.0, low_noise_share=0.0)
    loss = flow_loss(lambda noised, *_: torch.full_like(noised, 3.0), batch(), training)
    # All levels are at the middle, 0.5, which is the least that divides.
    assert float(loss) == pytest.approx(9 / 0.25, rel=1e-4)
    assert float(flow_loss(lambda noised, *_: torch.zeros_like(noised), batch(), training)) == 0
    lower = flow_loss(lambda noised, *_: torch.full_like(noised, 3.0), batch(), replace(training, noise_centre=-4.0))
    assert float(lower) == pytest.approx(9 / 0.25, rel=1e-4)


def test_the_network_is_given_the_noised_mel():
    seen = []

    def network(noised, sigma, *_conditions):
        seen.append((noised, sigma))
        return noised

    torch.manual_seed(0)
    flow_loss(network, batch(n=400, clean=2.0), DenoiserTraining())
    noised, sigma = seen[0]
    # (1 - sigma) * 2 + sigma * noise
    torch.testing.assert_close(noised.mean(dim=(1, 2)), 2 * (1 - sigma), atol=0.7, rtol=0)
    assert float((noised.std(dim=(1, 2)) / sigma).mean()) == pytest.approx(1, abs=0.05)


def test_noise_levels_cover_the_logit_normal():
    torch.manual_seed(0)
    one = DenoiserTraining(noise_centre=1.5, noise_width=1.6, low_noise_share=0.0)
    logits = torch.logit(noise_levels(2000, one))
    assert float(logits.mean()) == pytest.approx(1.5, abs=0.02)
    assert float(logits.std()) == pytest.approx(1.6, abs=0.03)


def test_a_share_of_the_noise_levels_is_low():
    torch.manual_seed(0)
    two = DenoiserTraining(low_noise_share=0.3, low_noise_centre=-9.0, low_noise_width=0.5)
    logits = torch.logit(noise_levels(2000, two))
    low = logits[logits < -6]
    assert len(low) == pytest.approx(600, abs=2)
    assert float(low.mean()) == pytest.approx(-9, abs=0.02)
    assert float(low.std()) == pytest.approx(0.5, abs=0.02)
    assert float(logits[logits > -6].mean()) == pytest.approx(1.5, abs=0.02)


def test_guidance_is_drawn_for_two_thirds_of_the_conditioned():
    torch.manual_seed(0)
    embedding = torch.cat([torch.ones(1000, 6), torch.zeros(500, 6)])
    guidance = draw_guidance(embedding, 6.0)
    assert (guidance[1000:] == 1).all()
    assert float((guidance[:1000] > 1).float().mean()) == pytest.approx(0.67, abs=0.05)
    assert 5.5 < float(guidance.max()) <= 6
    assert (draw_guidance(embedding, 1.0) == 1).all()


def test_the_shift_is_that_of_classifier_free_guidance():
    """A teacher whose estimate is the sum of the embedding: 6 / sqrt(6) with it, 0 without."""

    def teacher(noised, _sigma, embedding, _seconds, guidance):
        assert (guidance == 1).all()
        return embedding.sum(dim=1)[:, None, None].expand_as(noised)

    some = batch(n=3, guidance=3.0)
    some.guidance[1] = 1.0
    shift = guidance_shift(teacher, some.clean, torch.ones(3), some)
    expected = torch.tensor([2 * 6**0.5, 0, 2 * 6**0.5])
    torch.testing.assert_close(shift, expected[:, None, None].expand_as(shift))
    none = guidance_shift(teacher, some.clean, torch.ones(3), batch(n=3))
    assert not none.any()


def test_the_target_is_guided_with_a_teacher():
    def teacher(noised, _sigma, embedding, *_):
        return embedding.sum(dim=1)[:, None, None].expand_as(noised)

    def student(noised, *_):
        return torch.full_like(noised, 2 * 6**0.5)

    guided = batch(guidance=3.0)
    assert float(flow_loss(student, guided, DenoiserTraining(), partial(guidance_shift, teacher))) == pytest.approx(
        0, abs=1e-3
    )
    assert float(flow_loss(student, guided, DenoiserTraining())) > 1


def conditioning():
    sounds = [sound("a", number=i) for i in range(3)] + [sound("b", "valid"), sound("b", number=5)]
    embeddings = {label: np.eye(2, 6, i, dtype=np.float32) for i, label in enumerate("ab")}
    return LabelConditioning(dataset(sounds, [40, 90, 200, 80, 50], MelSettings(n_mels=4)), embeddings)


def train(path, seed=3, intervals=None, **options):
    run = TrainingRun(path, CPU, seed, intervals=intervals or Intervals(log=1, validate=2, save=2), **options)
    train_denoiser(conditioning(), SIZE, TRAINING, run, "toy")
    return torch.load(path, weights_only=True)["average"]["state"]


def test_a_run_is_validated_and_its_losses_are_kept(tmp_path):
    train(tmp_path / "d.pt")
    rows = metrics_path(tmp_path / "d.pt").read_text().splitlines()[1:]
    assert [row.rsplit(",", 1)[0] for row in rows] == [
        "1,train,loss",
        "2,train,loss",
        "2,valid,loss",
        "3,train,loss",
        "4,train,loss",
        "4,valid,loss",
    ]


def test_a_resumed_run_has_the_weights_of_one_that_was_not_stopped(tmp_path, monkeypatch):
    from onnx_export.clipsonic.training import denoiser

    # As in earnest, where saves fall on steps that copy the teacher.
    monkeypatch.setattr(denoiser, "TEACHER_INTERVAL", 2)
    whole = train(tmp_path / "a.pt")
    plain = denoiser.step_optimiser
    calls = []

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(denoiser, "step_optimiser", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "b.pt")
    resumed = train(tmp_path / "b.pt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_more_workers_train_the_same_weights(tmp_path):
    one, two = (train(tmp_path / f"{n}.pt", workers=n) for n in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
