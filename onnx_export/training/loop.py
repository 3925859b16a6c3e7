"""What every training run shares: schedule, moving average of the weights, checkpoints that resume, the loop."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

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


class Average:
    """Exponential moving average of a module's parameters, kept in single precision."""

    def __init__(self, module: nn.Module, decay: float = 0.999):
        self.decay = decay
        self.count = 0
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move a little towards the module; early on more, so that the start is forgotten."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)

    def state_dict(self) -> dict:
        """Everything `load_state_dict` needs."""
        return {"count": self.count, "state": self.state}

    def load_state_dict(self, saved: Mapping) -> None:
        """Go on from a saved average."""
        self.count = saved["count"]
        for name, value in saved["state"].items():
            self.state[name].copy_(value)


class Stateful(Protocol):
    """A part of a checkpoint: a module, an optimiser, or an average."""

    def state_dict(self) -> dict[str, Any]:
        """Everything `load_state_dict` needs."""
        ...

    def load_state_dict(self, saved: Any, /) -> object:
        """Go on from a saved state."""
        ...


class Checkpoint:
    """A file that holds the state of named parts and the step, replaced whole."""

    def __init__(self, path: Path, parts: Mapping[str, Stateful], notes: Mapping[str, str] | None = None):
        """`notes` are kept beside the parts, as they are."""
        self.path, self.parts, self.notes = path, parts, dict(notes or {})
        self.start = 0
        """Step that this run began with."""

    def save(self, step: int) -> None:
        """Write beside, then rename: a run stopped in the middle of a save loses nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        states = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save({"step": step, **self.notes, **states}, beside)
        os.replace(beside, self.path)

    def load(self) -> int:
        """Restore every part; the step to go on from, 0 where there is no file."""
        if not self.path.exists():
            return 0
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            if name in saved:
                part.load_state_dict(saved[name])
        log.info("going on from step %d of %s", saved["step"], self.path)
        self.start = saved["step"]
        return self.start


def load_average(path: Path, module: nn.Module) -> int:
    """Fill `module` with the averaged weights of a checkpoint; the step they were saved at."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["average"]["state"])
    module.eval()
    return saved["step"]


def noted(path: Path, name: str, default: str) -> str:
    """A note of a checkpoint, or the default where it has none of that name."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(name, default)


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
