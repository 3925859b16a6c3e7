"""Exponential moving average of a network's weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class EMA:
    """Exponential moving average of a module's parameters and buffers, kept in single precision."""

    def __init__(self, module: nn.Module, decay: float = 0.999):
        """Begin with the module's weights as they are; `decay` is the share of the average that a step keeps."""
        self.decay = decay
        self.count = 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average a little towards the module.

        The first updates move it further, (1 + n) / (10 + n) in place of the decay, so that the start is forgotten.
        """
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        now = module.state_dict()
        floating = [name for name, value in now.items() if value.is_floating_point()]
        if floating:
            # All weights in a few launches: one by one they cost as much time on a GPU as a small network's step.
            torch._foreach_lerp_([self.state[name] for name in floating], [now[name] for name in floating], 1 - decay)
        for name in now.keys() - set(floating):
            self.state[name].copy_(now[name])

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs: the number of updates, and the weights."""
        return {"count": self.count, "state": self.state}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from a saved average."""
        self.count = saved["count"]
        for name, value in saved["state"].items():
            self.state[name].copy_(value)
