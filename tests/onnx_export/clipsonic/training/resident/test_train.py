"""Resident training: two phases, the states that are kept, and runs that stop."""

from dataclasses import replace

import pytest
import torch

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training.conditioning import FrameConditioning
from onnx_export.clipsonic.training.denoiser import Augmentation, DenoiserTraining
from onnx_export.clipsonic.training.denoiser_dataset import saved_normalisation
from onnx_export.clipsonic.training.resident import train as resident
from onnx_export.clipsonic.training.resident.train import TwoPhases, train_resident_denoiser
from onnx_export.training.checkpoint import load_ema, read_metadata
from onnx_export.training.metrics import metrics_path
from onnx_export.training.run import Intervals, TrainingRun
from tests.onnx_export.clipsonic.training.test_denoiser import conditioning

CPU = torch.device("cpu")
SIZE = DenoiserSize(n_mels=4, n_embedding=6, patch=2, width=8, depth=1, heads=2, skip=True)
TRAINING = DenoiserTraining(steps=8, tokens=40, resident=True, augmentation=Augmentation((90,), 0.5, 2.0, 1.0, 0.1))


def train(path, training=TRAINING, **options):
    run = TrainingRun(path, CPU, 3, intervals=Intervals(log=1, validate=4, save=2), **options)
    train_resident_denoiser(conditioning(), SIZE, training, run, "toy")
    return torch.load(path, weights_only=True)["average"]["state"]


def test_the_rate_cools_down_twice():
    schedule = TwoPhases(1000, 1.0, warmup=10, cooldown=0.25, teach_from=0.8, second_rate=0.3)
    rates = [schedule.rate(step) for step in (0, 300, 600, 700, 799, 800, 900, 1000)]
    assert rates == pytest.approx([0.1, 1, 1, 0.55, 0.1045, 0.3, 0.15, 0], abs=0.01)
    timed = replace(schedule, budget_s=100.0)
    assert [timed.rate(5, s) for s in (30.0, 80.0, 90.0)] == pytest.approx([1, 0.3, 0.15])
    assert timed.rate(5, 0.0) < 0.05


def test_the_states_before_each_phase_are_kept(tmp_path):
    final = train(tmp_path / "d.pt")
    steps = {name: load_ema(tmp_path / f"d.{name}.pt", Denoiser(SIZE)) for name in ("weak", "unguided", "half")}
    assert steps == {"weak": 2, "unguided": 6, "half": 8}
    model = Denoiser(SIZE)
    load_ema(tmp_path / "d.half.pt", model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, final[name], atol=1e-3, rtol=1e-3)
    metadata = read_metadata(tmp_path / "d.half.pt")
    assert (metadata.embedding, metadata.heads, metadata.conditions) == ("toy", 2, ("text",))
    assert (saved_normalisation(tmp_path / "d.half.pt").grain > 0).all()
    names = {row.split(",")[2] for row in metrics_path(tmp_path / "d.pt").read_text().splitlines()[1:]}
    assert {"loss", "error_0.8", "unconditional_0.95", "grain_0.05", "fit_error_0.5"} <= names


@pytest.mark.parametrize("stop_at", [4, 8])
def test_a_resumed_run_has_the_weights_of_one_that_was_not_stopped(tmp_path, monkeypatch, stop_at):
    """In the first phase, and in the second, whose teachers are read again."""
    whole = train(tmp_path / "a.pt")
    plain, calls = resident.step_optimiser, []

    def stop(*arguments):
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(resident, "step_optimiser", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "b.pt")
    resumed = train(tmp_path / "b.pt")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, msg=name)


def test_a_budget_ends_a_run(tmp_path):
    train(tmp_path / "d.pt", replace(TRAINING, steps=10**9), budget_s=0.5)
    assert (tmp_path / "d.half.pt").exists()


def test_clips_of_videos_are_refused(tmp_path):
    class Videos:
        n_embedding = 6

    run = TrainingRun(tmp_path / "d.pt", CPU, 3)
    with pytest.raises(ValueError, match=r"training\.resident is true, expected sounds of a catalogue"):
        train_resident_denoiser(FrameConditioning(Videos()), SIZE, TRAINING, run, "toy")
