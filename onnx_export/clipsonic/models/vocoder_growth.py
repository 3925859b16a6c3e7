"""A larger vocoder that makes the same sound as a smaller one, to go on training from (Net2Net, Chen et al. 2016)."""

import torch

from onnx_export.clipsonic.models.vocoder import Vocoder, VocoderSize

NOISE = 0.1
"""Part of a matrix's deviation by which the copies of a channel differ, so that they do not stay copies."""


@torch.no_grad()
def grow(small: Vocoder, size: VocoderSize) -> Vocoder:
    """Return a vocoder of `size` with the function of `small`.

    Each channel is there several times: layer norms see the same mean and deviation, and matrices that read the copies
    share out their weights among them. New hidden units have no effect yet, and neither have new blocks.

    Raises:
        ValueError: When `size` is smaller in something, has another kernel, or a width that is no multiple.
    """
    before = small.size
    n = size.width // before.width
    fits = size.width == n * before.width and size.depth >= before.depth and size.hidden >= before.hidden
    if not fits or size.kernel != before.kernel:
        raise ValueError(f"the vocoder's size is {size}, expected multiples of {before} to begin with that one")
    large = Vocoder(small.mel, size)
    weights, grown = small.state_dict(), large.state_dict()
    for name, value in weights.items():
        if name.startswith("embed.") or "norm" in name or "mix_time" in name or name.endswith(("scale", "down.bias")):
            grown[name] = torch.cat([value] * n)
        elif name.endswith("down.weight"):
            grown[name] = torch.zeros_like(grown[name])
            grown[name][:, : before.hidden] = torch.cat([value] * n)
        elif name.endswith("up.weight"):
            # The rows of new hidden units stay random.
            grown[name][: before.hidden] = _share_out(value, n)
        elif name.endswith("up.bias"):
            grown[name][: before.hidden] = value
        elif name == "head.weight":
            grown[name] = _share_out(value, n)
        else:
            grown[name] = value.clone()
    for i in range(before.depth, size.depth):
        grown[f"blocks.{i}.scale"] = torch.zeros_like(grown[f"blocks.{i}.scale"])
    large.load_state_dict(grown)
    return large


def _share_out(matrix: torch.Tensor, n: int) -> torch.Tensor:
    """Return a matrix (out, n * inputs) that gives for n copies of the inputs what `matrix` gives for them."""
    noise = NOISE * matrix.std() * torch.randn(n, *matrix.shape)
    parts = matrix / n + (noise - noise.mean(dim=0))
    return torch.cat(list(parts), dim=1)
