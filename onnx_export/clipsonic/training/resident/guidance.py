"""Guidance away from an earlier state of the network, and the rows of a batch that are guided."""

from dataclasses import replace

import torch

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.training.denoiser import UNGUIDED_SHARE, Autoguidance, Batch


def guided_rows(n: int) -> slice:
    """Return the last rows of a batch of `n`, which are guided: as many each time, so that sizes are no chance."""
    return slice(n - round(n * (1 - UNGUIDED_SHARE)), n)


def with_guidance(batch: Batch, maximum: float) -> Batch:
    """Return the batch with guidance from 1 to `maximum` for its guided rows."""
    n = len(batch.clean)
    guidance = torch.ones_like(batch.guidance)
    guidance[guided_rows(n)] = 1 + (maximum - 1) * torch.rand_like(guidance[guided_rows(n)])
    return replace(batch, guidance=guidance)


class Autoguide:
    """The network as it was before it is guided, and a weak one: an earlier state, half of it without conditions."""

    def __init__(self, strong: Denoiser, weak: Denoiser, settings: Autoguidance):
        """Take both networks, in evaluation mode."""
        self.strong, self.weak, self.settings = strong, weak, settings

    @torch.no_grad()
    def __call__(self, noised: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return (guidance - 1) * (strong estimate - weak estimate), shaped like `noised`; 0 outside the interval."""
        settings, rows = self.settings, guided_rows(len(noised))
        seconds, ones = batch.seconds[rows], torch.ones_like(batch.seconds[rows])
        embedding, some_noised, level = batch.embedding[rows], noised[rows], sigma[rows]
        kept = torch.rand(len(embedding), 1, device=embedding.device) >= settings.unconditional_share
        strong = self.strong(some_noised, level, embedding, seconds, ones).float()
        weak = self.weak(some_noised, level, embedding * kept, seconds, ones).float()
        inside = (level > settings.min_sigma) & (level < settings.max_sigma)
        shift = torch.zeros_like(noised)
        shift[rows] = ((batch.guidance[rows] - 1) * inside)[:, None, None] * (strong - weak)
        return shift
