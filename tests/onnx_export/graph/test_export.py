"""Graphs of small modules, exported for real and run by onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from onnx_export.graph import export
from onnx_export.graph.export import (
    MIN_FP16_SIZE,
    ExportSpec,
    Int8Embedding,
    export_graph,
    graph_files,
    to_fp16,
    write_graph,
)


class Affine(nn.Module):
    """A matrix large enough to be halved, and a small offset."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(40, 40) / 6)
        self.offset = nn.Parameter(torch.randn(40))

    def forward(self, x):
        return x @ self.weight + self.offset


def spec_of(module, **changes):
    inputs = {"x": torch.randn(4, 16, 40)}
    return ExportSpec(module, inputs, ["y"], {"x": {0: "batch", 1: "frames"}}, **changes)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return Affine()


@pytest.fixture(scope="module")
def exported(module, tmp_path_factory):
    """The path of a graph in half precision, and its row of the card."""
    path = tmp_path_factory.mktemp("graph") / "affine.onnx"
    return path, export_graph(spec_of(module), path)


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.numpy()})[0]


def types(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_a_graph_gives_what_its_module_gives_at_any_size(exported, module):
    path, _ = exported
    for batch, frames in ((1, 1), (3, 70)):
        x = torch.randn(batch, frames, 40)
        np.testing.assert_allclose(run(path, x), module(x).detach(), atol=5e-3)


def test_the_row_of_the_card_names_inputs_outputs_and_free_sizes(exported):
    path, row = exported
    (x,), (y,) = row.inputs, row.outputs
    assert (row.file, x.name, y.name) == (path.name, "x", "y")
    assert (x.shape, y.shape, x.type) == (("batch", "frames", 40), ("batch", "frames", 40), "tensor(float)")
    assert 0 < row.parity < 2e-3


def test_large_weights_are_stored_in_half_precision(exported):
    path, _ = exported
    stored = types(onnx.load(path))
    assert [name for name, kind in stored.items() if kind == TensorProto.FLOAT16] == ["weight_half"]
    assert stored["offset"] == TensorProto.FLOAT


def test_single_precision_is_exact(module, tmp_path):
    row = export_graph(spec_of(module), tmp_path / "a.onnx", fp16=False)
    assert row.parity < 1e-6
    assert set(types(onnx.load(tmp_path / "a.onnx")).values()) == {TensorProto.FLOAT}


def test_a_module_that_onnxruntime_computes_differently_is_refused(tmp_path):
    """A weight that half precision cannot hold."""
    module = Affine()
    module.weight.data.fill_(1e-9)
    module.offset.data.fill_(0)
    with pytest.raises(ValueError, match=r"a\.onnx: differs from PyTorch by .* of its largest number"):
        export_graph(spec_of(module), tmp_path / "a.onnx")
    assert export_graph(spec_of(module, keep_fp32=("weight",)), tmp_path / "b.onnx").parity < 1e-5


def test_too_many_weights_for_one_file_get_another(module, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_INLINE_BYTES", 1000)
    path = tmp_path / "a.onnx"
    write_graph(spec_of(module), path)
    assert graph_files(path) == ["a.onnx", "a.onnx.data"]
    x = torch.randn(1, 3, 40)
    np.testing.assert_allclose(run(path, x), module(x).detach(), atol=1e-5)
    size = (tmp_path / "a.onnx.data").stat().st_size
    write_graph(spec_of(module), path)
    # Written again, not behind what was there.
    assert (tmp_path / "a.onnx.data").stat().st_size == size
    monkeypatch.undo()
    write_graph(spec_of(module), path)
    assert graph_files(path) == ["a.onnx"]


def test_the_second_comparison_is_of_another_size(module):
    inputs = {"x": torch.zeros(4, 16, 40), "length": torch.zeros(4)}
    spec = ExportSpec(module, inputs, ["y"], {"x": {0: "batch", 1: "frames"}, "length": {0: "batch"}})
    smaller = export._smaller_inputs(spec)
    assert (smaller["x"].shape, smaller["length"].shape) == ((2, 8, 40), (2,))
    # Nothing becomes empty.
    tiny = export._smaller_inputs(ExportSpec(module, {"x": torch.zeros(1, 4, 40)}, ["y"], {"x": {0: "batch"}}))
    assert tiny["x"].shape == (1, 4, 40)
    assert spec.input_names == ["x", "length"]


def graph_of(**weights):
    """A model that holds weights and nothing else."""
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    return helper.make_model(helper.make_graph([], "weights", [], [], tensors))


def test_small_whole_and_listed_weights_stay_as_they_are():
    large = np.zeros(MIN_FP16_SIZE, np.float32)
    model = graph_of(large=large, small=large[1:], whole=large.astype(np.int64), norm_scale=large)
    model = to_fp16(model, ("norm",))
    half, single, integer = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT64
    assert types(model) == {"large_half": half, "small": single, "whole": integer, "norm_scale": single}


def test_each_halved_weight_is_cast_back_under_its_name():
    model = to_fp16(graph_of(a=np.zeros(MIN_FP16_SIZE, np.float32), b=np.zeros(MIN_FP16_SIZE, np.float32)))
    casts = [(node.op_type, list(node.input), list(node.output)) for node in model.graph.node]
    assert casts == [("Cast", ["a_half"], ["a"]), ("Cast", ["b_half"], ["b"])]


def test_a_table_in_bytes_is_off_by_half_a_step_at_most():
    torch.manual_seed(0)
    table = torch.randn(50, 12)
    embedding = Int8Embedding(table)
    assert embedding.table.dtype == torch.int8
    step = table.abs().amax(dim=1, keepdim=True) / 127
    assert ((embedding.dequantize() - table).abs() <= step * 0.5001).all()
    ids = torch.tensor([[3, 3], [49, 0]])
    torch.testing.assert_close(embedding(ids), embedding.dequantize()[ids])


def test_bytes_of_a_table_that_was_in_bytes_are_the_same():
    torch.manual_seed(0)
    once = Int8Embedding(torch.randn(50, 12))
    again = Int8Embedding(once.dequantize())
    assert torch.equal(once.table, again.table)
    torch.testing.assert_close(once.scale, again.scale)


def test_a_row_of_zeros_stays_zero():
    assert not Int8Embedding(torch.zeros(2, 3)).dequantize().any()
