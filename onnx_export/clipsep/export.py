"""A trained separator to an ONNX graph."""

from pathlib import Path

import torch
from torch.nn import functional

from onnx_export.clipsep.separator import Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.graph.export import ExportSpec, export_graph
from onnx_export.training.checkpoint import load_ema
from plugin_server.engine.bundles.card import GraphSpec

GRAPH_FILE = "separator.onnx"


def separator_graph(separator: Separator, settings: StftSettings) -> ExportSpec:
    """Return the export of the separator; batch, queries and frames are free."""
    generator = torch.Generator().manual_seed(0)
    magnitude = torch.rand(2, settings.n_bins, 128, generator=generator)
    queries = torch.randn(2, 8, separator.size.n_embedding, generator=generator)
    inputs = {
        "magnitude": magnitude,
        "level": magnitude.square().mean(dim=(1, 2)),
        "queries": functional.normalize(queries, dim=-1),
    }
    free = {"magnitude": {0: "batch", 2: "frames"}, "level": {0: "batch"}, "queries": {0: "batch", 1: "queries"}}
    return ExportSpec(separator, inputs, ["masks", "presence"], free)


def export_separator(checkpoint: Path, size: SeparatorSize, folder: Path) -> GraphSpec:
    """Write the averaged weights of a checkpoint as `separator.onnx`, in half precision; return its row of a card.

    Raises ValueError when onnxruntime's answer differs from PyTorch's by more than 1 %.
    """
    settings = StftSettings()
    separator = Separator(size, settings)
    load_ema(checkpoint, separator)
    folder.mkdir(parents=True, exist_ok=True)
    return export_graph(separator_graph(separator, settings), folder / GRAPH_FILE)
