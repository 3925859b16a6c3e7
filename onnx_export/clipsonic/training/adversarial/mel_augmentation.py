"""Mels as a denoiser makes them, smoother than real ones and off a little, for a vocoder that shall sound of those.

The vocoder's target is the real sound, so that it learns to supply the texture which such mels lack.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch.nn import functional

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.training.checkpoint import CheckpointMetadata
from onnx_export.training.loop import precision
from plugin_server.audio.spectral import MelSettings

log = logging.getLogger(__name__)

LEAST_SIGMA, MOST_SIGMA = 0.05, 0.5
"""Noise levels from which a denoiser reconstructs real mels."""


@dataclass(frozen=True, slots=True)
class MelAugmentation:
    """How many of the vocoder's inputs are changed, and how much."""

    share: float = 0.4
    """Share of the inputs that are smoothed and noised."""
    noise: float = 0.12
    """Largest deviation of the noise, in nepers."""
    smoothing: float = 1.0
    """Largest part that the mean over neighbouring frames and bands has in a smoothed mel."""
    denoised_share: float = 0.3
    """Share of the inputs that are a denoiser's reconstructions, once there is one."""


def local_mean(mel: torch.Tensor, size: int) -> torch.Tensor:
    """Return the means of log-mels (batch, n_mels, frames) over squares of `size` bands and frames."""
    side = size // 2
    padded = functional.pad(mel[:, None], (side, side, side, side), mode="replicate")
    return functional.avg_pool2d(padded, size, 1)[:, 0]


def smooth_and_noise(mel: torch.Tensor, augmentation: MelAugmentation) -> torch.Tensor:
    """Return log-mels (batch, n_mels, frames), some of them mixed with their local means and noised a little.

    The means are those of logarithms, as a denoiser's estimates are.
    """
    batch, device = len(mel), mel.device
    is_changed = (torch.rand(batch, device=device) < augmentation.share)[:, None, None]
    part = augmentation.smoothing * torch.rand(batch, 1, 1, device=device)
    deviation = augmentation.noise * torch.rand(batch, 1, 1, device=device)
    changed = mel + part * (local_mean(mel, 5) - mel) + deviation * torch.randn_like(mel)
    return torch.where(is_changed, changed, mel)


class Reconstruction:
    """A denoiser in training, whose checkpoint is read again when it has changed."""

    def __init__(self, path: Path, device: torch.device):
        """Name the checkpoint, which need not be there yet."""
        self.path, self.device = path, device
        self.denoiser: Denoiser | None = None
        self._stamp = 0

    def refresh(self) -> bool:
        """Read the checkpoint where it is new, and return whether there is a denoiser."""
        stamp = self.path.stat().st_mtime_ns if self.path.exists() else 0
        if stamp != self._stamp:
            self._stamp = stamp
            self._read()
        return self.denoiser is not None

    def _read(self) -> None:
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            weights, heads = saved["average"]["state"], CheckpointMetadata.from_saved(saved).heads
            denoiser = Denoiser(DenoiserSize.of_weights(weights, heads))
            denoiser.load_state_dict(weights)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnpicklingError) as error:
            # It comes from a run beside this one, which shall not stop this one.
            log.warning("%s cannot be read as a denoiser: %s", self.path, error)
            return
        log.info("the denoiser of step %d reconstructs mels", saved["step"])
        self.denoiser = denoiser.to(self.device).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def __call__(self, log_mel: torch.Tensor, mel: MelSettings) -> torch.Tensor:
        """Return what the denoiser makes of noised log-mels (batch, n_mels, frames), without condition."""
        if self.denoiser is None:
            return log_mel
        size = self.denoiser.size
        mean, std = self.denoiser.mel_mean[:, None], self.denoiser.mel_std[:, None]
        n, frames = len(log_mel), log_mel.shape[2] // size.patch * size.patch
        clean = (log_mel[..., :frames] - mean) / std
        sigma = LEAST_SIGMA + (MOST_SIGMA - LEAST_SIGMA) * torch.rand(n, device=log_mel.device)
        level, ones = sigma[:, None, None], torch.ones_like(sigma)
        noised = (1 - level) * clean + level * torch.randn_like(clean)
        embedding = log_mel.new_zeros(n, size.n_embedding)
        with precision(log_mel.device):
            estimate = self.denoiser(noised, sigma, embedding, ones * (frames * mel.hop / mel.sample_rate), ones)
        return torch.cat([estimate.float() * std + mean, log_mel[..., frames:]], dim=2)
