"""Train the denoiser with all data on the device, then teach it guidance away from an earlier state of itself."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training.conditioning import Conditioning
from onnx_export.clipsonic.training.denoiser import (
    DenoiserTraining,
    device_attention,
    flow_loss,
    parameter_groups,
    start_denoiser,
)
from onnx_export.clipsonic.training.resident.examples import ResidentExamples
from onnx_export.clipsonic.training.resident.guidance import Autoguide, with_guidance
from onnx_export.clipsonic.training.resident.mel_table import build_mel_table
from onnx_export.clipsonic.training.resident.validation import validation_errors
from onnx_export.data.sounds import SoundDataset
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, load_ema, read_start, save_weights
from onnx_export.training.ema import EMA
from onnx_export.training.loop import BUDGET_WARMUP, Schedule, run_steps, step_optimiser
from onnx_export.training.run import TrainingRun

log = logging.getLogger(__name__)

LEAST_RATE = 0.1
"""Share of the learning rate that is left when guidance begins to be taught."""


@dataclass(frozen=True, slots=True)
class TwoPhases(Schedule):
    """Warm-up, a constant rate and a cool-down for the plain network; then a smaller rate that ends at nothing."""

    teach_from: float = 1.0
    """Share of the run at which the second phase begins."""
    second_rate: float = 0.35
    """Rate that the second begins with, as a share of the largest."""

    def rate(self, step: int, spent_s: float = 0.0) -> float:
        """Return the learning rate at `step`, counted from 0, after so many seconds of training."""
        fraction = self.fraction(step, spent_s)
        if fraction >= self.teach_from:
            return self.learning_rate * self.second_rate * max(0.0, 1 - fraction) / max(1e-9, 1 - self.teach_from)
        rising = (step + 1) / self.warmup if self.budget_s is None else 0.01 + fraction / BUDGET_WARMUP
        falling = LEAST_RATE + (1 - LEAST_RATE) * (1 - fraction / self.teach_from) / self.cooldown
        return self.learning_rate * min(rising, falling, 1.0)


class _Phases:
    """The states that a run keeps on its way, and the guide that is made of them, also when the run is resumed."""

    def __init__(self, checkpoint: Checkpoint, training: DenoiserTraining, run: TrainingRun):
        self.checkpoint, self.training = checkpoint, training
        self.device = run.device
        self.weak, self.unguided = (run.path.with_suffix(f".{name}.pt") for name in ("weak", "unguided"))
        if not read_start(run.path):
            # Of a run that began here before, and was thrown away.
            for path in (self.weak, self.unguided):
                path.unlink(missing_ok=True)
        self.guide: Autoguide | None = None

    def advance(self, step: int, fraction: float, size: DenoiserSize) -> Autoguide | None:
        """Keep the state where its time has come, and return the guide from the second phase on."""
        settings = self.training.autoguidance
        if fraction >= settings.weak_at:
            self._keep(self.weak, step)
        if fraction < settings.teach_from:
            return None
        self._keep(self.unguided, step)
        if self.guide is None:
            log.info("step %d  guidance is taught from here", step)
            self.guide = Autoguide(self._load(self.unguided, size), self._load(self.weak, size), settings)
        return self.guide

    def _keep(self, path: Path, step: int) -> None:
        if not path.exists():
            save_weights(path, self.checkpoint.facts(step), self.checkpoint.parts["average"].state_dict())

    def _load(self, path: Path, size: DenoiserSize) -> Denoiser:
        model = Denoiser(size)
        load_ema(path, model)
        return model.to(self.device).requires_grad_(requires_grad=False)


def train_resident_denoiser(
    conditioning: Conditioning, size: DenoiserSize, training: DenoiserTraining, run: TrainingRun, embedding: str
) -> None:
    """Train until the run's budget or `training.steps`, continuing from the run's checkpoint where it exists.

    Beside the checkpoint are kept, in half precision: the state that is guided away from ('.weak.pt'), the state
    before guidance is taught ('.unguided.pt'), and the averaged weights at the end ('.half.pt').

    Args:
        conditioning: Sounds of a catalogue, with the embeddings of their labels.
        size: Shape of the network.
        training: Hyperparameters.
        run: As for `train_denoiser`.
        embedding: Name of the space of the conditions, stored with the weights.

    Raises:
        ValueError: For conditionings or clips that do not fit on the device as tables.
    """
    dataset = conditioning.dataset
    if not isinstance(dataset, SoundDataset):
        raise ValueError("training.resident is true, expected sounds of a catalogue: videos are read as they are drawn")
    seed = run.start_seed()
    model, norm = start_denoiser(conditioning, size, run)
    model.to(run.device).train()
    model.set_dropout(training.augmentation.dropout)
    table = build_mel_table(dataset, training.augmentation.length_percent, run.device)
    log.info("%d frames on %s, in %d copies", table.silence, run.device, len(table.starts))
    examples, held_out = (
        ResidentExamples(conditioning, norm, training, size.patch, table, split) for split in ("train", "valid")
    )
    ema = EMA(model, training.ema_decay)
    averaged = Denoiser(size).to(run.device).requires_grad_(requires_grad=False).eval()
    optimiser = torch.optim.AdamW(parameter_groups(model, training.weight_decay), betas=(0.9, 0.99), fused=True)
    metadata = CheckpointMetadata(embedding, conditioning.kinds, size.heads, seed)
    checkpoint = Checkpoint(run.path, {"model": model, "average": ema, "optimiser": optimiser}, metadata)
    schedule = _schedule(training, run)
    phases = _Phases(checkpoint, training, run)

    def do_step(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        guide = phases.advance(step, schedule.fraction(step, checkpoint.spent_s), size)
        batch = examples.draw(rng)
        batch = with_guidance(batch, training.distilled_guidance_max) if guide else batch
        with device_attention(run.device):
            loss = flow_loss(model, batch, training, guide)
            value = step_optimiser(optimiser, loss, model.parameters())
        ema.update(model)
        return {"loss": value}

    def validate(_: np.random.Generator) -> dict[str, float]:
        averaged.load_state_dict(ema.state)
        with device_attention(run.device):
            fit = validation_errors(averaged, examples)
            errors = validation_errors(averaged, held_out) if len(held_out) else {}
        return errors | {f"fit_{name}": value for name, value in fit.items() if name.startswith("error")}

    run_steps(checkpoint, [optimiser], schedule, do_step, validate, run.intervals)
    checkpoint.save_average(read_start(run.path))


def _schedule(training: DenoiserTraining, run: TrainingRun) -> TwoPhases:
    return TwoPhases(
        training.steps,
        training.learning_rate,
        training.warmup_steps,
        budget_s=run.budget_s,
        teach_from=training.autoguidance.teach_from,
        second_rate=training.autoguidance.rate,
    )
