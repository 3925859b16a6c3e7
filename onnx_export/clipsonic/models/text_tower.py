"""The text tower, words to the joint embedding: open_clip's text transformer in a small configuration.

Its tokenizer is CLIP's own.

Official CLIP text towers are the same class in larger sizes, so they take the same road to ONNX.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import nn

from onnx_export.torchvision_ops import declare_missing_operators


@dataclass(frozen=True, slots=True)
class TextTowerSize:
    """Shape of the network, in open_clip's terms."""

    context_length: int = 77
    vocab_size: int = 49408
    width: int = 256
    heads: int = 4
    layers: int = 4
    n_embedding: int = 384


class TextTower(nn.Module):
    """Token ids (batch, up to context_length), ended by CLIP's end-of-text id, to unit vectors (batch, n_embedding)."""

    def __init__(self, size: TextTowerSize):
        super().__init__()
        self._operators = declare_missing_operators()
        from open_clip.transformer import TextTransformer

        self.size = size
        self.transformer = TextTransformer(
            context_length=size.context_length,
            vocab_size=size.vocab_size,
            width=size.width,
            heads=size.heads,
            layers=size.layers,
            output_dim=size.n_embedding,
        )

        self._mask = self.transformer.attn_mask

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, n_embedding) for token ids (batch, up to context_length)."""
        # open_clip's mask has the full context length; shorter batches train several times faster.
        length = tokens.shape[1]
        self.transformer.attn_mask = self._mask[:length, :length].to(tokens.device)
        return nn.functional.normalize(self.transformer(tokens).float(), dim=-1)

    @torch.no_grad()
    def start_from_words(self, vectors: np.ndarray) -> None:
        """Begin with the principal components of the teacher's vectors (vocab_size, n) for each token's own text.

        A word that no training sentence holds then still has a sensible embedding.
        """
        centred = torch.from_numpy(vectors - vectors.mean(axis=0))
        _, _, components = torch.linalg.svd(centred[:: max(1, len(centred) // 8000)], full_matrices=False)
        reduced = centred @ components[: self.size.width].T
        self.transformer.token_embedding.weight.copy_(reduced / reduced.std() * 0.05)


@cache
def _tokenizer():
    """Return open_clip's own tokenizer, read from its file once."""
    from open_clip import SimpleTokenizer

    return SimpleTokenizer()


def token_texts() -> list[str]:
    """Return the plain text that each id of CLIP's vocabulary stands for."""
    tokenizer = _tokenizer()
    return [tokenizer.decode([i]).strip() or "." for i in range(tokenizer.vocab_size)]


def tokenize(texts: list[str], context_length: int) -> torch.Tensor:
    """Return ids (len(texts), longest text) by open_clip's own tokenizer, trailing padding cut away."""
    ids = _tokenizer()(texts, context_length=context_length)
    return ids[:, : int((ids != 0).sum(dim=1).max())]


class TextEncoder(Protocol):
    """A text tower, or a network in its place."""

    @property
    def size(self) -> TextTowerSize:
        """Shape of the text tower."""
        ...

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, n_embedding) for token ids (batch, tokens)."""
        ...


@torch.no_grad()
def embed_texts(tower: TextEncoder, texts: list[str], batch: int = 256) -> np.ndarray:
    """Return the unit vectors, float32 (len(texts), n_embedding), of texts."""
    parts = [texts[i : i + batch] for i in range(0, len(texts), batch)]
    return np.concatenate([tower(tokenize(part, tower.size.context_length)).numpy() for part in parts])
