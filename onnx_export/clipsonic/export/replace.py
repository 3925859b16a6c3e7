"""Another denoiser in a bundle that stays as it is otherwise: its towers, vocoder and known sounds are kept."""

import os
from dataclasses import replace
from pathlib import Path

import torch

from onnx_export.clipsonic.export.bundle import denoiser_graph
from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.clipsonic.variants import Variant
from onnx_export.graph.export import export_graph
from onnx_export.official.denoiser import load_denoiser
from plugin_server.engine.bundles.card import CARD_NAME, Card
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import file_sha256

GRAPH = "denoiser"


def replace_denoiser(folder: Path, checkpoint: Path, variant: Variant, filter_variance: float = 0.0) -> Card:
    """Export the denoiser of a checkpoint into a bundle's folder, write its card anew and return it.

    Version and sampling become those of `variant`. The graph is renamed into its place when it is whole, and the card
    is written last.

    Args:
        folder: The bundle's folder.
        checkpoint: A checkpoint of `train denoiser`, or averaged weights of one.
        variant: What the bundle is.
        filter_variance: Above 0, the variance of grain that a network without a skip gets by a Wiener filter.

    Raises:
        ValueError: When the checkpoint is no denoiser's, of another embedding than the bundle's towers, or has a skip
            and shall be filtered.
    """
    card, loaded = read_card(folder), load_denoiser(checkpoint)
    if loaded.embedding != card.embedding:
        raise ValueError(
            f"denoiser: {checkpoint} was trained on {loaded.embedding.name}, expected {card.embedding.name}"
        )
    denoiser = with_filter(loaded.module, filter_variance) if filter_variance else loaded.module
    path = folder / card.graphs[GRAPH].file
    part = path.with_suffix(".part")
    graph = replace(export_graph(denoiser_graph(denoiser), part), file=path.name)
    os.replace(part, path)
    new = replace(
        card,
        version=variant.version,
        sampling=variant.sampling,
        mel_mean=_numbers(denoiser.mel_mean),
        mel_std=_numbers(denoiser.mel_std),
        frame_multiple=denoiser.size.patch,
        modalities=loaded.conditions or ("text",),
        graphs={**card.graphs, GRAPH: graph},
        files={**card.files, path.name: file_sha256(path)},
    )
    (folder / CARD_NAME).write_text(new.to_json(), "utf-8")
    return new


def with_filter(denoiser: Denoiser, variance: float) -> Denoiser:
    """Return the same network with a Wiener filter behind it. Raises ValueError for one that has a skip."""
    if denoiser.size.skip:
        raise ValueError("filter: the denoiser has a skip, expected one without")
    filtered = Denoiser(replace(denoiser.size, filter=True))
    variances = torch.full((denoiser.size.n_mels, 1), variance)
    filtered.load_state_dict({**denoiser.state_dict(), "filter_variance": variances})
    return filtered.eval()


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
