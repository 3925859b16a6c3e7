"""A denoiser from a checkpoint of `python -m onnx_export train`, and what it was trained on."""

from dataclasses import dataclass
from pathlib import Path

import torch

from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.official.error_text import error_sentence
from onnx_export.training.checkpoint import CheckpointMetadata
from plugin_server.engine.bundles.card import Embedding


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
        module = Denoiser(DenoiserSize.of_weights(weights, CheckpointMetadata.from_saved(saved).heads))
        module.load_state_dict(weights)
    # What torch.load and indexing raise on files of other kinds is of many classes.
    except Exception as error:
        expected = "a checkpoint of python -m onnx_export train denoiser"
        raise ValueError(f"denoiser: {path} cannot be read as {expected}: {error_sentence(error)}") from error
    metadata = CheckpointMetadata.from_saved(saved)
    embedding = Embedding(metadata.embedding or CLIPSONIC_EMBEDDING, module.size.n_embedding)
    return LoadedDenoiser(module.eval(), embedding, metadata.conditions)
