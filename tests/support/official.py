"""Small random weights in the layouts that official ones have."""

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from onnx_export.torchvision_ops import declare_missing_operators
from plugin_server.engine.bundles.card import LabelAnchorSpec
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import file_sha256
from tests.support.toys import MEL, change_card, write_toy

if TYPE_CHECKING:
    import torch

SIZE = 24
WORDS = {"context_length": 77, "vocab_size": 49408, "width": SIZE, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}
MODELS = {
    "tiny-vit": {"embed_dim": SIZE, "vision_cfg": VIT, "text_cfg": WORDS},
    "tiny-vit-quickgelu": {"embed_dim": SIZE, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": WORDS},
    "tiny-resnet": {
        "embed_dim": SIZE,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None},
        "text_cfg": WORDS,
    },
    # As MobileCLIP: the towers are two modules, the words' one looks both ways, pictures are timm's.
    "tiny-timm": {
        "embed_dim": SIZE,
        "custom_text": True,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": WORDS | {"no_causal_mask": True, "proj_bias": True},
    },
}
BIGVGAN = {
    "resblock": "1",
    "upsample_rates": [8, 4, 2],
    "upsample_kernel_sizes": [16, 8, 4],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "num_mels": MEL.n_mels,
    "n_fft": MEL.n_fft,
    "hop_size": MEL.hop,
    "win_size": MEL.n_fft,
    "sampling_rate": MEL.sample_rate,
    "fmin": 0,
    "fmax": None,
    "learning_rate": 0.0001,
}
SHALLOW = {
    "upsample_rates": [8, 8],
    "upsample_kernel_sizes": [16, 16],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
}
"""Changes that make a vocoder quick to export."""
CLOSE = 1e-3
"""Largest relative difference that single precision may make."""
KARLO = {"clip_sample_range": 5.0, "prediction_type": "sample", "variance_type": "fixed_small_log"}


def write_towers(folder: Path, name: str = "tiny-vit", suffix: str = ".pt") -> tuple[Path, Path]:
    """A configuration and a checkpoint of open_clip."""
    declared = declare_missing_operators()
    import open_clip
    import torch
    from safetensors.torch import save_file

    model, weights = folder / f"{name}.json", folder / f"{name}{suffix}"
    model.write_text(json.dumps(MODELS[name]))
    open_clip.add_model_config(model)
    torch.manual_seed(0)
    state = open_clip.create_model(name).state_dict()
    if suffix == ".safetensors":
        save_file(state, weights)
    else:
        # As open_clip's own training leaves it.
        torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, weights)
    del declared
    return model, weights


def write_karlo(folder: Path, size: int = SIZE, scheduler: dict | None = None, **changes: object) -> Path:
    """Prior and scheduler as diffusers saves a pipeline's."""
    declared = declare_missing_operators()
    import torch
    from diffusers import PriorTransformer, UnCLIPScheduler

    torch.manual_seed(1)
    shape = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "embedding_dim": size}
    prior = PriorTransformer(**shape | changes)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.normal_(0, 0.15)
        prior.clip_std.uniform_(0.5, 1.0)
    prior.save_pretrained(folder / "prior")
    UnCLIPScheduler(**KARLO | (scheduler or {})).save_pretrained(folder / "prior_scheduler")
    del declared
    return folder


def lively(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that depend on their name and shape alone, and are the same on every machine."""
    scale = 0.3 if ".act." in name else 1.0
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(-scale, scale, shape).astype(np.float32)


def bigvgan_state(spelling: str = "old", config: dict | None = None) -> dict:
    """A generator's weights as NVIDIA saves them; `spelling` of weight norm is 'old', 'new' or 'none'."""
    import torch

    from onnx_export.official.bigvgan import BigVGAN, BigVGANSize

    known = BigVGANSize.__dataclass_fields__
    values = {key: _tuple(value) for key, value in (config or BIGVGAN).items() if key in known}
    state = {}
    for name, weight in BigVGAN(BigVGANSize(**values)).state_dict().items():
        if not name.endswith(".weight"):
            state[name] = weight if name.endswith("filter") else torch.from_numpy(lively(name, tuple(weight.shape)))
            continue
        stem, v = name.removesuffix(".weight"), torch.from_numpy(lively(name, tuple(weight.shape)))
        g = torch.full((len(v), 1, 1), 0.05 if stem == "conv_post" else 0.7)
        if spelling == "old":
            state |= {f"{stem}.weight_g": g, f"{stem}.weight_v": v}
        elif spelling == "new":
            parts = f"{stem}.parametrizations.weight"
            state |= {f"{parts}.original0": g, f"{parts}.original1": v}
        else:
            state[name] = torch._weight_norm(v, g, 0)
    return state


def _tuple(value: object) -> object:
    return tuple(_tuple(part) for part in value) if isinstance(value, list) else value


def write_bigvgan(folder: Path, spelling: str = "old", **changes: object) -> Path:
    """NVIDIA's two files."""
    import torch

    folder.mkdir(exist_ok=True)
    config = BIGVGAN | changes
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({"generator": bigvgan_state(spelling, config)}, folder / "bigvgan_generator.pt")
    return folder


def write_denoiser(path: Path, embedding: str | None, size: int = SIZE, conditions: str = "text,image", **changes):
    """A checkpoint as training leaves it; without `embedding` as it was left before checkpoints had notes."""
    import torch

    from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
    from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata
    from onnx_export.training.ema import EMA

    torch.manual_seed(2)
    shape = {"n_mels": MEL.n_mels, "n_embedding": size, "width": 64, "depth": 2, "heads": 2, "expansion": 2}
    model = Denoiser(DenoiserSize(**shape | changes))
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.1)
    model.mel_mean.fill_(-3.0)
    metadata = CheckpointMetadata(embedding, tuple(conditions.split(",")), model.size.heads) if embedding else None
    Checkpoint(path, {"model": model, "average": EMA(model)}, metadata).save(7)
    return path


def write_base(folder: Path, known: bool = True) -> Path:
    """A toy of the embedding 'toy-6' with pictures and a prior, and with known sounds."""
    place = write_toy(folder, "base", pictures=True)
    (place / "MODEL_CARD.md").write_text("figures")
    (place / "ATTRIBUTIONS.md").write_text("who recorded what")
    if known:
        rng = np.random.default_rng(0)
        names, axes = np.array(["sea waves", "dog", "bell"]), rng.standard_normal((2, 16)) / 9
        arrays = {"anchors": np.eye(3, 6), "colours": np.tile(np.linspace(1, 2, 16), (3, 1)), "colour_axes": axes}
        np.savez(place / "known.npz", names=names, **arrays)
        files = read_card(place).files | {"known.npz": file_sha256(place / "known.npz")}
        change_card(
            place, label_anchors=LabelAnchorSpec("known.npz", confidence_floor=0.2, confidence_ceiling=0.8), files=files
        )
    return place


def relative_difference(found: np.ndarray, expected: "torch.Tensor") -> float:
    """Return the largest difference as a share of the largest expected number."""
    return float(np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max())


def run_graph(path: Path, **feeds: "torch.Tensor") -> dict[str, np.ndarray]:
    """Return the outputs of a graph by their names, as onnxruntime computes them."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {key: value.numpy() for key, value in feeds.items()}), strict=True))
