"""Weights of a bundle's graph back into the PyTorch module that it was exported from, to train or export it again."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from onnx_export.graph.export import FP16_SUFFIX, ExportSpec, write_graph

Weights = dict[str, np.ndarray]
"""Arrays by the names of a module's or a graph's weights."""


def restore(spec: ExportSpec, path: Path) -> None:
    """Fill `spec.module` with the weights of the graph in `path`, which was exported from a module of its shape.

    Exporters rename, transpose and reshape weights. So the module is exported once more with weights that are unique
    numbers, and each weight of `path` goes where its namesake there came from. Buffers that the graph does not hold
    stay as they are.

    Args:
        spec: The module to fill, with example inputs as for its export.
        path: The ONNX file. Weights in half precision come back as they are, in single precision.

    Raises:
        ValueError: When the graph is of another shape, or when the exporter has merged a weight with others, so that
            it cannot come back.
    """
    module = spec.module
    state = {name: value.clone() for name, value in module.state_dict().items()}
    markers = _fill_with_markers(module)
    with tempfile.TemporaryDirectory() as folder:
        write_graph(spec, Path(folder) / "markers.onnx")
        exported_markers = read_weights(Path(folder) / "markers.onnx")
    weights, restored = read_weights(path), set()
    for name, values in exported_markers.items():
        match = _match_marker(values, markers)
        if match is None:
            continue
        key, is_transposed = match
        weight = _matching_weight(weights, name, key, values.shape, path)
        array = weight.T if is_transposed else weight
        state[key] = torch.from_numpy(np.array(array)).to(state[key].dtype).reshape(state[key].shape)
        restored.add(key)
    lost = [name for name, _ in module.named_parameters() if name not in restored]
    if lost:
        raise ValueError(
            f"{path}: weight {lost[0]} and {len(lost) - 1} more are merged with others, and do not come back"
        )
    module.load_state_dict(state)


def _matching_weight(weights: Weights, name: str, key: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Return the graph's weight `name`. Raises ValueError when it is missing or of another shape."""
    if name not in weights or weights[name].shape != shape:
        found = weights[name].shape if name in weights else "missing"
        raise ValueError(f"{path}: weight {key} is {found}, expected {shape}: it is another network's")
    return weights[name]


@torch.no_grad()
def _fill_with_markers(module: nn.Module) -> Weights:
    """Give every weight random numbers of its own, and return them by name."""
    rng = np.random.default_rng(0)
    markers = {}
    for name, value in module.state_dict().items():
        if value.dtype == torch.int8:
            numbers = rng.integers(-127, 128, tuple(value.shape)).astype(np.int8)
        elif value.is_floating_point():
            # Positive, as scales and variances must be; small, so that deep networks stay finite.
            numbers = (0.01 + 0.02 * rng.random(tuple(value.shape))).astype(np.float32)
        else:
            continue
        value.copy_(torch.from_numpy(numbers))
        markers[name] = numbers
    return markers


def _match_marker(values: np.ndarray, markers: Weights) -> tuple[str, bool] | None:
    """Return which weight these numbers are, and whether they are transposed; None when they are of no weight."""
    for name, numbers in markers.items():
        if numbers.size != values.size or numbers.dtype != values.dtype or values.size < 2:
            continue
        if np.array_equal(numbers.ravel(), values.ravel()):
            return name, False
        if values.ndim == 2 and numbers.ndim == 2 and np.array_equal(numbers.T, values):
            return name, True
    return None


def read_weights(path: Path) -> Weights:
    """Return the initialisers by name, those in half precision under their plain name and in single precision."""
    weights = {}
    for tensor in onnx.load(path).graph.initializer:
        values = numpy_helper.to_array(tensor)
        name = tensor.name.removesuffix(FP16_SUFFIX)
        weights[name] = values.astype(np.float32) if values.dtype == np.float16 else values
    return weights
