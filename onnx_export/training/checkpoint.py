"""Checkpoints of training runs: written whole, resumed from, read for their weights."""

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

log = logging.getLogger(__name__)

METADATA_KEY = "metadata"


@dataclass(frozen=True, slots=True)
class CheckpointMetadata:
    """Facts about a network that the shapes of its weights do not tell."""

    embedding: str = ""
    """Name of the joint embedding that it is conditioned on or puts out; empty where the checkpoint does not say."""
    conditions: tuple[str, ...] = ()
    """Kinds of conditions that a denoiser was trained on, 'text' and 'image'; empty where it does not say."""
    heads: int | None = None
    """Heads of a denoiser's attention."""
    seed: int | None = None
    """Seed of the run; None where it had none."""

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> "CheckpointMetadata":
        """Return the metadata of a checkpoint that was loaded.

        Checkpoints of earlier versions have texts beside the parts, 'text,image' and '6', or nothing at all.
        """
        stored = saved.get(METADATA_KEY)
        if stored is not None:
            return cls(**stored | {"conditions": tuple(stored["conditions"])})
        conditions, heads = saved.get("conditions", ""), saved.get("heads")
        kinds = tuple(kind for kind in conditions.split(",") if kind)
        return cls(saved.get("embedding", ""), kinds, int(heads) if heads else None)


class Stateful(Protocol):
    """A part of a checkpoint: a module, an optimiser, or an average."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs."""
        ...

    def load_state_dict(self, saved: Any, /) -> object:
        """Continue from a saved state."""
        ...


class Checkpoint:
    """A file that holds the state of named parts and the step, replaced whole."""

    def __init__(self, path: Path, parts: Mapping[str, Stateful], metadata: CheckpointMetadata | None = None):
        """Name the file and its parts; nothing is read or written yet."""
        self.path, self.parts, self.metadata = path, parts, metadata or CheckpointMetadata()
        self.start = 0
        """Step that this run began with."""
        self.spent_s = 0.0
        """Seconds of training behind the state, counted by the loop."""

    def save(self, step: int) -> None:
        """Write beside the file, then rename: a run stopped in the middle of a save loses nothing."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        _write(self.path, {**self.facts(step), **states})

    def save_average(self, step: int) -> Path:
        """Write the averaged weights alone, in half precision, beside the file, and return where: 'NAME.half.pt'."""
        path = self.path.with_suffix(".half.pt")
        save_weights(path, self.facts(step), self.parts["average"].state_dict())
        return path

    def facts(self, step: int) -> dict[str, Any]:
        """Return what stands in the file beside the state of the parts."""
        return {"step": step, "spent_s": self.spent_s, METADATA_KEY: asdict(self.metadata)}

    def load(self) -> int:
        """Restore every part, and return the step to continue from: 0 where there is no file.

        A part that the file lacks stays as it is.
        """
        if not self.path.exists():
            return 0
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            if name in saved:
                part.load_state_dict(saved[name])
        log.info("going on from step %d of %s", saved["step"], self.path)
        self.start, self.spent_s = saved["step"], saved.get("spent_s", 0.0)
        return self.start


def save_weights(path: Path, facts: Mapping[str, Any], average: Mapping[str, Any]) -> None:
    """Write averaged weights alone, in half precision: what `load_ema` reads, and a checkpoint without optimisers.

    Weights of one axis stay in single precision.

    Args:
        path: The file.
        facts: The step, the metadata, and what else stands beside the weights.
        average: The state of an `EMA`.
    """
    halves = {
        name: (value.half() if value.dtype == torch.float32 and value.ndim > 1 else value).cpu()
        for name, value in average["state"].items()
    }
    # One copy in the file: both names mean the same tensors.
    _write(path, {**facts, "model": halves, "average": {**average, "state": halves}})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part_path = path.with_suffix(".part")
    torch.save(dict(content), part_path)
    os.replace(part_path, path)


def load_ema(path: Path, module: nn.Module) -> int:
    """Fill `module` with the averaged weights of a checkpoint, and return the step they were saved at.

    The module is in evaluation mode afterwards.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["average"]["state"])
    module.eval()
    return saved["step"]


def read_average(path: Path) -> dict[str, torch.Tensor]:
    """Return the averaged weights of a checkpoint by name, left in the file until they are used."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)["average"]["state"]


def read_metadata(path: Path) -> CheckpointMetadata:
    """Return what a checkpoint says about its network; the weights are not read."""
    return CheckpointMetadata.from_saved(torch.load(path, map_location="cpu", weights_only=True, mmap=True))


def read_start(path: Path) -> int:
    """Return the step that a run continues from, 0 where there is no checkpoint; the weights are not read."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"] if path.exists() else 0
