"""Checkpoints of training runs: written whole, resumed from, read for their weights."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

log = logging.getLogger(__name__)


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


def load_ema(path: Path, module: nn.Module) -> int:
    """Fill `module` with the averaged weights of a checkpoint; the step they were saved at."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["average"]["state"])
    module.eval()
    return saved["step"]


def read_metadata(path: Path, name: str, default: str) -> str:
    """A note of a checkpoint, or the default where it has none of that name."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(name, default)
