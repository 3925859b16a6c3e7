"""Conditional diffusion over log-mel spectrograms: a transformer over patches of a few frames.

Blocks with adaptive layer norm after DiT (Peebles and Xie 2023), the modulation shared by all blocks up to a table
of their own as in PixArt-alpha (Chen et al. 2024), rotary positions (Su et al. 2021). It predicts the clean
spectrogram: a patch has more numbers than the network has channels, and clean patches lie on a smaller set than
noise does; the condition also stands among the tokens (both Li and He 2025). With a skip, the grain of the noised
spectrogram goes round the network (`preconditioning`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsonic.models.preconditioning import filtered_estimate, scalings

HEAD_WIDTH = 64
"""Width of a head in checkpoints that do not say how many heads they have."""


@dataclass(frozen=True, slots=True)
class DenoiserSize:
    """Shape of the network."""

    n_mels: int = 128
    n_embedding: int = 384
    """Numbers in the joint embedding that conditions it."""
    patch: int = 4
    """Mel frames in a token."""
    width: int = 384
    depth: int = 8
    heads: int = 6
    expansion: int = 4
    context: int = 4
    """Tokens made of the embedding that stand before the patches."""
    skip: bool = False
    """Whether the grain of the noised spectrogram goes round the network; without, all goes through it."""
    filter: bool = False
    """Whether an estimate that was trained without a skip gets its grain by a Wiener filter behind the network."""

    @classmethod
    def of_weights(cls, weights: Mapping[str, torch.Tensor], heads: int | None) -> "DenoiserSize":
        """Return the shape of the network that has these weights; of the heads they say nothing."""
        width, patch_numbers = weights["patch_in.weight"].shape
        n_mels = len(weights["mel_mean"])
        return cls(
            n_mels=n_mels,
            n_embedding=weights["from_embedding.0.weight"].shape[1],
            patch=patch_numbers // n_mels,
            width=width,
            depth=len({name.split(".")[1] for name in weights if name.startswith("blocks.")}),
            heads=heads or max(1, width // HEAD_WIDTH),
            expansion=weights["blocks.0.feed.0.weight"].shape[0] // width,
            context=weights["to_context.weight"].shape[0] // width,
            skip="grain_variance" in weights,
            filter="filter_variance" in weights,
        )


def fourier_features(values: torch.Tensor, n: int, fastest: float) -> torch.Tensor:
    """Return (batch, 2n) cosines and sines of (batch,) values at `n` frequencies.

    They reach from `fastest` to a thousandth of it.
    """
    frequencies = fastest * torch.exp(torch.linspace(0, -math.log(1000.0), n, device=values.device))
    angles = values[:, None].float() * frequencies[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def rotate(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Apply the rotary position to queries or keys (batch, heads, tokens, channels)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosines - b * sines, a * sines + b * cosines], dim=-1)


class Block(nn.Module):
    """Attention, then a feed-forward network, both modulated: (batch, tokens, width) in and out."""

    def __init__(self, size: DenoiserSize):
        super().__init__()
        self.heads = size.heads
        self.norm_attention = nn.LayerNorm(size.width, eps=1e-6, elementwise_affine=False)
        self.norm_feed = nn.LayerNorm(size.width, eps=1e-6, elementwise_affine=False)
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.out = nn.Linear(size.width, size.width)
        self.feed = nn.Sequential(
            nn.Linear(size.width, size.expansion * size.width),
            nn.GELU(approximate="tanh"),
            nn.Linear(size.expansion * size.width, size.width),
        )
        self.dropout = nn.Dropout(0.0)
        self.table = nn.Parameter(torch.randn(6, size.width) / size.width**0.5)

    def forward(
        self, x: torch.Tensor, modulation: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
    ) -> torch.Tensor:
        """Return the tokens after attention and feed-forward.

        `modulation` is (batch, 6, width); `cosines` and `sines` (tokens, channels / 2) are the rotary positions.
        """
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (modulation + self.table[None]).unsqueeze(2).unbind(1)
        h = self.norm_attention(x) * (1 + scale_a) + shift_a
        x = x + gate_a * self.dropout(self.attend(h, cosines, sines))
        h = self.norm_feed(x) * (1 + scale_f) + shift_f
        return x + gate_f * self.dropout(self.feed(h))

    def attend(self, h: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
        """Return the attention of every token to every token, (batch, tokens, width) in and out."""
        batch, tokens, width = h.shape
        parts = self.qkv(h).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = rotate(parts[0], cosines, sines), rotate(parts[1], cosines, sines), parts[2]
        mixed = functional.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Denoiser(nn.Module):
    """A noised spectrogram to an estimate of the clean one.

    `noised` (batch, n_mels, frames), frames a multiple of `patch`, is (1 - sigma) * clean + sigma * noise in units
    of the normalised mel; `sigma` (batch,) in [0, 1]; `embedding` (batch, n_embedding) of unit length, or zeros for
    no condition; `seconds` (batch,) is the length asked for; `guidance` (batch,) is how far the estimate goes from
    the one without condition to the one with it, 1 for just there. Gives (batch, n_mels, frames).
    """

    mel_mean: torch.Tensor
    mel_std: torch.Tensor
    grain_variance: torch.Tensor | None
    filter_variance: torch.Tensor | None

    def __init__(self, size: DenoiserSize):
        super().__init__()
        self.size = size
        width = size.width
        # Not used here: they travel with the weights, since these mean nothing without them.
        self.register_buffer("mel_mean", torch.zeros(size.n_mels))
        self.register_buffer("mel_std", torch.ones(size.n_mels))
        # Measured on the training data; None for networks without a skip.
        self.register_buffer("grain_variance", torch.ones(size.n_mels, 1) if size.skip else None)
        self.register_buffer("filter_variance", torch.ones(size.n_mels, 1) if size.filter else None)
        self.patch_in = nn.Linear(size.n_mels * size.patch, width)
        self.patch_out = nn.Linear(width, size.n_mels * size.patch)
        self.norm_out = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.from_sigma = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))
        self.from_seconds = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.from_guidance = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.from_embedding = nn.Sequential(
            nn.Linear(size.n_embedding, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.to_context = nn.Linear(width, size.context * width)
        self.to_modulation = nn.Linear(width, 6 * width)
        self.table_out = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.depth))
        self._start_small()

    def _start_small(self) -> None:
        """Every block starts as the identity, and the first estimate is the mean: zero."""
        for layer in (self.to_modulation, self.patch_out, self.to_context, self.from_guidance[-1]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        for block in self.blocks:
            table = block.get_parameter("table")
            nn.init.zeros_(table[2].data)
            nn.init.zeros_(table[5].data)

    def set_dropout(self, probability: float) -> None:
        """Set the probability with which numbers of a block's output are left out in training."""
        for block in self.blocks:
            block.get_submodule("dropout").p = probability  # type: ignore[assignment]

    def forget_conditions(self) -> None:
        """Reset the layers that read embeddings, and keep those that know sounds."""
        for layer in self.from_embedding:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
        nn.init.zeros_(self.to_context.weight)
        nn.init.zeros_(self.to_context.bias)

    def forward(
        self,
        noised: torch.Tensor,
        sigma: torch.Tensor,
        embedding: torch.Tensor,
        seconds: torch.Tensor,
        guidance: torch.Tensor,
    ) -> torch.Tensor:
        """Return the estimate of the clean spectrogram, (batch, n_mels, frames); the class documents the arguments."""
        if self.filter_variance is not None:
            smooth = self.predict(noised, sigma, embedding, seconds, guidance)
            return filtered_estimate(smooth.to(noised.dtype), noised, sigma, self.filter_variance)
        if self.grain_variance is None:
            return self.predict(noised, sigma, embedding, seconds, guidance)
        skip, out, scale = scalings(sigma, self.grain_variance)
        predicted = self.predict(noised * scale, sigma, embedding, seconds, guidance)
        return skip * noised + out * predicted.to(noised.dtype)

    def predict(
        self,
        noised: torch.Tensor,
        sigma: torch.Tensor,
        embedding: torch.Tensor,
        seconds: torch.Tensor,
        guidance: torch.Tensor,
    ) -> torch.Tensor:
        """Return what the transformer gives, (batch, n_mels, frames): the estimate itself where there is no skip."""
        text = self.words(embedding)
        condition = text + self.moment(sigma, seconds) + self.from_guidance(fourier_features(guidance, 16, 3.0))
        modulation = self.to_modulation(functional.silu(condition)).unflatten(-1, (6, self.size.width))
        patches = self.patch_in(self.patchify(noised))
        context = self.to_context(functional.silu(text)).unflatten(-1, (self.size.context, self.size.width))
        x = torch.cat([context.to(patches.dtype), patches], dim=1)
        cosines, sines = self.positions(patches.shape[1], x.device)
        for block in self.blocks:
            x = block(x, modulation, cosines, sines)
        x = x[:, self.size.context :]
        shift, scale = (condition[:, None] + self.table_out[None]).unsqueeze(2).unbind(1)
        return self.unpatchify(self.patch_out(self.norm_out(x) * (1 + scale) + shift))

    def words(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the embeddings (batch, n_embedding) of the condition as (batch, width)."""
        # Unit vectors of many numbers are small in each; scaled up to a deviation of one.
        return self.from_embedding(embedding * self.size.n_embedding**0.5)

    def moment(self, sigma: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
        """Return noise level and length as one vector (batch, width)."""
        time = self.from_sigma(fourier_features(sigma, 64, 1000.0))
        return time + self.from_seconds(fourier_features(torch.log(seconds), 32, 30.0))

    def positions(self, patches: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosines and sines (context + patches, channels / 2) of the rotary positions.

        The context stands at 0.
        """
        half = self.size.width // self.size.heads // 2
        frequencies = torch.exp(torch.arange(half, device=device) * (-math.log(10000.0) / half))
        indices = functional.pad(torch.arange(patches, device=device), (self.size.context, 0))
        angles = indices[:, None] * frequencies[None]
        return torch.cos(angles), torch.sin(angles)

    def patchify(self, mel: torch.Tensor) -> torch.Tensor:
        """Return a spectrogram (batch, n_mels, frames) as patches (batch, frames / patch, n_mels * patch)."""
        tokens = mel.shape[2] // self.size.patch
        patches = mel.reshape(-1, self.size.n_mels, tokens, self.size.patch)
        return patches.permute(0, 2, 1, 3).reshape(-1, tokens, self.size.n_mels * self.size.patch)

    def unpatchify(self, x: torch.Tensor) -> torch.Tensor:
        """Return patches as a spectrogram, the inverse of `patchify`."""
        tokens = x.shape[1]
        patches = x.reshape(-1, tokens, self.size.n_mels, self.size.patch).permute(0, 2, 1, 3)
        return patches.reshape(-1, self.size.n_mels, tokens * self.size.patch)
