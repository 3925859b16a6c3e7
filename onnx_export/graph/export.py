"""PyTorch modules to ONNX graphs: export, half-precision weights, and comparison in onnxruntime."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn

from plugin_server.engine.bundles.card import GraphSpec, TensorSpec

log = logging.getLogger(__name__)

OPSET_VERSION = 20
MIN_FP16_SIZE = 1024
"""Tensors with fewer numbers stay in single precision: they weigh nothing."""
FP16_SUFFIX = "_half"
"""Ending of the names of weights that are stored in half precision."""
MAX_INLINE_BYTES = 1_900_000_000
"""Bytes of weights above which they get a file of their own: protobuf ends at 2 GiB."""
MAX_DIFFERENCE = 0.01
"""Share of the largest number by which onnxruntime's answer may differ from PyTorch's."""


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """One graph to export: a module, example inputs by name, output names, and which axes are dynamic."""

    module: nn.Module
    example_inputs: Mapping[str, torch.Tensor]
    output_names: Sequence[str]
    dynamic_axes: Mapping[str, Mapping[int, str]]
    """Input name to {axis: name of its size}, 'batch' or 'frames'."""
    keep_fp32: tuple[str, ...] = ()
    """Prefixes of the names of weights that half precision would harm most: these stay in single precision."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Facts about the module that the graph carries, for whoever restores it."""

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in the order of the module's arguments."""
        return list(self.example_inputs)


def export_graph(spec: ExportSpec, path: Path, *, fp16: bool = True) -> GraphSpec:
    """Write one graph, compare it with PyTorch on two sizes of input, and return its row of the card.

    Args:
        spec: The module and what the exporter must know of it.
        path: The ONNX file to write. Weights above `MAX_INLINE_BYTES` go into a second file, `path` with `.data`.
        fp16: Whether large weights are stored in half precision.

    Raises:
        ValueError: When onnxruntime's answer differs from PyTorch's by more than 1 % of its largest number.
    """
    module = spec.module.eval()
    model = _trace(spec)
    _save(to_fp16(model, spec.keep_fp32) if fp16 else model, path)
    del model
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parity = max(_relative_difference(session, module, feeds) for feeds in (spec.example_inputs, _smaller_inputs(spec)))
    log.info("%s: largest relative difference from PyTorch %.2e", path.name, parity)
    if parity > MAX_DIFFERENCE:
        raise ValueError(f"{path}: differs from PyTorch by {parity:.2e} of its largest number")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return GraphSpec(path.name, _tensor_specs(inputs), _tensor_specs(outputs), parity=float(f"{parity:.3g}"))


def write_graph(spec: ExportSpec, path: Path) -> None:
    """Write the graph as the exporter gives it: in single precision, compared with nothing."""
    _save(_trace(spec), path)


def graph_files(path: Path) -> list[str]:
    """Return the names of a graph's files: its own, and that of its weights where they are too many for one."""
    return [path.name, *([f"{path.name}.data"] if path.with_name(f"{path.name}.data").exists() else [])]


def _trace(spec: ExportSpec) -> onnx.ModelProto:
    program = torch.onnx.export(
        spec.module.eval(),
        tuple(spec.example_inputs.values()),
        input_names=spec.input_names,
        output_names=list(spec.output_names),
        dynamic_shapes=tuple(_dynamic_shape(spec, name) for name in spec.input_names),
        opset_version=OPSET_VERSION,
        dynamo=True,
        verbose=False,
    )
    # Only PyTorch's former exporter gives back nothing.
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {p.key: p.value for p in model.metadata_props} | dict(spec.properties))
    return model


def _save(model: onnx.ModelProto, path: Path) -> None:
    data = path.with_name(f"{path.name}.data")
    # onnx would write behind what is there.
    data.unlink(missing_ok=True)
    is_large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > MAX_INLINE_BYTES
    onnx.save(model, path, save_as_external_data=is_large, location=data.name if is_large else None)
    if is_large:
        # onnx makes it readable for its owner alone.
        data.chmod(path.stat().st_mode)


def _tensor_specs(tensors: Sequence[onnxruntime.NodeArg]) -> tuple[TensorSpec, ...]:
    """Return rows of the card. Exporters name dynamic sizes themselves: here the first is the batch, others frames."""

    def shape(sizes: list[int | str]) -> tuple[int | str, ...]:
        names = ("batch" if axis == 0 else "frames" for axis in range(len(sizes)))
        return tuple(size if isinstance(size, int) else name for size, name in zip(sizes, names, strict=True))

    return tuple(TensorSpec(t.name, t.type, shape(t.shape)) for t in tensors)


def _dynamic_shape(spec: ExportSpec, name: str) -> dict[int, object]:
    return dict.fromkeys(spec.dynamic_axes.get(name, {}), torch.export.Dim.DYNAMIC)


def _smaller_inputs(spec: ExportSpec) -> dict[str, torch.Tensor]:
    """Return the example inputs at another size: what was traced for one size only would show here."""
    inputs = dict(spec.example_inputs)
    for name, axes in spec.dynamic_axes.items():
        for axis, size_name in axes.items():
            size = inputs[name].shape[axis]
            smaller = max(1, size // 2) if size_name == "batch" else max(4, size // 8 * 4)
            inputs[name] = inputs[name].narrow(axis, 0, smaller)
    return inputs


@torch.no_grad()
def _relative_difference(
    session: onnxruntime.InferenceSession, module: nn.Module, inputs: Mapping[str, torch.Tensor]
) -> float:
    """Return the largest difference of any output, as a share of the largest number of PyTorch's."""
    expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    outputs = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return max(
        float(np.abs(o - e.numpy()).max() / max(1e-12, np.abs(e.numpy()).max()))
        for o, e in zip(outputs, expected, strict=True)
    )


def to_fp16(model: onnx.ModelProto, keep_fp32: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Store large float32 weights as float16 with a cast behind each, in place, and return the model.

    onnxruntime folds the casts when it opens the graph, so it computes in single precision: the file is half as
    large and nothing is slower.

    Args:
        model: A graph with float32 weights.
        keep_fp32: Prefixes of the names of weights that stay in single precision.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        is_small = tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < MIN_FP16_SIZE
        if is_small or tensor.name.startswith(keep_fp32):
            continue
        name, fp16_name = tensor.name, f"{tensor.name}{FP16_SUFFIX}"
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), fp16_name))
        casts.append(onnx.helper.make_node("Cast", [fp16_name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


class Int8Embedding(nn.Module):
    """An embedding table in signed bytes with a scale a row: a quarter of the size, looked up without unpacking."""

    scale: torch.Tensor
    table: torch.Tensor

    def __init__(self, table: torch.Tensor):
        """Quantize a float table (n, size): each row is scaled so that its largest number becomes 127."""
        super().__init__()
        scale = table.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("scale", scale)
        self.register_buffer("table", torch.round(table / scale).to(torch.int8))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the rows of integer `ids` of any shape, float32 (..., size)."""
        return self.table[ids].float() * self.scale[ids]

    def dequantize(self) -> torch.Tensor:
        """Return the table in single precision, (n, size); bytes made of it again are the same."""
        return self.table.float() * self.scale
