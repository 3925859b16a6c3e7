"""An unCLIP prior in diffusers' layout, as karlo's (Lee et al. 2022): from words to the embedding of a picture.

It is sampled as diffusers' `UnCLIPPipeline` samples it: it predicts the clean embedding from the noised
one, the words' embedding before it is scaled to unit length, and the state of each token.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from onnx_export.graph.export import ExportSpec
from onnx_export.official.error_text import error_sentence
from onnx_export.torchvision_ops import declare_missing_operators
from plugin_server.engine.bundles.card import PriorSpec

log = logging.getLogger(__name__)

CONFIG = "config.json"
NETWORK = {"encoder_hid_proj_type": "linear", "added_emb_type": "prd"}
"""Settings of the PriorTransformers that take words and end in one embedding."""
SCHEDULERS = ("prior_scheduler", "scheduler")
"""Folders beside the prior's: karlo's name, and Kandinsky's."""
SCHEDULER_CONFIG = "scheduler_config.json"
SUPPORTED_SCHEDULER = {
    "_class_name": "UnCLIPScheduler",
    "prediction_type": "sample",
    "variance_type": "fixed_small_log",
    "beta_schedule": "squaredcos_cap_v2",
}
"""Settings of the scheduler that serving implements."""
SCHEDULER_DEFAULTS = {
    "prediction_type": "epsilon",
    "variance_type": "fixed_small_log",
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 1000,
    "clip_sample": True,
    "clip_sample_range": 1.0,
}
KARLO_SCHEDULER = SUPPORTED_SCHEDULER | {"num_train_timesteps": 1000, "clip_sample": True, "clip_sample_range": 5.0}
"""Settings where no scheduler comes with the prior."""
STEPS, GUIDANCE = 25, 4.0
"""Defaults of `UnCLIPPipeline`."""
BATCH_AXIS = {0: "batch"}


class TokenPrior(nn.Module):
    """A PriorTransformer with tensors in and out, to be exported."""

    def __init__(self, network: nn.Module):
        """Wrap the network of diffusers."""
        super().__init__()
        self.network = network

    def forward(
        self,
        noised: torch.Tensor,
        timestep: torch.Tensor,
        projected: torch.Tensor,
        hidden: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Return the clean embedding (batch, size).

        Args:
            noised: The noised embedding, (batch, size).
            timestep: The noise level, (batch,).
            projected: The words' embedding before it is scaled to unit length, (batch, width).
            hidden: The state of each token, (batch, context, width).
            mask: 1 for each token up to the end mark, (batch, context).
        """
        return self.network(noised, timestep, projected, hidden, mask, return_dict=False)[0]


@dataclass(frozen=True, slots=True)
class LoadedPrior:
    """A prior with its sizes, and how it is sampled."""

    module: TokenPrior
    size: int
    """Numbers in the embedding that it makes."""
    projected: int
    """Numbers in the words' embedding that it takes."""
    width: int
    """Numbers in the state of a token."""
    context_length: int
    spec: PriorSpec


def load_prior(folder: Path) -> LoadedPrior:
    """Read a prior and how it is sampled.

    Args:
        folder: A folder with `prior` and `prior_scheduler`, or the prior's own.

    Raises:
        ValueError: For what is missing or cannot be served.
    """
    prior_folder = folder / "prior" if (folder / "prior" / CONFIG).is_file() else folder
    config = _read(prior_folder / CONFIG)
    _expect(prior_folder / CONFIG, config, {"_class_name": "PriorTransformer"})
    # What a file leaves out is as diffusers has it.
    _expect(prior_folder / CONFIG, NETWORK | config, NETWORK)
    network = _load_network(prior_folder)
    size, std = network.config, network.clip_std.detach()[0]
    if float(std.min()) <= 0:
        raise ValueError(f"prior: {prior_folder} has a clip_std that is not positive: it was never taught")
    spec = _spec(_scheduler(prior_folder), network.clip_mean.detach()[0], std)
    return LoadedPrior(
        TokenPrior(network).eval(),
        size.clip_embed_dim or size.embedding_dim,
        size.embedding_proj_dim or size.embedding_dim,
        size.embedding_dim,
        size.num_embeddings,
        spec,
    )


def _load_network(prior_folder: Path) -> Any:
    """Return a PriorTransformer; for type checkers diffusers shows a stand-in that is no module."""
    operators = declare_missing_operators()
    from diffusers import PriorTransformer

    # Those of half precision have a name of their own, and may be the only ones.
    has_fp32 = any((prior_folder / f"diffusion_pytorch_model{end}").is_file() for end in (".safetensors", ".bin"))
    try:
        network, loading_info = PriorTransformer.from_pretrained(
            prior_folder,
            variant=None if has_fp32 else "fp16",
            torch_dtype=torch.float32,
            local_files_only=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    # What diffusers raises on files that are not what they should be is of many classes.
    except Exception as error:
        raise ValueError(f"prior: {prior_folder} cannot be read: {error_sentence(error)}") from error
    # diffusers leaves weights at random where a file lacks them.
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(loading_info[kind]):
            raise ValueError(f"prior: the weights in {prior_folder} do not fit its {CONFIG}: {kind} {keys[:3]}")
    network.operators = operators
    return network.float().requires_grad_(requires_grad=False)


def _scheduler(prior_folder: Path) -> Mapping[str, Any]:
    """Return the settings of the scheduler beside a prior; karlo's where there is none."""
    for name in SCHEDULERS:
        path = prior_folder.parent / name / SCHEDULER_CONFIG
        if path.is_file():
            settings = SCHEDULER_DEFAULTS | _read(path)
            _expect(path, settings, SUPPORTED_SCHEDULER)
            return settings
    log.warning("no scheduler beside %s: sampled as karlo's prior is", prior_folder)
    return KARLO_SCHEDULER


def _spec(scheduler: Mapping[str, Any], mean: torch.Tensor, std: torch.Tensor) -> PriorSpec:
    return PriorSpec(
        "prior_pd",
        steps=STEPS,
        guidance=GUIDANCE,
        levels=scheduler["num_train_timesteps"],
        mean=tuple(float(f"{value:.7g}") for value in mean),
        std=tuple(float(f"{value:.7g}") for value in std),
        clip=float(scheduler["clip_sample_range"]) if scheduler["clip_sample"] else 0.0,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"prior: {path} cannot be read: {error_sentence(error)}") from error
    if not isinstance(values, dict):
        raise ValueError(f"prior: {path} holds {type(values).__name__}, expected an object")
    return values


def _expect(path: Path, settings: Mapping[str, object], expected: Mapping[str, object]) -> None:
    for key, value in expected.items():
        if settings.get(key) != value:
            raise ValueError(f"prior: {path}: {key} is {settings.get(key)!r}, expected {value!r}")


def prior_graph(prior: LoadedPrior) -> ExportSpec:
    """Return the prior's graph, whose inputs are named as the text tower's outputs."""
    lengths = torch.tensor([[5.0], [3.0]])
    inputs = {
        "noised": torch.randn(2, prior.size),
        "timestep": torch.tensor([prior.spec.levels - 1.0, 3.0]),
        "projected": torch.randn(2, prior.projected),
        "hidden": torch.randn(2, prior.context_length, prior.width),
        "mask": (torch.arange(prior.context_length)[None] < lengths).float(),
    }
    return ExportSpec(prior.module, inputs, ["clean"], dict.fromkeys(inputs, BATCH_AXIS))
