"""The loop that every training run shares: learning-rate schedule, steps, validation, precision."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.metrics import MetricsLog, metrics_path
from onnx_export.training.run import VALIDATION_STEP, Intervals, seed_step, step_generator

log = logging.getLogger(__name__)

StepFunction: TypeAlias = Callable[[int, np.random.Generator], Mapping[str, float]]
"""Does one optimisation step, given its number and its random numbers; returns losses by name."""
ValidationFunction: TypeAlias = Callable[[np.random.Generator], Mapping[str, float]]
"""Returns losses by name on clips that are not trained on, given random numbers that are the same each time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, a constant rate, then a linear cool-down to nothing (Hägele et al. 2024).

    A run can be prolonged by giving more steps, and shortened by giving fewer.
    """

    steps: int
    learning_rate: float
    warmup: int = 200
    cooldown: float = 0.25
    """Share of all steps."""

    def rate(self, step: int) -> float:
        """Return the learning rate at `step`, counted from 0."""
        rising = min(1.0, (step + 1) / self.warmup)
        falling = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.learning_rate * max(0.0, min(rising, falling, 1.0))


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
    start, began, seed = checkpoint.load(), time.monotonic(), checkpoint.metadata.seed or 0
    with MetricsLog(metrics_path(checkpoint.path), start) as metrics:
        sums: dict[str, list[float]] = {}
        for step in range(start, schedule.steps):
            _set_rate(optimisers, schedule.rate(step))
            seed_step(seed, step)
            for name, value in do_step(step, step_generator(seed, step)).items():
                sums.setdefault(name, []).append(value)
            done = step + 1
            if done % intervals.log == 0:
                means = {name: sum(values) / len(values) for name, values in sums.items()}
                log.info("step %d  %.2f s/step  %s", done, (time.monotonic() - began) / (done - start), _line(means))
                metrics.write(done, "train", means)
                sums.clear()
            if validate and (done % intervals.validate == 0 or done == schedule.steps):
                seed_step(seed, VALIDATION_STEP)
                losses = validate(step_generator(seed, VALIDATION_STEP))
                log.info("step %d  validation  %s", done, _line(losses))
                metrics.write(done, "valid", losses)
            if done % intervals.save == 0:
                checkpoint.save(done)
    checkpoint.save(max(start, schedule.steps))


def _set_rate(optimisers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of every group of parameters; a group may have a factor of its own, 'scale'."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)


def _line(losses: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in losses.items())


def step_optimiser(
    optimiser: torch.optim.Optimizer, loss: torch.Tensor, parameters: Iterable[nn.Parameter], max_norm: float = 1.0
) -> float:
    """Do one step with a clipped gradient, and return the loss as a number.

    A step whose gradient is not finite is left out.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    if torch.isfinite(norm):
        optimiser.step()
    return float(loss.detach())


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
