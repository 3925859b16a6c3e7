"""The figures as a table, and the weights that lie beside the code."""

from pathlib import Path

import torch

import onnx_export.clipsep
from onnx_export.clipsep.__main__ import table
from onnx_export.clipsep.evaluation import Improvement, SeparationFigures
from onnx_export.clipsep.separator import Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.training.checkpoint import load_ema, read_metadata

WEIGHTS = Path(onnx_export.clipsep.__file__).parent / "weights" / "separator.half.pt"


def test_figures_become_a_table():
    figures = SeparationFigures({"label": Improvement(4.04, 4.56, 4.86, 0.758)}, -32.4, 0.882)
    assert "| label | 4.04 | 4.56 | 4.86 | 76% |" in table(figures)
    assert table(figures).endswith("32.4 dB below the mixture (median). Presence: AUC 0.88.")


def test_the_weights_beside_the_code_are_of_the_default_shape():
    separator = Separator(SeparatorSize(), StftSettings())
    assert load_ema(WEIGHTS, separator) == 4664
    assert read_metadata(WEIGHTS).embedding == "clipsonic-mini-384"
    with torch.no_grad():
        masks, _ = separator(
            torch.rand(1, 513, 16), torch.ones(1), torch.nn.functional.normalize(torch.ones(1, 1, 384), dim=-1)
        )
    assert masks.min() >= 0 and masks.max() <= 1
