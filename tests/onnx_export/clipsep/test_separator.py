import pytest
import torch
from torch.nn import functional

from onnx_export.clipsep.separator import FRAME_MULTIPLE, Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings

SIZE = SeparatorSize(n_embedding=8, widths=(4, 6, 8, 8), maps=4, level_maps=4, context=16, query_width=16)


@pytest.fixture(scope="module")
def separator() -> Separator:
    torch.manual_seed(0)
    return Separator(SIZE, StftSettings()).eval()


def draw(batch: int, n: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    magnitude = torch.rand(batch, 513, frames, generator=generator)
    queries = functional.normalize(torch.randn(batch, n, 8, generator=generator), dim=-1)
    return magnitude, magnitude.square().mean(dim=(1, 2)), queries


@torch.no_grad()
def test_masks_and_presence_have_their_shapes(separator):
    masks, presence = separator(*draw(2, 3, 3 * FRAME_MULTIPLE))
    assert masks.shape == (2, 3, 513, 3 * FRAME_MULTIPLE) and presence.shape == (2, 3, 3)
    assert masks.min() >= 0 and masks.max() <= 1


@torch.no_grad()
def test_several_queries_get_what_each_would_get_alone(separator):
    magnitude, level, queries = draw(1, 3, 32)
    together, _ = separator(magnitude, level, queries)
    alone = torch.cat([separator(magnitude, level, queries[:, i : i + 1])[0] for i in range(3)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_masks_do_not_depend_on_the_level(separator):
    magnitude, level, queries = draw(1, 2, 32)
    masks, _ = separator(magnitude, level, queries)
    quiet, _ = separator(magnitude * 1e-3, level * 1e-6, queries)
    torch.testing.assert_close(masks, quiet, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_silence_gives_finite_masks(separator):
    _, _, queries = draw(1, 1, 16)
    masks, presence = separator(torch.zeros(1, 513, 16), torch.zeros(1), queries)
    assert torch.isfinite(masks).all() and torch.isfinite(presence).all()
