"""A small contrastive model of words and sounds (after CLAP, Wu et al. 2023): the condition of CLAP-TTA.

Words are read by the text tower, which stays as it is, and moved by a head of their own.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.text_tower import TextTower


@dataclass(frozen=True, slots=True)
class ClapSize:
    """Shape of the networks."""

    n_embedding: int = 384
    n_mels: int = 128
    width: int = 256
    depth: int = 4
    """Stages, each of which halves the number of frames."""


class WordHead(nn.Module):
    """Text embeddings (batch, n) to the embeddings of their sounds, unit vectors (batch, n)."""

    def __init__(self, size: ClapSize):
        super().__init__()
        n = size.n_embedding
        self.move = nn.Sequential(nn.Linear(n, 2 * n), nn.GELU(), nn.Dropout(0.2), nn.Linear(2 * n, n))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, n) for text embeddings (batch, n)."""
        return functional.normalize(embedding + self.move(embedding * embedding.shape[1] ** 0.5), dim=-1)


class SoundHead(nn.Module):
    """Normalised log-mels (batch, n_mels, frames) to unit vectors (batch, n)."""

    def __init__(self, size: ClapSize):
        super().__init__()
        stages, channels = [], size.n_mels
        for _ in range(size.depth):
            stages += [nn.Conv1d(channels, size.width, 5, 2, 2), nn.GroupNorm(8, size.width), nn.GELU()]
            channels = size.width
        self.stages = nn.Sequential(*stages)
        self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * size.width, size.n_embedding))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, n) for normalised log-mels (batch, n_mels, frames)."""
        h = self.stages(mel)
        return functional.normalize(self.out(torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1)), dim=-1)


class Clap(nn.Module):
    """The contrastive model: a head for words and one for sounds."""

    def __init__(self, size: ClapSize):
        super().__init__()
        self.size = size
        self.words, self.sounds = WordHead(size), SoundHead(size)


class ClapTextTower(nn.Module):
    """Token ids (batch, context) to unit vectors: stands in a bundle where the text tower would."""

    def __init__(self, tower: TextTower, clap: Clap):
        super().__init__()
        self.tower, self.head, self.size = tower, clap.words, tower.size

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, n_embedding) for token ids (batch, context)."""
        return self.head(self.tower(tokens))
