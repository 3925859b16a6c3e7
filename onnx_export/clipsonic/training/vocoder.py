"""Train the vocoder on recorded sound: spectral losses first, then discriminators at several resolutions."""

import logging
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.vocoder import LogMel, Vocoder, VocoderSize, inverse_stft
from onnx_export.data.sounds import SoundDataset
from onnx_export.training.checkpoint import Checkpoint, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, precision, run_steps, step_optimiser
from plugin_server.audio.spectral import MelSettings

log = logging.getLogger(__name__)

RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512), (256, 64))
"""(n_fft, hop) of the spectra that are compared."""


@dataclass(frozen=True, slots=True)
class VocoderTraining:
    """How the vocoder is taught."""

    steps: int = 20_000
    batch: int = 8
    frames: int = 48
    """Length of a training crop in mel frames."""
    learning_rate: float = 8e-4
    adversarial_from: int = 8_000
    """First step with discriminators; never when it is at least `steps`."""
    discriminator_channels: int = 16
    min_source_rate_hz: int = 40_000
    """Sources with less bandwidth would teach dull highs."""


class SpectrogramDiscriminator(nn.Module):
    """Judges the complex spectrogram at one resolution (UnivNet; Vocos): features of every layer, score last."""

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
    """One judge a resolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.judges = nn.ModuleList(SpectrogramDiscriminator(n, channels) for n in (2048, 1024, 512))

    def forward(self, samples: torch.Tensor) -> list[list[torch.Tensor]]:
        return [judge(samples) for judge in self.judges]


def spectral_loss(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Multi-resolution STFT loss (Yamamoto et al. 2020): log-magnitude L1 and spectral convergence."""
    total = made.new_zeros(())
    for n_fft, hop in RESOLUTIONS:
        window = torch.hann_window(n_fft, device=made.device)
        a, b = (
            torch.sqrt(s.real**2 + s.imag**2 + 1e-9)
            for s in (torch.stft(x, n_fft, hop, window=window, return_complex=True) for x in (made, real))
        )
        convergence = torch.linalg.vector_norm(a - b, dim=(1, 2)) / torch.linalg.vector_norm(b, dim=(1, 2)).clamp_min(1)
        total = total + functional.l1_loss(torch.log(a + 1e-3), torch.log(b + 1e-3)) + convergence.mean()
    return total / len(RESOLUTIONS)


def judge_loss(real: list[list[torch.Tensor]], made: list[list[torch.Tensor]]) -> torch.Tensor:
    """Hinge loss of the discriminators."""
    pairs = zip(real, made, strict=True)
    return reduce(torch.add, [functional.relu(1 - r[-1]).mean() + functional.relu(1 + m[-1]).mean() for r, m in pairs])


def fool_loss(real: list[list[torch.Tensor]], made: list[list[torch.Tensor]]) -> torch.Tensor:
    """Hinge loss of the vocoder, with feature matching."""
    total = made[0][-1].new_zeros(())
    for r, m in zip(real, made, strict=True):
        matching = sum(functional.l1_loss(b, a.detach()) for a, b in zip(r[:-1], m[:-1], strict=True))
        total = total + functional.relu(1 - m[-1]).mean() + matching
    return total


class CropSampler:
    """Random crops of real sound; a recording is drawn in the square root of its length."""

    def __init__(self, cache: SoundDataset, training: VocoderTraining, hop: int, seed: int | None):
        """Without a seed, other crops each time."""
        self.cache, self.batch, self.length = cache, training.batch, training.frames * hop
        fit = [i for i in cache.indices("train") if cache.sounds[i].source_rate_hz >= training.min_source_rate_hz]
        self.indices = np.array([i for i in fit if np.diff(cache.sample_bounds[i : i + 2])[0] > self.length])
        weight = np.sqrt(np.diff(cache.sample_bounds)[self.indices])
        self.odds = weight / weight.sum()
        self.rng = np.random.default_rng(seed)

    def draw(self) -> torch.Tensor:
        """Samples (batch, frames * hop) with random gain."""
        waves = [self._crop(i) for i in self.rng.choice(self.indices, self.batch, p=self.odds)]
        return torch.from_numpy(np.stack(waves))

    def _crop(self, index: int) -> np.ndarray:
        low, high = self.cache.sample_bounds[index : index + 2]
        start = self.rng.integers(low, high - self.length + 1)
        gain = 10 ** (self.rng.uniform(-9, 0) / 20)
        return self.cache.samples[start : start + self.length].astype(np.float32) * np.float32(gain / 32767)


def train_vocoder(
    cache: SoundDataset,
    mel: MelSettings,
    size: VocoderSize,
    training: VocoderTraining,
    path: Path,
    device: torch.device,
) -> None:
    """Train until `training.steps`, going on from `path` where it exists."""
    vocoder, judges = (
        Vocoder(mel, size).to(device),
        Discriminators(training.discriminator_channels).to(device),
    )
    average = EMA(vocoder)
    log_mel = LogMel(mel).to(device)
    own = torch.optim.AdamW(vocoder.parameters(), lr=training.learning_rate, betas=(0.8, 0.95))
    theirs = torch.optim.AdamW(judges.parameters(), lr=training.learning_rate, betas=(0.8, 0.95))
    parts: dict[str, Stateful] = {"model": vocoder, "average": average, "own": own, "judges": judges, "theirs": theirs}
    checkpoint = Checkpoint(path, parts)
    crops = CropSampler(cache, training, mel.hop, seed=None)

    def do_step(step: int) -> dict[str, float]:
        real = crops.draw().to(device)
        target = log_mel(real)
        with precision(device):
            spectrum = vocoder(target)
        made = inverse_stft(spectrum, mel)
        mel_loss, stft_loss = functional.l1_loss(log_mel(made), target), spectral_loss(made, real)
        figures = {"mel": float(mel_loss.detach()), "stft": float(stft_loss.detach())}
        loss = 2 * mel_loss + stft_loss
        if step >= training.adversarial_from:
            with precision(device):
                real_views = judges(real)
                verdict = judge_loss(real_views, judges(made.detach()))
            figures["judges"] = step_optimiser(theirs, verdict, judges.parameters())
            with precision(device):
                fooled = fool_loss(judges(real), judges(made))
            figures["fool"] = float(fooled.detach())
            loss = 15 * mel_loss + stft_loss + fooled
        step_optimiser(own, loss, vocoder.parameters(), max_norm=10.0)
        average.update(vocoder)
        return figures

    run_steps(checkpoint, [own, theirs], Schedule(training.steps, training.learning_rate), do_step)
