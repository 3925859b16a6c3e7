"""Weights of a graph back into a module of its shape."""

import pytest
import torch
from torch import nn

from onnx_export.graph.export import ExportSpec, Int8Embedding, write_graph
from onnx_export.graph.restore import _match_marker, restore


def network(width=40):
    """A matrix that exporters transpose, a norm, and a buffer that no graph holds."""
    torch.manual_seed(width)
    module = nn.Sequential(nn.Linear(40, width), nn.LayerNorm(width), nn.Linear(width, 3)).eval()
    for parameter in module.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    module.register_buffer("steps", torch.tensor(7))
    return module


def spec_of(module):
    return ExportSpec(module, {"x": torch.randn(2, 40)}, ["y"], {"x": {0: "batch"}})


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A module and the path of its graph in single precision."""
    module, path = network(), tmp_path_factory.mktemp("graph") / "a.onnx"
    write_graph(spec_of(module), path)
    return module, path


def test_every_weight_comes_back(graph):
    module, path = graph
    other = network(40)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.steps.fill_(9)
    restore(spec_of(other), path)
    for name, value in module.state_dict().items():
        if name != "steps":
            torch.testing.assert_close(other.state_dict()[name], value, msg=name)
    # A buffer that is in no graph stays as it is.
    assert other.steps == 9


def test_a_graph_of_another_shape_is_refused(graph):
    _, path = graph
    with pytest.raises(ValueError, match=r"a\.onnx: weight .* is .*, expected .*: it is another network's"):
        restore(spec_of(network(24)), path)


def test_weights_that_are_merged_do_not_come_back_unnoticed(tmp_path):
    """A batch norm goes into the convolution before it."""
    module = nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)).eval()
    spec = ExportSpec(module, {"x": torch.randn(2, 3, 9)}, ["y"], {"x": {0: "batch"}})
    write_graph(spec, tmp_path / "g.onnx")
    with pytest.raises(ValueError, match=r"weight .* and \d+ more are merged with others, and do not come back"):
        restore(spec, tmp_path / "g.onnx")


def test_a_table_in_bytes_comes_back(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(Int8Embedding(torch.randn(30, 8)), nn.Linear(8, 5)).eval()
    tokens = {"tokens": torch.zeros(2, 4, dtype=torch.int64)}
    write_graph(ExportSpec(module, tokens, ["y"], {"tokens": {0: "batch"}}), tmp_path / "t.onnx")
    other = nn.Sequential(Int8Embedding(torch.ones(30, 8)), nn.Linear(8, 5)).eval()
    restore(ExportSpec(other, tokens, ["y"], {"tokens": {0: "batch"}}), tmp_path / "t.onnx")
    torch.testing.assert_close(other[0].dequantize(), module[0].dequantize())
    torch.testing.assert_close(other[1].weight, module[1].weight)


def test_markers_are_found_as_they_are_reshaped_or_transposed():
    torch.manual_seed(0)
    a, b = torch.rand(2, 3).numpy(), torch.rand(6).numpy()
    markers = {"a": a, "b": b}
    assert _match_marker(a, markers) == ("a", False)
    assert _match_marker(a.reshape(3, 2), markers) == ("a", False)
    assert _match_marker(a.T.copy(), markers) == ("a", True)
    assert _match_marker(b.reshape(1, 6), markers) == ("b", False)
    assert _match_marker(b[:5], markers) is None
    assert _match_marker(b.astype("float64"), markers) is None
    assert _match_marker(b + 1, markers) is None
