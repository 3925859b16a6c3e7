"""Weights of a bundle's graph back into the PyTorch module that it was exported from, to train or export it again."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from onnx_export.graph.export import Exported, write_graph

log = logging.getLogger(__name__)

HALF = "_half"


def restore(what: Exported, path: Path) -> None:
    """Fill `what.module` with the weights of the graph in `path`, which was exported from a module of its shape.

    Exporters rename, transpose and reshape weights. So the module is exported once more with weights that tell their
    own names, and each weight of `path` goes where its namesake there came from. Buffers that the graph does not
    hold stay as they are. Raises ValueError when the graph is of another shape, or when the exporter has merged a
    weight with others, so that it cannot come back.
    """
    module = what.module
    state = {name: value.clone() for name, value in module.state_dict().items()}
    marks = _mark(module)
    with tempfile.TemporaryDirectory() as folder:
        write_graph(what, Path(folder) / "marked.onnx")
        marked = _weights(Path(folder) / "marked.onnx")
    saved, found = _weights(path), set()
    for name, values in marked.items():
        origin = _origin(values, marks)
        if origin is None:
            continue
        if name not in saved or saved[name].shape != values.shape:
            shape = saved[name].shape if name in saved else "missing"
            raise ValueError(f"{path}: weight {origin[0]} is {shape}, expected {values.shape}: it is another network's")
        key, turned = origin
        values = saved[name].T if turned else saved[name]
        state[key] = torch.from_numpy(np.array(values)).to(state[key].dtype).reshape(state[key].shape)
        found.add(key)
    lost = [name for name, _ in module.named_parameters() if name not in found]
    if lost:
        raise ValueError(
            f"{path}: weight {lost[0]} and {len(lost) - 1} more are merged with others, and do not come back"
        )
    module.load_state_dict(state)


@torch.no_grad()
def _mark(module: nn.Module) -> dict[str, np.ndarray]:
    """Give every weight numbers of its own; what they are, by name."""
    rng = np.random.default_rng(0)
    marks = {}
    for name, value in module.state_dict().items():
        if value.dtype == torch.int8:
            numbers = rng.integers(-127, 128, tuple(value.shape)).astype(np.int8)
        elif value.is_floating_point():
            # Positive, as scales and variances must be; small, so that deep networks stay finite.
            numbers = (0.01 + 0.02 * rng.random(tuple(value.shape))).astype(np.float32)
        else:
            continue
        value.copy_(torch.from_numpy(numbers))
        marks[name] = numbers
    return marks


def _origin(values: np.ndarray, marks: dict[str, np.ndarray]) -> tuple[str, bool] | None:
    """Whose numbers these are, and whether they were transposed; None when they are of no weight."""
    for name, numbers in marks.items():
        if numbers.size != values.size or numbers.dtype != values.dtype or values.size < 2:
            continue
        if np.array_equal(numbers.ravel(), values.ravel()):
            return name, False
        if values.ndim == 2 and numbers.ndim == 2 and np.array_equal(numbers.T, values):
            return name, True
    return None


def _weights(path: Path) -> dict[str, np.ndarray]:
    """Initialisers by name, halved ones under the name of the whole, in single precision."""
    found = {}
    for tensor in onnx.load(path).graph.initializer:
        values = numpy_helper.to_array(tensor)
        name = tensor.name.removesuffix(HALF)
        found[name] = values.astype(np.float32) if values.dtype == np.float16 else values
    return found
