"""Train the separator on mixtures made on the device, and measure it on mixtures of another split."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsep.mixtures import Mixtures, MixtureSampler, MixtureTraining, SeparationData
from onnx_export.clipsep.separator import Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, precision, run_steps, step_optimiser
from onnx_export.training.run import TrainingRun

FLOOR = 1e-3
"""Power, as a share of the mixture's, below which an error, or a source, counts no further: -30 dB."""
VALIDATION_BATCHES = 4


@dataclass(frozen=True, slots=True)
class SeparatorTraining:
    """Hyperparameters of the separator's training."""

    steps: int = 20_000
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.999
    magnitude_weight: float = 4.0
    """Weight of the error of the compressed magnitudes beside that of the spectra, which is in decibels / 10."""
    absent_weight: float = 0.5
    """Weight of a query for a sound that is not there."""
    presence_weight: float = 0.3
    mixtures: MixtureTraining = field(default_factory=MixtureTraining)


def separation_losses(model: Separator, batch: Mixtures, training: SeparatorTraining) -> dict[str, torch.Tensor]:
    """Return the losses by name, each a scalar: 'loss' is what is minimised, 'snr' in dB for sounds that are there."""
    magnitude = batch.mixture.abs()
    power = magnitude.square().mean(dim=(1, 2))
    level = power * 10 ** (0.3 * torch.randn_like(power))
    rest = functional.normalize(model.rest, dim=0)
    queries = torch.where(batch.named[..., None] > 0, batch.queries, rest)
    with precision(magnitude.device):
        masks, presence = model(magnitude, level, queries)
    masks, presence = masks.float(), presence.float()
    error = masks * batch.mixture[:, None] - batch.targets
    floor = FLOOR * power[:, None]
    noise = 10 * torch.log10((error.abs().square().mean(dim=(2, 3)) + floor) / power[:, None])
    signal = 10 * torch.log10((batch.targets.abs().square().mean(dim=(2, 3)) + floor) / power[:, None])
    snr = signal - noise
    compressed = (masks * magnitude[:, None]).clamp_min(1e-9).sqrt() - batch.targets.abs().clamp_min(1e-9).sqrt()
    scale = magnitude.clamp_min(1e-9).sqrt().mean(dim=(1, 2))[:, None]
    magnitudes = compressed.abs().mean(dim=(2, 3)) / scale
    weight = torch.where(batch.present > 0, 1.0, training.absent_weight)
    separation = (weight * (training.magnitude_weight * magnitudes - snr / 10)).sum() / weight.sum()
    logit = torch.logsumexp(presence, dim=2) - math.log(presence.shape[2])
    heard = functional.binary_cross_entropy_with_logits(logit, batch.present, reduction="none")
    heard = (heard * batch.named).sum() / batch.named.sum()
    loss = separation + training.presence_weight * heard
    there = (snr * batch.present * batch.named).sum() / (batch.present * batch.named).sum()
    absent = 1 - batch.present
    silenced = (noise * absent).sum() / absent.sum().clamp_min(1)
    return {"loss": loss, "snr": there, "absent_db": silenced, "presence": heard}


class SeparatorTrainer:
    """A separator with its optimiser: one step, and one validation."""

    def __init__(
        self,
        samplers: tuple[MixtureSampler, MixtureSampler],
        size: SeparatorSize,
        settings: StftSettings,
        training: SeparatorTraining,
        device: torch.device,
    ):
        self.training, self.device = training, device
        self.sampler, self.held_out = samplers
        self.model = Separator(size, settings).to(device)
        if device.type == "cuda":
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            torch.backends.cudnn.benchmark = True
        self.ema = EMA(self.model, training.ema_decay)
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=training.learning_rate,
            betas=(0.9, 0.98),
            fused=device.type == "cuda",
        )

    def parts(self) -> dict[str, Stateful]:
        """Return all that a checkpoint holds, under the names it has there."""
        return {"model": self.model, "average": self.ema, "own": self.optimiser}

    def do_step(self, step: int, rng: np.random.Generator) -> Mapping[str, torch.Tensor]:  # noqa: ARG002
        """Train on one batch of mixtures, drawn with PyTorch's own random numbers."""
        losses = separation_losses(self.model, self.sampler.draw(), self.training)
        step_optimiser(self.optimiser, losses["loss"], self.model.parameters())
        self.ema.update(self.model)
        return {name: value.detach() for name, value in losses.items()}

    def validate(self, rng: np.random.Generator) -> dict[str, float]:  # noqa: ARG002
        """Return the losses of the averaged weights on mixtures of the validation split."""
        current = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.ema.state)
        try:
            with evaluating(self.model):
                batches = [
                    separation_losses(self.model, self.held_out.draw(), self.training)
                    for _ in range(VALIDATION_BATCHES)
                ]
        finally:
            self.model.load_state_dict(current)
        return {name: float(torch.stack([b[name] for b in batches]).mean()) for name in batches[0]}


def train_separator(
    data: SeparationData, size: SeparatorSize, training: SeparatorTraining, run: TrainingRun, embedding: str
) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    Args:
        data: The recordings with their waveforms, and the embeddings that ask for them.
        size: Shape of the network.
        training: Hyperparameters.
        run: Checkpoint, device, seed.
        embedding: Name of the joint embedding that asks.
    """
    settings = StftSettings()
    seed = run.start_seed()
    train, valid = (
        MixtureSampler(data, training.mixtures, settings, run.device, split) for split in ("train", "valid")
    )
    trainer = SeparatorTrainer((train, valid), size, settings, training, run.device)
    kinds = ("text", "image") if data.pictures else ("text",)
    checkpoint = Checkpoint(run.path, trainer.parts(), CheckpointMetadata(embedding, kinds, seed=seed))
    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    run_steps(checkpoint, [trainer.optimiser], schedule, trainer.do_step, trainer.validate, run.intervals)
