"""A denoiser from a checkpoint of `python -m onnx_export train`, and what it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.official.error_text import error_sentence
from onnx_export.training.checkpoint import CheckpointMetadata
from plugin_server.engine.bundles.card import Embedding

HEAD_WIDTH = 64
"""Width of a head in checkpoints that do not say how many heads they have."""


@dataclass(frozen=True, slots=True)
class LoadedDenoiser:
    """A denoiser with its averaged weights, ready to be exported."""

    module: Denoiser
    embedding: Embedding
    conditions: tuple[str, ...]
    """Kinds of conditions that it was trained on; empty where its checkpoint does not say."""


def load_denoiser(path: Path) -> LoadedDenoiser:
    """Read a denoiser from its checkpoint. Raises ValueError when the file is no checkpoint of a denoiser."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        weights = saved["average"]["state"]
        module = Denoiser(_size(weights, saved))
        module.load_state_dict(weights)
    # What torch.load and indexing raise on files of other kinds is of many classes.
    except Exception as error:
        expected = "a checkpoint of python -m onnx_export train denoiser"
        raise ValueError(f"denoiser: {path} cannot be read as {expected}: {error_sentence(error)}") from error
    metadata = CheckpointMetadata.from_saved(saved)
    embedding = Embedding(metadata.embedding or CLIPSONIC_EMBEDDING, module.size.n_embedding)
    return LoadedDenoiser(module.eval(), embedding, metadata.conditions)


def _size(weights: Mapping[str, torch.Tensor], saved: Mapping) -> DenoiserSize:
    """Return the shape of the network, read from the shapes of its weights."""
    width, patch_numbers = weights["patch_in.weight"].shape
    n_mels = len(weights["mel_mean"])
    return DenoiserSize(
        n_mels=n_mels,
        n_embedding=weights["from_embedding.0.weight"].shape[1],
        patch=patch_numbers // n_mels,
        width=width,
        depth=len({name.split(".")[1] for name in weights if name.startswith("blocks.")}),
        heads=CheckpointMetadata.from_saved(saved).heads or max(1, width // HEAD_WIDTH),
        expansion=weights["blocks.0.feed.0.weight"].shape[0] // width,
        context=weights["to_context.weight"].shape[0] // width,
    )
