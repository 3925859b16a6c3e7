import numpy as np
import onnxruntime
import torch

from onnx_export.clipsep.export import GRAPH_FILE, export_separator
from onnx_export.clipsep.separator import Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.ema import EMA

SIZE = SeparatorSize(n_embedding=8, widths=(4, 6, 8, 8), maps=4, level_maps=4, context=16, query_width=16)


def test_the_graph_takes_any_number_of_queries_and_frames(tmp_path):
    torch.manual_seed(0)
    separator = Separator(SIZE, StftSettings())
    Checkpoint(tmp_path / "s.pt", {"model": separator, "average": EMA(separator)}).save(1)
    spec = export_separator(tmp_path / "s.pt", SIZE, tmp_path / "bundle")
    assert [tensor.name for tensor in spec.inputs] == ["magnitude", "level", "queries"]
    session = onnxruntime.InferenceSession(tmp_path / "bundle" / GRAPH_FILE)
    rng = np.random.default_rng(1)
    for n, frames in ((1, 16), (5, 48)):
        magnitude = rng.random((1, 513, frames), np.float32)
        queries = np.eye(8, dtype=np.float32)[None, :n]
        level = (magnitude**2).mean(axis=(1, 2))
        masks, presence = session.run(None, {"magnitude": magnitude, "level": level, "queries": queries})
        with torch.no_grad():
            expected = separator.eval()(*map(torch.from_numpy, (magnitude, level, queries)))
        np.testing.assert_allclose(masks, expected[0], atol=2e-3)
        assert presence.shape == (1, n, frames // 16)
