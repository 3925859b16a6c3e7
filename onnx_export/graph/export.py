"""PyTorch modules to ONNX graphs: export, half-precision weights, and comparison in onnxruntime."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn

from plugin_server.engine.bundles.card import GraphSpec, TensorSpec

log = logging.getLogger(__name__)

OPSET = 20
LEAST_HALVED = 1024
"""Smaller tensors stay in single precision: they weigh nothing."""
LARGEST_FILE = 1_900_000_000
"""Bytes of weights above which they get a file of their own: protobuf ends at 2 GiB."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What to export: a module, example inputs by name, output names, and which sizes are free."""

    module: nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: Sequence[str]
    free: Mapping[str, Mapping[int, str]]
    """Input name to {axis: name of its size}."""
    whole: tuple[str, ...] = ()
    """Beginnings of names of weights that half precision would harm most: these stay in single precision."""


def export_graph(what: Exported, path: Path, halve: bool = True) -> GraphSpec:
    """Write one graph and give back its row of the card, compared with PyTorch on two sizes of input.

    Raises ValueError when onnxruntime's answer differs from PyTorch's by more than 1 % of its largest number.
    """
    module = what.module.eval()
    model = _make_graph(what)
    _save(halve_weights(model, what.whole) if halve else model, path)
    del model
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parity = max(_difference(session, module, inputs) for inputs in (what.inputs, _shorter(what)))
    log.info("%s: largest relative difference from PyTorch %.2e", path.name, parity)
    if parity > 0.01:
        raise ValueError(f"{path}: differs from PyTorch by {parity:.2e} of its largest number")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return GraphSpec(path.name, _specs(inputs), _specs(outputs), parity=float(f"{parity:.3g}"))


def write_graph(what: Exported, path: Path) -> None:
    """The graph as the exporter gives it."""
    _save(_make_graph(what), path)


def graph_files(path: Path) -> list[str]:
    """Names of a graph's files: its own, and that of its weights where they are too many for one."""
    return [path.name, *([f"{path.name}.data"] if path.with_name(f"{path.name}.data").exists() else [])]


def _make_graph(what: Exported) -> onnx.ModelProto:
    program = torch.onnx.export(
        what.module.eval(),
        tuple(what.inputs.values()),
        input_names=list(what.inputs),
        output_names=list(what.outputs),
        dynamic_shapes=tuple(_dimensions(what, name) for name in what.inputs),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    # Only PyTorch's former exporter gives back nothing.
    assert program is not None
    return program.model_proto


def _save(model: onnx.ModelProto, path: Path) -> None:
    data = path.with_name(f"{path.name}.data")
    # onnx would write behind what is there.
    data.unlink(missing_ok=True)
    large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_FILE
    onnx.save(model, path, save_as_external_data=large, location=data.name if large else None)
    if large:
        # onnx makes it readable for its owner alone.
        data.chmod(path.stat().st_mode)


def _specs(tensors: Sequence[onnxruntime.NodeArg]) -> tuple[TensorSpec, ...]:
    """Rows of the card. Exporters give free sizes names of their own: here the first is the batch, others frames."""

    def shape(sizes: list[int | str]) -> tuple[int | str, ...]:
        names = ("batch" if axis == 0 else "frames" for axis in range(len(sizes)))
        return tuple(size if isinstance(size, int) else name for size, name in zip(sizes, names, strict=True))

    return tuple(TensorSpec(t.name, t.type, shape(t.shape)) for t in tensors)


def _dimensions(what: Exported, name: str) -> dict[int, object]:
    return dict.fromkeys(what.free.get(name, {}), torch.export.Dim.DYNAMIC)


def _shorter(what: Exported) -> dict[str, torch.Tensor]:
    """The same inputs at another size: what was traced for one size only would show here."""
    shorter = dict(what.inputs)
    for name, axes in what.free.items():
        for axis, size_name in axes.items():
            size = shorter[name].shape[axis]
            keep = max(1, size // 2) if size_name == "batch" else max(4, size // 8 * 4)
            shorter[name] = shorter[name].narrow(axis, 0, keep)
    return shorter


@torch.no_grad()
def _difference(session: onnxruntime.InferenceSession, module: nn.Module, inputs: Mapping[str, torch.Tensor]) -> float:
    wanted = module(*inputs.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return max(
        float(np.abs(f - w.numpy()).max() / max(1e-12, np.abs(w.numpy()).max()))
        for f, w in zip(found, wanted, strict=True)
    )


def halve_weights(model: onnx.ModelProto, whole: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Large float32 weights stored as float16 with a cast behind each.

    onnxruntime folds the casts when it opens the graph, so it computes in single precision: the file is half as
    large and nothing is slower.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        small = tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < LEAST_HALVED
        if small or tensor.name.startswith(whole):
            continue
        name, stored = tensor.name, f"{tensor.name}_half"
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


class ByteEmbedding(nn.Module):
    """An embedding table in signed bytes with a scale a row: a quarter of the size, looked up without unpacking."""

    scale: torch.Tensor
    table: torch.Tensor

    def __init__(self, table: torch.Tensor):
        super().__init__()
        scale = table.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("scale", scale)
        self.register_buffer("table", torch.round(table / scale).to(torch.int8))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table[ids].float() * self.scale[ids]

    def whole(self) -> torch.Tensor:
        """The table in single precision; bytes made of it again are the same."""
        return self.table.float() * self.scale
