"""The loop that every training run shares: learning-rate schedule, steps, validation, precision."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.metrics import MetricsLog, metrics_path
from onnx_export.training.run import VALIDATION_STEP, Intervals, seed_step, step_generator

log = logging.getLogger(__name__)

Losses: TypeAlias = Mapping[str, float | torch.Tensor]
"""Losses by name; tensors of one number stay on their device until they are logged."""
StepFunction: TypeAlias = Callable[[int, np.random.Generator], Losses]
"""Does one optimisation step, given its number and its random numbers; returns losses by name."""
ValidationFunction: TypeAlias = Callable[[np.random.Generator], Losses]
"""Returns losses by name on clips that are not trained on, given random numbers that are the same each time."""

BUDGET_WARMUP = 0.03
"""Share of a budget of time in which the learning rate rises."""
SAVE_INTERVAL_S = 60.0
"""Seconds between two saves of a run with a budget, beside those of its steps."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, a constant rate, then a linear cool-down to nothing (Hägele et al. 2024).

    A run can be prolonged by giving more steps, and shortened by giving fewer. With a budget of time the steps are
    those that fit into it.
    """

    steps: int
    learning_rate: float
    warmup: int = 200
    cooldown: float = 0.25
    """Share of all steps, or of the budget."""
    budget_s: float | None = None
    """Seconds of training, stopped runs' included, in place of `steps`; its warm-up is `BUDGET_WARMUP` of it."""

    def rate(self, step: int, spent_s: float = 0.0) -> float:
        """Return the learning rate at `step`, counted from 0, after so many seconds of training."""
        if self.budget_s is None:
            rising = (step + 1) / self.warmup
            falling = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        else:
            share = spent_s / self.budget_s
            rising = 0.01 + share / BUDGET_WARMUP
            falling = (1 - share) / self.cooldown
        return self.learning_rate * max(0.0, min(rising, falling, 1.0))

    def fraction(self, step: int, spent_s: float) -> float:
        """Return how much of the run lies behind `step` and so many seconds of training: 1 at its end."""
        if self.budget_s is not None:
            return spent_s / self.budget_s
        return step / self.steps if step < self.steps else 1.0


def run_steps(
    checkpoint: Checkpoint,
    optimisers: Sequence[torch.optim.Optimizer],
    schedule: Schedule,
    do_step: StepFunction,
    validate: ValidationFunction | None = None,
    intervals: Intervals | None = None,
) -> None:
    """Train from the checkpoint's step to the schedule's end.

    Losses are logged as means over the steps since the last line, those of validation as they are; the state is saved
    at every interval and at the end. All random numbers of a step depend on the checkpoint's seed and on the step.
    """
    intervals = intervals or Intervals()
    start, seed = checkpoint.load(), checkpoint.metadata.seed or 0
    clock = _Clock(checkpoint)
    with MetricsLog(metrics_path(checkpoint.path), start) as metrics:
        sums: dict[str, list[float | torch.Tensor]] = {}
        done = start
        while schedule.fraction(done, clock.spent_s()) < 1:
            _set_rate(optimisers, schedule.rate(done, checkpoint.spent_s))
            seed_step(seed, done)
            for name, value in do_step(done, step_generator(seed, done)).items():
                sums.setdefault(name, []).append(value)
            done += 1
            is_last = schedule.fraction(done, clock.spent_s()) >= 1
            if done % intervals.log == 0:
                means = {name: sum(float(value) for value in values) / len(values) for name, values in sums.items()}
                log.info("step %d  %.3f s/step  %s", done, clock.spent_here_s() / (done - start), _line(means))
                metrics.write(done, "train", means)
                sums.clear()
            if validate and (done % intervals.validate == 0 or is_last):
                seed_step(seed, VALIDATION_STEP)
                losses = {name: float(value) for name, value in validate(step_generator(seed, VALIDATION_STEP)).items()}
                log.info("step %d  validation  %s", done, _line(losses))
                metrics.write(done, "valid", losses)
            if done % intervals.save == 0 or (schedule.budget_s is not None and clock.since_save_s() > SAVE_INTERVAL_S):
                checkpoint.save(done)
                clock.saved()
    checkpoint.save(done)
    if schedule.budget_s is not None and "average" in checkpoint.parts:
        log.info("averaged weights in half precision: %s", checkpoint.save_average(done))


class _Clock:
    """Counts a checkpoint's seconds of training: those of the runs that it continues, and those of this one."""

    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint, self._before_s = checkpoint, checkpoint.spent_s
        self._began = self._saved = time.monotonic()

    def spent_here_s(self) -> float:
        return time.monotonic() - self._began

    def spent_s(self) -> float:
        """Return all seconds of training, and note them in the checkpoint."""
        self._checkpoint.spent_s = self._before_s + self.spent_here_s()
        return self._checkpoint.spent_s

    def saved(self) -> None:
        self._saved = time.monotonic()

    def since_save_s(self) -> float:
        return time.monotonic() - self._saved


def _set_rate(optimisers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of every group of parameters; a group may have a factor of its own, 'scale'."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)


def _line(losses: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in losses.items())


def step_optimiser(
    optimiser: torch.optim.Optimizer, loss: torch.Tensor, parameters: Iterable[nn.Parameter], max_norm: float = 1.0
) -> torch.Tensor:
    """Do one step with a clipped gradient, and return the loss, detached.

    A step whose gradient is not finite is left out. With a fused optimiser the processor does not wait for the device.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    if optimiser.defaults.get("fused"):
        # What a gradient scaler sets: the fused kernels look at it on the device.
        fused: Any = optimiser
        fused.grad_scale, fused.found_inf = None, (~torch.isfinite(norm)).float()
        optimiser.step()
    elif torch.isfinite(norm):
        optimiser.step()
    return loss.detach()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, without gradients, for as long as the block runs."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(was_training)


def precision(device: torch.device) -> torch.autocast:
    """Return a context of bfloat16 matrix products: twice as fast as single precision on AVX-512 and on GPUs."""
    return torch.autocast(device.type, dtype=torch.bfloat16)
