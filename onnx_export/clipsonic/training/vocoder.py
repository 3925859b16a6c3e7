"""Train the vocoder on recorded sound, against discriminators: mel losses, feature matching, hinge loss."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.models.inverse_stft import inverse_stft
from onnx_export.clipsonic.models.vocoder import LogMel, Vocoder, VocoderSize
from onnx_export.clipsonic.models.vocoder_growth import grow
from onnx_export.clipsonic.training.adversarial.crops import CropSampler, WaveTable
from onnx_export.clipsonic.training.adversarial.discriminators import (
    Discriminators,
    Judgement,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from onnx_export.clipsonic.training.adversarial.losses import MultiScaleMelLoss, spectral_loss
from onnx_export.clipsonic.training.adversarial.mel_augmentation import (
    MelAugmentation,
    Reconstruction,
    local_mean,
    smooth_and_noise,
)
from onnx_export.data.sounds import SoundDataset
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful, load_ema, read_average
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, precision, run_steps, step_optimiser
from onnx_export.training.run import TrainingRun
from plugin_server.audio.spectral import MelSettings

log = logging.getLogger(__name__)

DENOISER_INTERVAL = 50
"""Steps after which the denoiser's checkpoint is looked for again."""


@dataclass(frozen=True, slots=True)
class VocoderTraining:
    """Hyperparameters of the vocoder's training.

    The sizes are those of a GPU: a step takes about 10^12 multiplications. On a processor, a batch of 8 and 4 channels
    of the discriminators take a second.
    """

    steps: int = 20_000
    batch: int = 24
    frames: int = 48
    """Length of a training crop in mel frames."""
    learning_rate: float = 5e-4
    """Vocos'. Some thousand steps are too few for the usual 1e-4 of fine-tuning, and layer norms stand it."""
    adversarial_from: int = 0
    """First step with discriminators; never when it is at least `steps`. A network that begins with random weights
    learns spectra alone for some thousand steps first."""
    adversarial_ramp: int = 200
    """Steps in which the discriminators' weight in the loss rises: at first they know nothing."""
    period_channels: int = 16
    spectrogram_channels: int = 32
    mel_weight: float = 30.0
    """Weight of the vocoder's own mel. What it asks for is known from the input, so it takes no grain away."""
    multi_scale_weight: float = 15.0
    """Weight of the mels at other scales, which would make noise smooth if they were all."""
    feature_weight: float = 2.0
    faster_share: float = 0.3
    """Share of the batches that are played up to 12 % faster."""
    min_source_rate_hz: int = 40_000
    """Sources with less bandwidth would train dull highs."""
    augmentation: MelAugmentation = field(default_factory=MelAugmentation)


class VocoderTrainer:
    """A vocoder and its discriminators with their optimisers: one step, and one validation."""

    def __init__(
        self,
        dataset: SoundDataset,
        vocoder: Vocoder,
        training: VocoderTraining,
        device: torch.device,
        denoiser: Path | None,
    ):
        mel = dataset.mel_settings
        self.training, self.device, self.mel = training, device, mel
        self.vocoder = vocoder.to(device)
        self.discriminators = Discriminators(training.period_channels, training.spectrogram_channels).to(device)
        self.ema = EMA(self.vocoder)
        self.log_mel, self.multi_scale = LogMel(mel).to(device), MultiScaleMelLoss(mel).to(device)
        self.optimiser, self.discriminator_optimiser = (
            torch.optim.AdamW(
                module.parameters(), lr=training.learning_rate, betas=(0.8, 0.99), fused=device.type == "cuda"
            )
            for module in (self.vocoder, self.discriminators)
        )
        length, rate = training.frames * mel.hop, training.min_source_rate_hz
        self.crops, self.held_out = (CropSampler(dataset, length, rate, split) for split in ("train", "valid"))
        self.waves = WaveTable(dataset, device)
        self.reconstruction = Reconstruction(denoiser, device) if denoiser else None

    def parts(self) -> dict[str, Stateful]:
        """Return all that a checkpoint holds, under the names it has there."""
        return {
            "model": self.vocoder,
            "average": self.ema,
            "own": self.optimiser,
            "discriminators": self.discriminators,
            "theirs": self.discriminator_optimiser,
        }

    def make(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the waveform (batch, n) that the vocoder makes of log-mels (batch, n_mels, frames)."""
        with precision(self.device):
            features = self.vocoder.features(log_mel)
        # Half of a half precision's digits would be heard: phases are computed in single precision.
        return inverse_stft(self.vocoder.spectrum(features.float()), self.mel)

    def do_step(self, step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Train on one batch: against the discriminators, once these are trained too."""
        training = self.training
        real = self.waves.draw(self.crops, training.batch, rng, faster=training.faster_share)
        target = self.log_mel(real)
        inputs, is_changed = self._inputs(target, step)
        output = self.make(inputs)
        mel_loss = _mel_loss(self.log_mel(output), target, is_changed)
        if step < training.adversarial_from:
            stft_loss = spectral_loss(output, real)
            losses = {"mel": mel_loss, "stft": stft_loss}
            loss = 2 * mel_loss + stft_loss
        else:
            losses = {"mel": mel_loss, "multi_scale": self.multi_scale(output, real)}
            losses["discriminator"] = self._step_discriminators(real, output.detach())
            losses["adversarial"], losses["features"] = self._judge(real, output)
            ramp = min(1.0, (step - training.adversarial_from + 1) / training.adversarial_ramp)
            judged = losses["adversarial"] + training.feature_weight * losses["features"]
            spectral = training.mel_weight * mel_loss + training.multi_scale_weight * losses["multi_scale"]
            loss = spectral + ramp * judged
        step_optimiser(self.optimiser, loss, self.vocoder.parameters(), max_norm=1e3)
        self.ema.update(self.vocoder)
        return {name: value.detach() for name, value in losses.items()}

    def _inputs(self, target: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vocoder's inputs for the mels it shall reach, and which of them (batch,) are not these mels."""
        augmentation = self.training.augmentation
        inputs = smooth_and_noise(target, augmentation)
        if self.reconstruction:
            if step % DENOISER_INTERVAL == 0 or self.reconstruction.denoiser is None:
                self.reconstruction.refresh()
            n = round(augmentation.denoised_share * len(target))
            if self.reconstruction.denoiser is not None and n:
                made = self.reconstruction(target[:n], self.mel)
                inputs = torch.cat([made, inputs[n:]])
        return inputs, (inputs != target).flatten(1).any(dim=1)

    def _step_discriminators(self, real: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        with precision(self.device):
            both = self.discriminators(torch.cat([real, output]))
        loss = discriminator_loss(*_halves(both))
        return step_optimiser(self.discriminator_optimiser, loss, self.discriminators.parameters(), max_norm=1e3)

    def _judge(self, real: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the adversarial loss and the feature loss of what the vocoder made."""
        self.discriminators.requires_grad_(requires_grad=False)
        with precision(self.device):
            with torch.no_grad():
                real_features = self.discriminators(real)
            output_features = self.discriminators(output)
        self.discriminators.requires_grad_(requires_grad=True)
        return adversarial_loss(output_features), feature_loss(real_features, output_features)

    def validate(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Return the spectral losses on crops of the validation split, and how much of their grain there is."""
        real = self.waves.draw(self.held_out, self.training.batch, rng)
        with evaluating(self.vocoder):
            target = self.log_mel(real)
            output = self.make(target)
            found, smooth = self.log_mel(output), self.log_mel(self.make(local_mean(target, 5)))
        grain = _grain(target)
        return {
            "mel": functional.l1_loss(found, target),
            "stft": spectral_loss(output, real),
            "grain": _grain(found) / grain,
            "grain_of_smooth": _grain(smooth) / grain,
        }


def _halves(both: Judgement) -> tuple[Judgement, Judgement]:
    """Return the first and the second half of a batch."""
    first, second = [], []
    for features in both:
        pairs = [feature.chunk(2) for feature in features]
        first.append([pair[0] for pair in pairs])
        second.append([pair[1] for pair in pairs])
    return first, second


def _mel_loss(found: torch.Tensor, target: torch.Tensor, is_changed: torch.Tensor) -> torch.Tensor:
    """Return the L1 of log-mels, of local means where the input was not the target: its grain cannot be known."""
    difference = found - target
    return torch.where(is_changed[:, None, None], local_mean(difference, 5), difference).abs().mean()


def _grain(mel: torch.Tensor) -> torch.Tensor:
    """Return the deviation of log-mels (batch, n_mels, frames) from their local means, in the upper bands."""
    low = mel.shape[1] * 40 // 128
    return (mel - local_mean(mel, 5))[:, low:].std()


def train_vocoder(dataset: SoundDataset, size: VocoderSize, training: VocoderTraining, run: TrainingRun) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    A new run may begin with the `backbone` of another one, grown where `size` is larger.
    """
    seed = run.start_seed()
    vocoder = _start(dataset.mel_settings, size, run)
    log.info("%.1f million weights", sum(p.numel() for p in vocoder.parameters()) / 1e6)
    trainer = VocoderTrainer(dataset, vocoder, training, run.device, run.denoiser)
    checkpoint = Checkpoint(run.path, trainer.parts(), CheckpointMetadata(seed=seed))
    optimisers = [trainer.optimiser, trainer.discriminator_optimiser]
    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    validate = trainer.validate if len(trainer.held_out) else None
    run_steps(checkpoint, optimisers, schedule, trainer.do_step, validate, run.intervals)


def _start(mel: MelSettings, size: VocoderSize, run: TrainingRun) -> Vocoder:
    if not run.backbone or run.path.exists():
        return Vocoder(mel, size)
    small = Vocoder(mel, VocoderSize.of_weights(read_average(run.backbone)))
    load_ema(run.backbone, small)
    return grow(small, size).train() if small.size != size else small.train()
