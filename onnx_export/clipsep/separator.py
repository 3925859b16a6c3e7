"""The separator: a U-Net over the spectrogram of a mixture whose maps a query weighs into a mask.

After CLIPSep (Dong et al. 2023): the network hears the mixture alone and draws some dozens of maps; an embedding of
words or of a picture weighs them, and their sum is the mask. So one pass serves all queries. Different from the paper:
the query also weighs maps of every level of the decoder, bands are finer at low pitches, and a second head tells
whether the sound is there at all.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from onnx_export.clipsep.spectrum import StftSettings, band_matrix, bin_matrix

LEVELS = 4
"""Resolutions of the U-Net; each halves bands and frames, the first one too."""
FRAME_MULTIPLE = 2**LEVELS
"""Frames come in multiples of this."""
POWER_FLOOR = 1e-6
"""Power, as a share of the mean of the whole sound, under which bands are silent."""


@dataclass(frozen=True, slots=True)
class SeparatorSize:
    """Shape of the network."""

    n_embedding: int = 384
    """Numbers in the joint embedding that asks."""
    widths: tuple[int, ...] = (48, 96, 160, 256)
    """Channels of each level."""
    encoder_blocks: tuple[int, ...] = (1, 2, 2, 2)
    decoder_blocks: tuple[int, ...] = (1, 1, 1)
    """Residual blocks of the levels above the deepest."""
    maps: int = 48
    """Maps in full resolution that a query weighs."""
    level_maps: int = 32
    """Maps of each coarser level that it weighs too."""
    context: int = 512
    """Channels of a whole frame at the deepest level."""
    context_blocks: int = 3
    context_kernel: int = 19
    """Frames of the deepest level, 0.19 s each, that see each other."""
    query_width: int = 512


class ResidualBlock(nn.Module):
    """Two convolutions beside a straight way: (batch, width, bands, frames) in and out."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features after the block."""
        return functional.relu(x + self.layers(x))


def _blocks(width: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(n)))


def _scale(inside: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    padding = (kernel - stride) // 2
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, padding, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class ContextBlock(nn.Module):
    """A depthwise convolution over time and a pointwise network (Liu et al. 2022): (batch, channels, frames)."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.mix_time = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.BatchNorm1d(channels)
        self.feed = nn.Sequential(nn.Conv1d(channels, 3 * channels, 1), nn.ReLU(), nn.Conv1d(3 * channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features after the block."""
        return x + self.feed(self.norm(self.mix_time(x)))


class Context(nn.Module):
    """The deepest level: all bands of a frame are joined, frames see each other, and it is spread over bands again."""

    def __init__(self, size: SeparatorSize, n_bands: int):
        super().__init__()
        self.n_bands, self.width = n_bands, size.widths[-1]
        self.join = nn.Conv1d(n_bands * self.width, size.context, 1)
        self.blocks = nn.Sequential(
            *(ContextBlock(size.context, size.context_kernel) for _ in range(size.context_blocks))
        )
        self.spread = nn.Conv1d(size.context, n_bands * self.width, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features (batch, width, bands, frames) with context, and the frames (batch, context, frames)."""
        frames = self.blocks(self.join(x.flatten(1, 2)))
        spread = self.spread(frames).unflatten(1, (self.width, self.n_bands))
        return functional.relu(x + spread), frames


class Separator(nn.Module):
    """A mixture and queries to one mask a query.

    `magnitude` (batch, n_bins, frames), frames a multiple of `FRAME_MULTIPLE`; `level` (batch,) is the mean power of
    the magnitudes of the whole sound; `queries` (batch, n, n_embedding) of unit length. Gives masks (batch, n, n_bins,
    frames) between 0 and 1, and logits (batch, n, frames / FRAME_MULTIPLE) of each sound being there.
    """

    bands: torch.Tensor
    bins: torch.Tensor

    def __init__(self, size: SeparatorSize, settings: StftSettings):
        super().__init__()
        self.size = size
        widths = list(size.widths)
        n_deep = settings.n_bands // FRAME_MULTIPLE
        self.register_buffer("bands", torch.from_numpy(band_matrix(settings).copy()), persistent=False)
        self.register_buffer("bins", torch.from_numpy(bin_matrix(settings).copy()), persistent=False)
        self.offset = nn.Parameter(torch.zeros(1, 1, settings.n_bands, 1))
        self.rest = nn.Parameter(torch.randn(size.n_embedding) / size.n_embedding**0.5)
        """The query for all that is not named."""
        self.down = nn.ModuleList(_scale(a, b, 4, 2) for a, b in zip([1, *widths], widths, strict=False))
        self.encoder = nn.ModuleList(_blocks(w, n) for w, n in zip(widths, size.encoder_blocks, strict=True))
        self.context = Context(size, n_deep)
        self.up = nn.ModuleList(_scale(b, 4 * a, 1, 1) for a, b in itertools.pairwise(widths))
        self.decoder = nn.ModuleList(_blocks(w, n) for w, n in zip(widths[:-1], size.decoder_blocks, strict=True))
        self.level_maps = nn.ModuleList(nn.Conv2d(w, size.level_maps, 1) for w in widths)
        self.maps = nn.Conv2d(widths[0], 4 * size.maps, 1)
        self.read_query = nn.Sequential(
            nn.Linear(size.n_embedding, size.query_width), nn.SiLU(),
            nn.Linear(size.query_width, size.query_width), nn.SiLU(),
        )  # fmt: skip
        self.weights = nn.Linear(size.query_width, size.maps + LEVELS * size.level_maps + 1)
        self.presence = nn.Linear(size.query_width, size.context + 1)

    def forward(
        self, magnitude: torch.Tensor, level: torch.Tensor, queries: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks and the logits of presence; the class documents shapes."""
        power = (magnitude / level.clamp_min(1e-20).sqrt()[:, None, None]) ** 2
        x = (torch.log(self.bands @ power + POWER_FLOOR)[:, None] + 6) / 4 + self.offset
        levels, frames = self._levels(x)
        # Unit vectors of many numbers are small in each; scaled up to a deviation of one.
        read = self.read_query(queries * self.size.n_embedding**0.5)
        logits = self._weigh(levels, self.weights(read))
        masks = self.bins @ torch.sigmoid(logits.float())
        return masks, self._presence(frames, read)

    def _levels(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return the maps (batch, maps, bands, frames) of full resolution and of each level, and the deep frames."""
        skips = []
        for down, blocks in zip(self.down, self.encoder, strict=True):
            x = blocks(down(x))
            skips.append(x)
        x, frames = self.context(x)
        maps = [self.level_maps[-1](x)]
        for i in range(LEVELS - 2, -1, -1):
            x = functional.relu(skips[i] + functional.pixel_shuffle(self.up[i](x), 2))
            x = self.decoder[i](x)
            maps.append(self.level_maps[i](x))
        return [functional.pixel_shuffle(self.maps(x), 2), *reversed(maps)], frames

    def _weigh(self, levels: Sequence[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, n, bands, frames): the sum of all maps, weighed by each query."""
        counts = [self.size.maps, *[self.size.level_maps] * LEVELS]
        parts = weights[..., :-1].split(counts, dim=-1)
        logits = weights[..., -1, None, None]
        for i, (maps, part) in enumerate(zip(levels, parts, strict=True)):
            weighed = torch.einsum("bnk,bkft->bnft", part, maps) / counts[i] ** 0.5
            if i:
                weighed = functional.interpolate(weighed.float(), scale_factor=2.0**i, mode="bilinear")
            logits = logits + weighed
        return logits

    def _presence(self, frames: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        vector = self.presence(read)
        return torch.einsum("bnc,bct->bnt", vector[..., :-1], frames) / self.size.context**0.5 + vector[..., -1:]
