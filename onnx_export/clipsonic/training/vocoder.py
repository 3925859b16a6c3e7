"""Train the vocoder on recorded sound: spectral losses first, then discriminators at several resolutions."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.vocoder import LogMel, Vocoder, VocoderSize, inverse_stft
from onnx_export.data.sounds import SoundDataset
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, precision, run_steps, step_optimiser
from onnx_export.training.run import TrainingRun

RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512), (256, 64))
"""(n_fft, hop) of the spectra that are compared."""


@dataclass(frozen=True, slots=True)
class VocoderTraining:
    """Hyperparameters of the vocoder's training."""

    steps: int = 20_000
    batch: int = 8
    frames: int = 48
    """Length of a training crop in mel frames."""
    learning_rate: float = 8e-4
    adversarial_from: int = 8_000
    """First step with discriminators; never when it is at least `steps`."""
    discriminator_channels: int = 16
    min_source_rate_hz: int = 40_000
    """Sources with less bandwidth would train dull highs."""


class SpectrogramDiscriminator(nn.Module):
    """Scores the complex spectrogram at one resolution (UnivNet; Vocos)."""

    window: torch.Tensor

    def __init__(self, n_fft: int, channels: int):
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        widths = [2] + [channels] * 4
        strides = [(2, 1), (2, 1), (2, 1), (2, 2)]
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(a, b, (7, 3), stride, padding=(3, 1)))
            for a, b, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.score = nn.utils.parametrizations.weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, samples: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every layer for samples (batch, n), the score last."""
        spectrum = torch.stft(samples, self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
        # A compressed magnitude with the phase kept: quiet bins count, and so do phase errors.
        magnitude = spectrum.abs().clamp_min(1e-5)
        x = torch.view_as_real(spectrum * magnitude**-0.5).permute(0, 3, 1, 2)
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.1)
            features.append(x)
        return [*features, self.score(x)]


class Discriminators(nn.Module):
    """One discriminator a resolution."""

    def __init__(self, channels: int):
        super().__init__()
        # The attribute's name is that of the weights in checkpoints.
        self.judges = nn.ModuleList(SpectrogramDiscriminator(n, channels) for n in (2048, 1024, 512))

    def forward(self, samples: torch.Tensor) -> list[list[torch.Tensor]]:
        """Return the features and the score of each for samples (batch, n)."""
        return [discriminator(samples) for discriminator in self.judges]


def spectral_loss(output: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return the multi-resolution STFT loss (Yamamoto et al. 2020): log-magnitude L1 and spectral convergence.

    Both arguments are samples (batch, n).
    """
    total = output.new_zeros(())
    for n_fft, hop in RESOLUTIONS:
        window = torch.hann_window(n_fft, device=output.device)
        a, b = (
            torch.sqrt(s.real**2 + s.imag**2 + 1e-9)
            for s in (torch.stft(x, n_fft, hop, window=window, return_complex=True) for x in (output, real))
        )
        convergence = torch.linalg.vector_norm(a - b, dim=(1, 2)) / torch.linalg.vector_norm(b, dim=(1, 2)).clamp_min(1)
        total = total + functional.l1_loss(torch.log(a + 1e-3), torch.log(b + 1e-3)) + convergence.mean()
    return total / len(RESOLUTIONS)


def discriminator_loss(real: list[list[torch.Tensor]], output: list[list[torch.Tensor]]) -> torch.Tensor:
    """Return the hinge loss of the discriminators, from their features of real sound and of the vocoder's."""
    pairs = zip(real, output, strict=True)
    return reduce(torch.add, [functional.relu(1 - r[-1]).mean() + functional.relu(1 + o[-1]).mean() for r, o in pairs])


def generator_loss(real: list[list[torch.Tensor]], output: list[list[torch.Tensor]]) -> torch.Tensor:
    """Return the hinge loss of the vocoder, with feature matching."""
    total = output[0][-1].new_zeros(())
    for r, o in zip(real, output, strict=True):
        matching = sum(functional.l1_loss(b, a.detach()) for a, b in zip(r[:-1], o[:-1], strict=True))
        total = total + functional.relu(1 - o[-1]).mean() + matching
    return total


class CropSampler:
    """Random crops of recorded sound; a recording is drawn in the square root of its length."""

    def __init__(self, dataset: SoundDataset, training: VocoderTraining, split: str = "train"):
        """Take the sounds of a split that have the bandwidth and are longer than a crop."""
        self.dataset, self.batch = dataset, training.batch
        self.length = training.frames * dataset.mel_settings.hop
        n_samples = np.diff(dataset.sample_bounds)
        wide = [i for i in dataset.indices(split) if dataset.sounds[i].source_rate_hz >= training.min_source_rate_hz]
        self.indices = np.array([i for i in wide if n_samples[i] > self.length], np.int64)
        weights = np.sqrt(n_samples[self.indices])
        self.odds = weights / weights.sum() if len(weights) else weights

    def __len__(self) -> int:
        return len(self.indices)

    def draw(self, rng: np.random.Generator) -> torch.Tensor:
        """Draw samples (batch, frames * hop) with random gain."""
        waves = [self._crop(i, rng) for i in rng.choice(self.indices, self.batch, p=self.odds)]
        return torch.from_numpy(np.stack(waves))

    def _crop(self, index: int, rng: np.random.Generator) -> np.ndarray:
        low, high = self.dataset.sample_bounds[index : index + 2]
        start = rng.integers(low, high - self.length + 1)
        gain = 10 ** (rng.uniform(-9, 0) / 20)
        return self.dataset.samples[start : start + self.length].astype(np.float32) * np.float32(gain / 32767)


class VocoderTrainer:
    """A vocoder and its discriminators with their optimisers: one step, and one validation."""

    def __init__(self, dataset: SoundDataset, size: VocoderSize, training: VocoderTraining, device: torch.device):
        mel = dataset.mel_settings
        self.training, self.device, self.mel = training, device, mel
        self.vocoder = Vocoder(mel, size).to(device)
        self.discriminators = Discriminators(training.discriminator_channels).to(device)
        self.ema = EMA(self.vocoder)
        self.log_mel = LogMel(mel).to(device)
        self.optimiser, self.discriminator_optimiser = (
            torch.optim.AdamW(module.parameters(), lr=training.learning_rate, betas=(0.8, 0.95))
            for module in (self.vocoder, self.discriminators)
        )
        self.crops, self.held_out = CropSampler(dataset, training), CropSampler(dataset, training, "valid")

    def parts(self) -> dict[str, Stateful]:
        """Return all that a checkpoint holds, under the names it has there."""
        return {
            "model": self.vocoder,
            "average": self.ema,
            "own": self.optimiser,
            "judges": self.discriminators,
            "theirs": self.discriminator_optimiser,
        }

    def resynthesise(self, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the waveform that the vocoder makes of samples (batch, n), with its mel loss and its STFT loss."""
        target = self.log_mel(real)
        with precision(self.device):
            spectrum = self.vocoder(target)
        output = inverse_stft(spectrum, self.mel)
        return output, functional.l1_loss(self.log_mel(output), target), spectral_loss(output, real)

    def do_step(self, step: int, rng: np.random.Generator) -> dict[str, float]:
        """Train on one batch: on spectral losses, and against the discriminators once these are trained too."""
        real = self.crops.draw(rng).to(self.device)
        output, mel_loss, stft_loss = self.resynthesise(real)
        losses = {"mel": float(mel_loss.detach()), "stft": float(stft_loss.detach())}
        loss = 2 * mel_loss + stft_loss
        if step >= self.training.adversarial_from:
            losses["discriminator"] = self._step_discriminators(real, output.detach())
            with precision(self.device):
                adversarial = generator_loss(self.discriminators(real), self.discriminators(output))
            losses["adversarial"] = float(adversarial.detach())
            loss = 15 * mel_loss + stft_loss + adversarial
        step_optimiser(self.optimiser, loss, self.vocoder.parameters(), max_norm=10.0)
        self.ema.update(self.vocoder)
        return losses

    def _step_discriminators(self, real: torch.Tensor, output: torch.Tensor) -> float:
        with precision(self.device):
            loss = discriminator_loss(self.discriminators(real), self.discriminators(output))
        return step_optimiser(self.discriminator_optimiser, loss, self.discriminators.parameters())

    def validate(self, rng: np.random.Generator) -> dict[str, float]:
        """Return the spectral losses on crops of the validation split."""
        with evaluating(self.vocoder):
            _, mel_loss, stft_loss = self.resynthesise(self.held_out.draw(rng).to(self.device))
        return {"mel": float(mel_loss), "stft": float(stft_loss)}


def train_vocoder(dataset: SoundDataset, size: VocoderSize, training: VocoderTraining, run: TrainingRun) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists."""
    seed = run.start_seed()
    trainer = VocoderTrainer(dataset, size, training, run.device)
    checkpoint = Checkpoint(run.path, trainer.parts(), CheckpointMetadata(seed=seed))
    optimisers = [trainer.optimiser, trainer.discriminator_optimiser]
    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    validate = trainer.validate if len(trainer.held_out) else None
    run_steps(checkpoint, optimisers, schedule, trainer.do_step, validate, run.intervals)
