"""Batches for the denoiser, drawn, varied and mixed on the device."""

import numpy as np
import torch

from onnx_export.clipsonic.training.conditioning import Conditioning
from onnx_export.clipsonic.training.denoiser import Batch, DenoiserTraining
from onnx_export.clipsonic.training.denoiser_dataset import CANVASES, DenoiserDataset, MelNormalisation
from onnx_export.clipsonic.training.resident.canvases import draw_canvases
from onnx_export.clipsonic.training.resident.embedding_table import build_embedding_table
from onnx_export.clipsonic.training.resident.mel_table import MelTable
from onnx_export.data.sounds import frames_per_second
from plugin_server.audio.spectral import LOG_FLOOR

CANVAS_PARTS = (0.8, 0.9, 1.0)
"""Shares of a canvas' length: few, so that kernels and memory are made for few sizes."""
EQUALISER_WAVES = 5
"""Cosines over the bands that an equaliser's curve is made of."""
DECIBELS_PER_NEPER = 20 / float(np.log(10))
AUDIBLE = 0.5
"""Nepers above the floor from which a band is changed: silence stays silent."""


class ResidentExamples:
    """Draws batches of one split; all that depends on the single clip is done for the batch at once, on its device."""

    def __init__(
        self,
        conditioning: Conditioning,
        norm: MelNormalisation,
        training: DenoiserTraining,
        patch: int,
        table: MelTable,
        split: str = "train",
    ):
        """Take the clips of a split that have a condition, in the odds of `DenoiserDataset`."""
        chosen = DenoiserDataset(conditioning, norm, training, patch, split)
        self.device, self.table, self.training, self.patch = table.frames.device, table, training, patch
        self.mel = conditioning.dataset.mel_settings
        self.rate = frames_per_second(self.mel)
        self.indices = torch.from_numpy(chosen.indices).to(self.device)
        self.ends = torch.from_numpy(np.cumsum(chosen.odds)).float().to(self.device)
        self.mean, self.std = (torch.from_numpy(values).to(self.device) for values in (norm.mean, norm.std))
        self.embeddings = build_embedding_table(conditioning, self.device)
        self.waves = self._equaliser_waves(len(norm.mean))

    def __len__(self) -> int:
        return len(self.indices)

    def _equaliser_waves(self, n_mels: int) -> torch.Tensor:
        orders = torch.arange(1, EQUALISER_WAVES + 1)[:, None]
        waves = torch.cos(torch.pi * orders * (torch.arange(n_mels) + 0.5)[None] / n_mels) / orders
        # Of unit variance, all of them together.
        return (waves / waves.square().sum(dim=0).mean().sqrt()).to(self.device)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw one batch, of one canvas length. What is drawn here is a matter of shapes; all else is on the device."""
        training = self.training
        canvas_s = rng.choice([c.seconds for c in CANVASES], p=[c.odds for c in CANVASES]) * rng.choice(CANVAS_PARTS)
        n_tokens = max(2, round(canvas_s * self.mel.sample_rate / self.mel.hop / self.patch))
        n = max(1, training.tokens // n_tokens)
        mels, embedding = self._clips(n, n_tokens * self.patch)
        n_mixed = int(rng.binomial(n, training.mixup_probability))
        if n_mixed:
            others, other_embedding = self._clips(n_mixed, n_tokens * self.patch)
            # Magnitudes of sounds that know nothing of each other add in power.
            mels[:n_mixed] = 0.5 * torch.logaddexp(2 * mels[:n_mixed], 2 * others)
            embedding[:n_mixed] += other_embedding
        clean = ((mels - self.mean) / self.std).transpose(1, 2).contiguous()
        seconds = torch.full((n,), n_tokens * self.patch * self.mel.hop / self.mel.sample_rate, device=self.device)
        return Batch(clean, self._move(_unit(embedding)), seconds, torch.ones(n, device=self.device))

    def _clips(self, n: int, n_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-mels (n, n_frames, n_mels) of clips in their odds, and an embedding of each."""
        places = torch.searchsorted(self.ends, torch.rand(n, device=self.device)).clamp_max(len(self.indices) - 1)
        clips = self.indices[places]
        rows = draw_canvases(self.table, clips, n_frames, self.rate, self.training.augmentation.copies_share)
        return self._equalise(self.table.frames[rows].float()), self.embeddings.draw(clips)

    def _equalise(self, mels: torch.Tensor) -> torch.Tensor:
        """Change level and colour of each clip a little, as another microphone in another place would."""
        augmentation = self.training.augmentation
        if not augmentation.equaliser_db and not augmentation.gain_db:
            return mels
        n = len(mels)
        curve = torch.randn(n, EQUALISER_WAVES, device=self.device) @ self.waves * augmentation.equaliser_db
        change = (curve + torch.randn(n, 1, device=self.device) * augmentation.gain_db) / DECIBELS_PER_NEPER
        floor = float(np.log(LOG_FLOOR))
        return (mels + change[:, None] * (mels > floor + AUDIBLE)).clamp_min(floor)

    def _move(self, embedding: torch.Tensor) -> torch.Tensor:
        """Move embeddings at random, as `DenoiserDataset` does, and leave some out."""
        n, training = len(embedding), self.training
        others = self.embeddings.draw(self.indices[torch.randint(len(self.indices), (n,), device=self.device)])
        shares = torch.rand(3, n, 1, device=self.device)
        noise = _unit(torch.randn_like(embedding)) * shares[0] * training.embedding_noise
        moved = _unit(embedding + shares[1] * training.cross_label_mix * others + noise)
        return moved * (shares[2] >= training.condition_dropout)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)
