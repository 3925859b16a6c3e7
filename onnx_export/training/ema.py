"""Exponential moving average of a network's weights."""

from collections.abc import Mapping

import torch
from torch import nn


class EMA:
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
