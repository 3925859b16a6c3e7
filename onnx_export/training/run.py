"""The circumstances of a training run: its file, device, seed, and how often it logs, validates and saves."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from onnx_export.training.checkpoint import read_metadata

VALIDATION_STEP = 2**32 - 1
"""In place of a step where random numbers for validation are seeded: the same ones each time."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Steps between two lines of the log, two validations and two saves."""

    log: int = 50
    validate: int = 500
    save: int = 500


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """All that a run depends on and that is no hyperparameter of the network."""

    path: Path
    """The checkpoint: the run continues from it where it exists."""
    device: torch.device
    seed: int | None = None
    """Seed of all that is random. A checkpoint's own seed is used where this is None, else a random one."""
    workers: int = 1
    """Processes that draw batches ahead; one is the training process itself, between its steps."""
    backbone: Path | None = None
    """Checkpoint that a new denoiser begins with, its conditions forgotten; or a new vocoder, widened where it is
    larger."""
    denoiser: Path | None = None
    """Checkpoint, perhaps one that is not there yet, whose reconstructions a vocoder is trained on too."""
    intervals: Intervals | None = None
    """None for those that suit the network."""
    budget_s: float | None = None
    """Seconds of training in place of steps, once the data is ready; the cool-down fits into them."""

    def start_seed(self) -> int:
        """Return the seed of the run, and seed PyTorch with it, so that a network's first weights depend on it alone.

        Raises:
            ValueError: When the checkpoint was begun with another seed than the one asked for.
        """
        stored = read_metadata(self.path).seed if self.path.exists() else None
        if stored is not None and self.seed not in (None, stored):
            raise ValueError(f"--seed is {self.seed}, expected {stored} or none: {self.path} was begun with it")
        seed = next(s for s in (stored, self.seed, secrets.randbits(31)) if s is not None)
        torch.manual_seed(seed)
        return seed


def allow_fast_products(device: torch.device) -> None:
    """Let a GPU multiply single precision in TF32, and choose its convolutions by trial; a processor stays as it is."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def step_generator(seed: int, step: int) -> np.random.Generator:
    """Return the random numbers of one step.

    They depend on the seed and on the step alone: a run that is resumed, and one with other processes that draw
    batches ahead, sees the same batches as one that was never stopped.
    """
    return np.random.default_rng((seed, step))


def seed_step(seed: int, step: int) -> None:
    """Seed PyTorch's own random numbers, which noise and dropout use, for one step."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, 1)).generate_state(1, np.uint64)[0]))
