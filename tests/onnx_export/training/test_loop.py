"""The training loop: schedule, seeds, validation, and runs that stop and continue."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from onnx_export.training import loop
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, read_start
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, run_steps, step_optimiser
from onnx_export.training.metrics import metrics_path
from onnx_export.training.run import Intervals, TrainingRun, seed_step, step_generator

CPU = torch.device("cpu")
OFTEN = Intervals(log=1, validate=2, save=2)


class StoppedError(Exception):
    """A run that is interrupted."""


def train(path, seed=5, stop_at=None, steps=6, validated=None):
    """A network of one layer that learns from random numbers alone; gives back its weights."""
    seed = TrainingRun(path, CPU, seed).start_seed()
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    ema = EMA(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    parts = {"model": model, "average": ema, "optimiser": optimiser}
    checkpoint = Checkpoint(path, parts, CheckpointMetadata(seed=seed))

    def do_step(step, rng):
        if step == stop_at:
            raise StoppedError
        inputs = torch.from_numpy(rng.standard_normal((3, 4)).astype(np.float32))
        loss = ((model(inputs) - torch.randn(3, 4)) ** 2).mean()
        value = step_optimiser(optimiser, loss, model.parameters())
        ema.update(model)
        return {"loss": value}

    def validate(rng):
        drawn = float(rng.random()), float(torch.rand(()))
        if validated is not None:
            validated.append(drawn)
        return {"loss": drawn[0]}

    run_steps(checkpoint, [optimiser], Schedule(steps, 0.1, warmup=2), do_step, validate, OFTEN)
    return ema.state


def test_a_stopped_run_ends_as_one_that_was_never_stopped(tmp_path):
    whole = train(tmp_path / "a" / "net.pt")
    with pytest.raises(StoppedError):
        train(tmp_path / "b" / "net.pt", stop_at=5)
    # It was saved after four steps: the fifth is done again.
    resumed = train(tmp_path / "b" / "net.pt", seed=None)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    first, second = (metrics_path(tmp_path / folder / "net.pt").read_text() for folder in "ab")
    assert first == second


def test_another_seed_gives_other_weights(tmp_path):
    first, second, other = (train(tmp_path / f"{i}.pt", seed) for i, seed in enumerate((5, 5, 6)))
    assert torch.equal(first["0.weight"], second["0.weight"])
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_a_checkpoint_keeps_its_seed(tmp_path):
    path = tmp_path / "net.pt"
    train(path, seed=5)
    assert TrainingRun(path, CPU).start_seed() == TrainingRun(path, CPU, 5).start_seed() == 5
    with pytest.raises(ValueError, match=r"--seed is 6, expected 5 or none: .*net\.pt was begun with it"):
        TrainingRun(path, CPU, 6).start_seed()


def test_without_a_seed_each_run_has_another_one(tmp_path):
    seeds = {TrainingRun(tmp_path / "none.pt", CPU).start_seed() for _ in range(5)}
    assert len(seeds) > 1


def test_a_seed_of_zero_is_a_seed(tmp_path):
    assert TrainingRun(tmp_path / "none.pt", CPU, 0).start_seed() == 0


def test_validation_has_the_same_random_numbers_each_time(tmp_path):
    validated = []
    train(tmp_path / "net.pt", validated=validated)
    assert len(validated) == 3 and len(set(validated)) == 1


def test_validation_does_not_change_the_training(tmp_path):
    def weights(path, validate):
        seed_step(1, 0)
        model = torch.nn.Linear(2, 2)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        checkpoint = Checkpoint(path, {"model": model}, CheckpointMetadata(seed=1))

        def do_step(_step, _rng):
            return {"loss": step_optimiser(optimiser, (model(torch.randn(3, 2)) ** 2).sum(), model.parameters())}

        run_steps(checkpoint, [optimiser], Schedule(4, 0.1), do_step, validate, Intervals(1, 1, 10))
        return model.weight.detach().clone()

    plain = weights(tmp_path / "a.pt", None)
    assert torch.equal(plain, weights(tmp_path / "b.pt", lambda rng: {"loss": float(torch.rand(()) + rng.random())}))


def test_every_loss_is_logged_by_name(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        train(tmp_path / "net.pt", steps=2)
    assert "step 2" in caplog.text and "validation  loss" in caplog.text
    rows = metrics_path(tmp_path / "net.pt").read_text().splitlines()[1:]
    assert [row.rsplit(",", 1)[0] for row in rows] == ["1,train,loss", "2,train,loss", "2,valid,loss"]


def test_means_are_over_the_steps_since_the_last_line(tmp_path):
    checkpoint = Checkpoint(tmp_path / "net.pt", {}, CheckpointMetadata(seed=1))
    run_steps(checkpoint, [], Schedule(4, 1.0), lambda step, _: {"step": step}, None, Intervals(2, 9, 9))
    rows = metrics_path(checkpoint.path).read_text().splitlines()[1:]
    assert rows == ["2,train,step,0.5", "4,train,step,2.5"]


def test_the_rate_rises_stays_and_falls():
    schedule = Schedule(100, 2.0, warmup=10)
    assert schedule.rate(0) == pytest.approx(0.2) and schedule.rate(9) == schedule.rate(50) == 2.0
    # A quarter of all steps cools down, to nothing after the last.
    assert schedule.rate(75) == 2.0 and schedule.rate(90) == pytest.approx(0.8) and schedule.rate(100) == 0
    assert replace(schedule, steps=200).rate(90) == 2.0


def test_the_rate_follows_a_budget_of_time():
    schedule = Schedule(100, 2.0, cooldown=0.25, budget_s=200.0)
    assert schedule.rate(0) == pytest.approx(0.02) and schedule.rate(0, 3.0) == pytest.approx(2.0 * 0.51)
    # Whatever the step is: the last quarter of the time cools down.
    assert schedule.rate(5, 20.0) == schedule.rate(9999, 150.0) == 2.0
    assert schedule.rate(0, 175.0) == pytest.approx(1.0) and schedule.rate(0, 200.0) == 0
    assert schedule.fraction(99, 50.0) == 0.25 and Schedule(100, 2.0).fraction(50, 1e9) == 0.5


class Clock:
    """Stands in for `time`: ten seconds pass with every step."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


def test_a_run_with_a_budget_stops_when_it_is_spent_and_continues_where_it_stopped(tmp_path, monkeypatch):
    clock, path, rates = Clock(), tmp_path / "net.pt", []
    monkeypatch.setattr(loop, "time", clock)
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=1.0)

    def run(stop_at=None):
        def do_step(step, _):
            if step == stop_at:
                raise StoppedError
            rates.append(optimiser.param_groups[0]["lr"])
            clock.now += 10
            return {"step": step}

        checkpoint = Checkpoint(path, {}, CheckpointMetadata(seed=1))
        run_steps(checkpoint, [optimiser], Schedule(1, 1.0, budget_s=200.0), do_step, None, Intervals(9, 99, 99))

    with pytest.raises(StoppedError):
        run(stop_at=9)
    # Saved once more than a minute had passed, after seven steps; so 70 of the 200 seconds are behind it.
    assert read_start(path) == 7
    run()
    assert read_start(path) == 20 and len(rates) == 9 + 13
    assert rates[9:11] == rates[7:9] and rates[-1] == pytest.approx(10 / 50)


def test_groups_may_learn_slower(tmp_path):
    slow, fast = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    groups = [{"params": fast.parameters()}, {"params": slow.parameters(), "scale": 0.1}]
    optimiser = torch.optim.SGD(groups, lr=9.0)
    checkpoint = Checkpoint(tmp_path / "net.pt", {}, CheckpointMetadata(seed=1))
    run_steps(checkpoint, [optimiser], Schedule(1, 2.0, warmup=1, cooldown=1), lambda *_: {}, None, Intervals())
    assert [group["lr"] for group in optimiser.param_groups] == [2.0, pytest.approx(0.2)]


def test_a_step_whose_gradient_is_not_finite_is_left_out():
    module = torch.nn.Linear(1, 1)
    before = module.weight.detach().clone()
    optimiser = torch.optim.SGD(module.parameters(), lr=1.0)
    step_optimiser(optimiser, module(torch.full((1, 1), torch.inf)).sum(), module.parameters())
    assert torch.equal(module.weight, before)
    step_optimiser(optimiser, module(torch.full((1, 1), 1000.0)).sum(), module.parameters(), max_norm=0.5)
    # The gradient is clipped to the length of 0.5, nearly all of it the weight's.
    assert float((before - module.weight).detach()) == pytest.approx(0.5, abs=1e-3)


def test_a_fused_optimiser_leaves_such_a_step_out_too():
    module = torch.nn.Linear(1, 1)
    before = module.weight.detach().clone()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1.0, fused=True)
    step_optimiser(optimiser, module(torch.full((1, 1), torch.inf)).sum(), module.parameters())
    assert torch.equal(module.weight, before)
    step_optimiser(optimiser, module(torch.ones(1, 1)).sum(), module.parameters())
    assert not torch.equal(module.weight, before) and torch.isfinite(module.weight).all()


def test_losses_may_be_tensors(tmp_path):
    checkpoint = Checkpoint(tmp_path / "net.pt", {}, CheckpointMetadata(seed=1))
    run_steps(checkpoint, [], Schedule(2, 1.0), lambda step, _: {"a": torch.tensor(float(step))}, None, Intervals(2, 9))
    assert metrics_path(checkpoint.path).read_text().splitlines()[1:] == ["2,train,a,0.5"]


def test_evaluation_mode_ends_with_its_block():
    module = torch.nn.Dropout().train()
    with evaluating(module):
        assert not module.training and not torch.is_grad_enabled()
    assert module.training and torch.is_grad_enabled()
    with pytest.raises(StoppedError), evaluating(module):
        raise StoppedError
    assert module.training


def test_random_numbers_depend_on_seed_and_step_alone():
    drawn = {(seed, step): step_generator(seed, step).random() for seed in (1, 2) for step in (0, 1)}
    assert len(set(drawn.values())) == 4
    assert step_generator(2, 1).random() == drawn[2, 1]
    seed_step(3, 4)
    first = torch.rand(2)
    seed_step(3, 4)
    assert torch.equal(first, torch.rand(2))
