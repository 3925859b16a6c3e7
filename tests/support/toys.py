"""Toy bundles of a few kilobytes: the real names, types and ranks, run by real onnxruntime sessions."""

import gzip
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from plugin_server.audio.spectral import MelSettings, mel_filterbank
from plugin_server.engine.bundles.card import (
    CARD_NAME,
    Card,
    Embedding,
    GraphSpec,
    ImageSpec,
    Lengths,
    PriorSpec,
    Sampling,
    TensorSpec,
)
from plugin_server.engine.bundles.registry import file_sha256
from plugin_server.engine.families.clipsonic import TOKENIZER_FILE
from plugin_server.engine.inputs.tokenizer import N_MERGES

MEL = MelSettings(sample_rate=16000, n_fft=256, hop=64, n_mels=8, f_max_hz=8000)
N_EMBEDDING = 6
CONTEXT = 20
PICTURE = ImageSpec(size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
PRIOR = PriorSpec("prior_pd", steps=3, guidance=1.5, levels=50, mean=(0.1,) * N_EMBEDDING, std=(0.5,) * N_EMBEDDING)
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def write_toy(
    folder: Path, name: str = "toy", burn: int = 0, distilled_guidance_max: float = 1.0, pictures: bool = False
) -> Path:
    """Write a bundle to `folder/name`.

    Prompts differ in spectrum; `burn` multiplies matrices of that size in each step;
    `distilled_guidance_max` above 1 makes guidance an input; `pictures` adds an image tower, which sees colours alone,
    and a prior, 'pd'.
    """
    bundle_folder = folder / name
    bundle_folder.mkdir(parents=True)
    graphs = {
        "text_tower": _save(bundle_folder, _text_tower(with_tokens=pictures), "text_tower"),
        "denoiser": _save(bundle_folder, _denoiser(burn, distilled_guidance_max > 1), "denoiser"),
        "vocoder": _save(bundle_folder, _vocoder(), "vocoder"),
    }
    if pictures:
        graphs["image_tower"] = _save(bundle_folder, _image_tower(), "image_tower")
        graphs[PRIOR.graph] = _save(bundle_folder, _prior(), PRIOR.graph)
    # Merges that no text can use: every prompt is spelt letter by letter.
    lines = ["#version: toy", *(f"\u2603{i} \u2604" for i in range(N_MERGES))]
    (bundle_folder / TOKENIZER_FILE).write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    files = [TOKENIZER_FILE, *(graph.file for graph in graphs.values())]
    card = Card(
        name=name,
        family="clipsonic",
        verb="generate",
        version="0.0.1",
        licence="CC0",
        description="a toy for tests",
        embedding=Embedding("toy-6", N_EMBEDDING),
        mel=MEL,
        mel_mean=(3.0,) * MEL.n_mels,
        mel_std=(1.0,) * MEL.n_mels,
        frame_multiple=4,
        context_length=CONTEXT,
        sampling=Sampling(steps=4, guidance=2.0, distilled_guidance_max=distilled_guidance_max),
        lengths=Lengths(0.25, 30.0, 1.0),
        graphs=graphs,
        files={file: file_sha256(bundle_folder / file) for file in files},
        image=PICTURE if pictures else None,
        modalities=("text", "image") if pictures else ("text",),
        priors={"pd": PRIOR} if pictures else {},
    )
    (bundle_folder / CARD_NAME).write_text(card.to_json())
    return bundle_folder


def change_card(folder: Path, **changes: object) -> None:
    """Rewrite the card of the bundle in `folder` with other fields."""
    from plugin_server.engine.bundles.card_reader import read_card

    (folder / CARD_NAME).write_text(replace(read_card(folder), **changes).to_json())


def _save(folder: Path, graph: onnx.GraphProto, name: str) -> GraphSpec:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sides = [
        tuple(TensorSpec(t.name, t.type, tuple(t.shape)) for t in side)
        for side in (session.get_inputs(), session.get_outputs())
    ]
    return GraphSpec(path.name, *sides, parity=0.0)


def _constant(name: str, values: np.ndarray) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(values), name)


def _text_tower(with_tokens: bool) -> onnx.GraphProto:
    """Return a graph of unit vectors of sines of the ids, so that words differ; `with_tokens` adds each token's."""
    nodes = [
        helper.make_node("Cast", ["tokens"], ["ids"], to=FLOAT),
        helper.make_node("Unsqueeze", ["ids", "last"], ["column"]),
        helper.make_node("Mul", ["column", "rates"], ["angles"]),
        helper.make_node("Sin", ["angles"], ["hidden"]),
        helper.make_node("ReduceSum", ["hidden", "one"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=-1, p=2),
    ]
    rates = np.linspace(0.001, 0.37, N_EMBEDDING, dtype=np.float32).reshape(1, 1, -1)
    constants = [_constant("rates", rates), _constant("last", np.array([2])), _constant("one", np.array([1]))]
    outputs = {"embedding": ["batch", N_EMBEDDING]}
    if with_tokens:
        outputs["hidden"] = ["batch", CONTEXT, N_EMBEDDING]
    return helper.make_graph(
        nodes,
        "text_tower",
        [helper.make_tensor_value_info("tokens", INT64, ["batch", CONTEXT])],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        constants,
    )


def _image_tower() -> onnx.GraphProto:
    """Return a graph of unit vectors of the mean colour, so that colours differ."""
    nodes = [
        helper.make_node("ReduceMean", ["pictures", "sides"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "directions"], ["turned"]),
        helper.make_node("Add", ["turned", "grey"], ["sum"]),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=-1, p=2),
    ]
    rng = np.random.default_rng(11)
    constants = [
        _constant("sides", np.array([2, 3])),
        _constant("directions", rng.standard_normal((3, N_EMBEDDING)).astype(np.float32)),
        _constant("grey", rng.standard_normal(N_EMBEDDING).astype(np.float32)),
    ]
    return helper.make_graph(
        nodes,
        "image_tower",
        [helper.make_tensor_value_info("pictures", FLOAT, ["batch", 3, PICTURE.size, PICTURE.size])],
        [helper.make_tensor_value_info("embedding", FLOAT, ["batch", N_EMBEDDING])],
        constants,
    )


def _prior() -> onnx.GraphProto:
    """Return a graph that permutes the text embedding plus the mean of its tokens, and adds a tenth of its input."""
    nodes = [
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["hidden", "column"], ["masked"]),
        helper.make_node("ReduceMean", ["masked", "one"], ["mean"], keepdims=0),
        helper.make_node("Add", ["embedding", "mean"], ["words"]),
        helper.make_node("MatMul", ["words", "permutation"], ["moved"]),
        helper.make_node("Mul", ["noised", "tenth"], ["scaled"]),
        helper.make_node("Add", ["moved", "scaled"], ["mixed"]),
        helper.make_node("Mul", ["timestep", "nothing"], ["zeros"]),
        helper.make_node("Unsqueeze", ["zeros", "one"], ["zero"]),
        helper.make_node("Add", ["mixed", "zero"], ["clean"]),
    ]
    constants = [
        _constant("last", np.array([2])),
        _constant("one", np.array([1])),
        _constant("permutation", np.roll(np.eye(N_EMBEDDING, dtype=np.float32), 2, axis=1)),
        _constant("tenth", np.array(0.1, np.float32)),
        _constant("nothing", np.array(0.0, np.float32)),
    ]
    vector = ["batch", N_EMBEDDING]
    shapes = {"noised": vector, "timestep": ["batch"], "embedding": vector, "mask": ["batch", CONTEXT]}
    shapes["hidden"] = ["batch", CONTEXT, N_EMBEDDING]
    return helper.make_graph(
        nodes,
        "prior",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("clean", FLOAT, vector)],
        constants,
    )


def _denoiser(burn: int, with_guidance: bool) -> onnx.GraphProto:
    """Return a graph whose clean mel mixes six band shapes by the embedding, and adds a tenth of its input."""
    nodes = [
        helper.make_node("MatMul", ["embedding", "shapes"], ["bands"]),
        helper.make_node("Unsqueeze", ["bands", "last"], ["shaped"]),
        helper.make_node("Mul", ["noised", "tenth"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shaped"], ["mixed"]),
        helper.make_node("ReduceMean", ["sigma"], ["level"], keepdims=0),
        helper.make_node("ReduceMean", ["seconds"], ["length"], keepdims=0),
        helper.make_node("Add", ["level", "length"], ["scalar"]),
    ]
    constants = [
        _constant("shapes", np.random.default_rng(5).standard_normal((N_EMBEDDING, MEL.n_mels)).astype(np.float32) * 2),
        _constant("last", np.array([2])),
        _constant("tenth", np.array(0.1, np.float32)),
        _constant("nothing", np.array(0.0, np.float32)),
    ]
    value = "scalar"
    inputs = ["noised", "sigma", "embedding", "seconds"]
    if with_guidance:
        inputs.append("guidance")
        nodes += [
            helper.make_node("ReduceMean", ["guidance"], ["strength"], keepdims=0),
            helper.make_node("Add", ["scalar", "strength"], ["guided_scalar"]),
        ]
        value = "guided_scalar"
    if burn:
        constants.append(_constant("size", np.array([burn, burn])))
        nodes += [
            helper.make_node("Expand", [value, "size"], ["square"]),
            helper.make_node("MatMul", ["square", "square"], ["product"]),
            helper.make_node("ReduceMax", ["product"], ["burnt"], keepdims=0),
        ]
        value = "burnt"
    nodes += [
        helper.make_node("Mul", [value, "nothing"], ["zero"]),
        helper.make_node("Add", ["mixed", "zero"], ["clean"]),
    ]
    shape = ["batch", MEL.n_mels, "frames"]
    shapes = {"noised": shape, "embedding": ["batch", N_EMBEDDING]}
    return helper.make_graph(
        nodes,
        "denoiser",
        [helper.make_tensor_value_info(name, FLOAT, shapes.get(name, ["batch"])) for name in inputs],
        [helper.make_tensor_value_info("clean", FLOAT, shape)],
        constants,
    )


def _vocoder() -> onnx.GraphProto:
    """Return a graph that spreads magnitudes over the bins of each band, with phases that do not cancel frames."""
    spread = mel_filterbank(MEL).T / mel_filterbank(MEL).sum(axis=1) / math.sqrt(2)
    nodes = [
        helper.make_node("Exp", ["log_mel"], ["magnitude"]),
        helper.make_node("MatMul", ["spread", "magnitude"], ["bins"]),
        helper.make_node("Unsqueeze", ["bins", "axis"], ["part"]),
        helper.make_node("Concat", ["part", "part"], ["spectrum"], axis=1),
    ]
    constants = [_constant("spread", spread.astype(np.float32)), _constant("axis", np.array([1]))]
    return helper.make_graph(
        nodes,
        "vocoder",
        [helper.make_tensor_value_info("log_mel", FLOAT, ["batch", MEL.n_mels, "frames"])],
        [helper.make_tensor_value_info("spectrum", FLOAT, ["batch", 2, MEL.n_bins, "frames"])],
        constants,
    )
