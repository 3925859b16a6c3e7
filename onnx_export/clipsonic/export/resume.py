"""A bundle's networks back to checkpoints, so that training and export go on from what was shipped."""

import logging
from pathlib import Path

import torch
from torch import nn

from onnx_export.clipsonic.export.bundle import (
    Sizes,
    denoiser_graph,
    denoiser_size_of,
    spectrum_graph,
    text_graph,
    vocoder_graph,
)
from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.models.text_tower import TextTower
from onnx_export.clipsonic.models.vocoder import Vocoder, VocoderSize
from onnx_export.clipsonic.training.denoiser_dataset import MelNormalisation
from onnx_export.graph.export import Int8Embedding
from onnx_export.graph.restore import read_weights, restore
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata
from onnx_export.training.ema import EMA
from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families.clipsonic import SPECTRUM

log = logging.getLogger(__name__)


def resume_from(bundle: Bundle, sizes: Sizes, runs: Path, step: int) -> None:
    """Write `text.pt`, `denoiser.pt` and `vocoder.pt` into a folder of runs, as of `step` steps.

    Half-precision weights come back as they are; what the optimisers knew is lost. Raises ValueError when the
    bundle's networks have other shapes, FileExistsError rather than write over a run.
    """
    size = denoiser_size_of(bundle.path("denoiser")) or sizes.denoiser
    files = {"text": "text_tower", "denoiser": "denoiser", "vocoder": "vocoder"}
    for name in files:
        if (runs / f"{name}.pt").exists():
            raise FileExistsError(f"{runs / name}.pt is there: expected a folder without runs")
    text, denoiser = TextTower(sizes.text), Denoiser(size)
    vocoder = Vocoder(sizes.mel, _vocoder_size(bundle))
    to_vocoder_graph = spectrum_graph if bundle.card.graphs["vocoder"].outputs[0].name == SPECTRUM else vocoder_graph
    graphs = {"text": text_graph(text), "denoiser": denoiser_graph(denoiser), "vocoder": to_vocoder_graph(vocoder)}
    for name, graph in graphs.items():
        restore(graph, bundle.path(files[name]))
    text.transformer.token_embedding = _whole_table(text.transformer.token_embedding)
    MelNormalisation.of_card(bundle.card).store(denoiser)
    card = bundle.card
    metadata = CheckpointMetadata(card.embedding.name, tuple(card.modalities), size.heads)
    for name, module in (("text", text), ("denoiser", denoiser), ("vocoder", vocoder)):
        Checkpoint(runs / f"{name}.pt", {"model": module, "average": EMA(module)}, metadata).save(step)
        log.info("%s: %s", name, runs / f"{name}.pt")


def _vocoder_size(bundle: Bundle) -> VocoderSize:
    """Return the shape of a bundle's vocoder. Raises ValueError when it is another kind of network."""
    weights = read_weights(bundle.path("vocoder"))
    try:
        return VocoderSize.of_weights({name.removeprefix("vocoder."): array for name, array in weights.items()})
    except KeyError as error:
        raise ValueError(f"{bundle.path('vocoder')} has no weight {error}: it is another network's") from error


def _whole_table(table: Int8Embedding) -> nn.Embedding:
    return nn.Embedding.from_pretrained(torch.as_tensor(table.dequantize()), freeze=False)
