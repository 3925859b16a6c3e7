"""The loop that every training run shares: learning-rate schedule, steps, precision."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from onnx_export.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, a constant rate, then a linear cool-down to nothing (Hägele et al. 2024): a run can be prolonged
    by giving more steps, and shortened by giving fewer."""

    steps: int
    learning_rate: float
    warmup: int = 200
    cooldown: float = 0.25
    """Share of all steps."""

    def rate(self, step: int) -> float:
        """Learning rate at `step`, counted from 0."""
        rising = min(1.0, (step + 1) / self.warmup)
        falling = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.learning_rate * max(0.0, min(rising, falling, 1.0))


def run_steps(
    checkpoint: Checkpoint,
    optimisers: Iterable[torch.optim.Optimizer],
    schedule: Schedule,
    do_step: Callable[[int], Mapping[str, float]],
    log_every: int = 50,
    save_every: int = 500,
) -> None:
    """Call `do_step(step)`, which gives back figures, from the checkpoint's step to the schedule's end.

    The figures are logged as means, the state is saved every `save_every` steps and at the end.
    """
    start, began = checkpoint.load(), time.monotonic()
    sums: dict[str, list[float]] = {}
    for step in range(start, schedule.steps):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(step) * group.get("scale", 1.0)
        for name, value in do_step(step).items():
            sums.setdefault(name, []).append(value)
        if (step + 1) % log_every == 0:
            means = "  ".join(f"{name} {sum(values) / len(values):.4f}" for name, values in sums.items())
            log.info("step %d  %.2f s/step  %s", step + 1, (time.monotonic() - began) / (step + 1 - start), means)
            sums.clear()
        if (step + 1) % save_every == 0:
            checkpoint.save(step + 1)
    checkpoint.save(max(start, schedule.steps))


def step_optimiser(optimiser: torch.optim.Optimizer, loss: torch.Tensor, parameters, max_norm: float = 1.0) -> float:
    """One clipped gradient step; the loss as a number. A step whose gradient is not finite is left out."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    if torch.isfinite(norm):
        optimiser.step()
    return float(loss.detach())


def precision(device: torch.device) -> torch.autocast:
    """bfloat16 for the matrix products: twice as fast as single precision on AVX-512 and on GPUs."""
    return torch.autocast(device.type, dtype=torch.bfloat16)
