"""A diffusion prior: from an embedding of words to one that a picture of them might have (Ramesh et al. 2022).

The network is diffusers' `PriorTransformer` in a small configuration, without the tokens' own states.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from onnx_export.torchvision_ops import declare_missing_operators


@dataclass(frozen=True, slots=True)
class PriorSize:
    """Shape of the network, in diffusers' terms."""

    n_embedding: int = 384
    heads: int = 5
    head_width: int = 64
    layers: int = 3
    levels: int = 1000
    """Noise levels, on the cosine schedule."""


class Prior(nn.Module):
    """A noised picture embedding to an estimate of the clean one, both normalised by `mean` and `std`."""

    mean: torch.Tensor
    std: torch.Tensor
    network: Any
    """For type checkers diffusers shows a stand-in that is no module."""

    def __init__(self, size: PriorSize):
        super().__init__()
        self._operators = declare_missing_operators()
        from diffusers import PriorTransformer

        self.size = size
        # Not used here: they travel with the weights, since these mean nothing without them.
        self.register_buffer("mean", torch.zeros(size.n_embedding))
        self.register_buffer("std", torch.ones(size.n_embedding))
        self.network = PriorTransformer(
            num_attention_heads=size.heads,
            attention_head_dim=size.head_width,
            num_layers=size.layers,
            embedding_dim=size.n_embedding,
            num_embeddings=0,
            additional_embeddings=4,
            encoder_hid_proj_type=None,
        )

    def forward(self, noised: torch.Tensor, timestep: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Return the estimate (batch, n_embedding) of the clean embedding.

        `noised` is (batch, n_embedding), `timestep` (batch,) the level of noise, `embedding` (batch, n_embedding) that
        of the words, or zeros for none.
        """
        # Unit vectors of many numbers are small in each; scaled up to a deviation of one.
        scaled = embedding * self.size.n_embedding**0.5
        return self.network(noised, timestep, scaled, return_dict=False)[0]
