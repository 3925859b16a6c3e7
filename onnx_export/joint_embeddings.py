"""Joint embeddings of pictures and words by their tags: any of open_clip, and the small one that is trained here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
from plugin_server.engine.bundles.card import FILTERS, ImageSpec
from plugin_server.engine.bundles.registry import file_sha256
from plugin_server.engine.inputs.images import normalise

if TYPE_CHECKING:
    import torch

MINI = "clipsonic-mini"
"""The small embedding; its towers lie in a folder of runs."""
SCHEMES = ("hf-hub", "local-dir")
"""Prefixes by which open_clip names a model that brings its weights."""
BATCH_SIZE = 64
FIT_NAMES = {"shortest": "crop", "squash": "squash"}
"""open_clip's names of how a picture is made square, to those of cards."""


@dataclass(frozen=True, slots=True)
class JointEmbedding:
    """Pictures and words as unit vectors in one space."""

    name: str
    """Vectors of two models can be compared only when it is the same."""
    size: int
    """Numbers in a vector."""
    picture_side: int
    """Pixels a side that the picture tower looks at."""
    embed_pictures: Callable[[Sequence[np.ndarray]], np.ndarray]
    """The image tower: pictures uint8 (height, width, 3), each of any size, to float32 (n, size)."""
    embed_texts: Callable[[Sequence[str]], np.ndarray]
    """The text tower: n texts to float32 (n, size)."""


@dataclass(frozen=True, slots=True)
class OpenClip:
    """One of open_clip's models in evaluation mode, ready to be used or exported."""

    model: Any
    """A `torch.nn.Module` with `encode_image`, `encode_text`, `visual` and whatever else its class has."""
    tokenize: Callable[[Sequence[str]], "torch.Tensor"]
    picture: ImageSpec


def embedding_name(tag: str) -> str:
    """Return the name of the embedding of a tag, as cards have it.

    It is 'open_clip/ViT-L-14/openai', or has the beginning of the checksum in place of the weights' tag where they are
    a file.

    Raises:
        ValueError: For what is no tag.
    """
    model, _, weights = tag.partition(":")
    if tag == MINI:
        return CLIPSONIC_EMBEDDING
    if not model or not weights:
        raise ValueError(f"embedding {tag!r}: expected MODEL:WEIGHTS, as in 'ViT-L-14:openai', or {MINI!r}")
    if model == "hf-hub":
        return f"open_clip/{weights}"
    file = _weights_in(Path(weights)) if model == "local-dir" else Path(weights)
    if file.is_file():
        model_name = Path(weights).name if model == "local-dir" else Path(model).name.removesuffix(".json")
        return f"open_clip/{model_name}/{file_sha256(file)[:12]}"
    # Weights that have a tag are taken with the activation they were trained with, whatever the model's name says.
    return f"open_clip/{model.removesuffix('-quickgelu')}/{weights}"


def _weights_in(folder: Path) -> Path:
    """Return the file of weights that open_clip takes of a folder. Raises ValueError when it would take none."""
    from onnx_export.torchvision_ops import declare_missing_operators

    operators = declare_missing_operators()
    from open_clip.factory import _find_checkpoint_in_dir

    found = _find_checkpoint_in_dir(folder)
    del operators
    if not found:
        raise ValueError(f"embedding: {folder} has no file of weights")
    return Path(found)


def open_embedding(tag: str, device: str = "cpu", runs: Path = Path("runs")) -> JointEmbedding:
    """Open both towers of a tag, in half precision on CUDA.

    Args:
        tag: 'MODEL:WEIGHTS' names one of open_clip's models and either its weights' tag or a file of weights; MODEL may
            be a JSON file with a configuration. A file of OpenAI's needs a MODEL that ends in '-quickgelu'.
            'clipsonic-mini' is the small embedding that is trained here.
        device: A torch device.
        runs: The folder that 'clipsonic-mini' is read from.

    Raises:
        ValueError: For a tag that means nothing, and for weights that are not there.
    """
    name = embedding_name(tag)
    if tag == MINI:
        return _open_mini(name, device, runs)
    clip = load_open_clip(tag, device)

    def encode_texts(part: Sequence[str]) -> "torch.Tensor":
        return clip.model.encode_text(clip.tokenize(list(part)).to(device))

    return _batch_and_normalise(name, clip.picture, clip.model.encode_image, encode_texts, device)


def load_open_clip(tag: str, device: str = "cpu") -> OpenClip:
    """Load the model of 'MODEL:WEIGHTS', as for `open_embedding`, in single precision. Raises ValueError like it."""
    from onnx_export.torchvision_ops import declare_missing_operators

    operators = declare_missing_operators()
    import open_clip

    weights: str | None
    model_name, _, weights = tag.partition(":")
    if model_name in SCHEMES:
        model_name, weights = tag, None
    elif model_name.endswith(".json"):
        model_name = _add_configuration(Path(model_name))
    elif model_name not in open_clip.list_models():
        raise ValueError(f"embedding {tag!r}: open_clip has no model {model_name!r}")
    if weights and not Path(weights).is_file() and not open_clip.get_pretrained_cfg(model_name, weights):
        known = ", ".join(open_clip.list_pretrained_tags_by_model(model_name)) or "none"
        raise ValueError(f"embedding {tag!r}: {weights!r} is no file and none of the weights known: {known}")
    # Weights trained with the quick GELU are silently worse with the exact one.
    quick_gelu = bool(weights) and open_clip.get_pretrained_cfg(model_name, weights).get("quick_gelu", False)
    try:
        model = open_clip.create_model(
            model_name, weights, device=device, force_quick_gelu=quick_gelu, require_pretrained=True
        )
    except RuntimeError as error:
        raise ValueError(f"embedding {tag!r}: {error}") from error
    # The declaration lives as long as the model.
    model.eval().requires_grad_(requires_grad=False).operators = operators
    return OpenClip(
        model, open_clip.get_tokenizer(model_name), _picture_spec(open_clip.get_model_preprocess_cfg(model))
    )


def _add_configuration(path: Path) -> str:
    import open_clip

    if not path.is_file():
        raise ValueError(f"embedding: {path} is not there, expected a JSON file with open_clip's configuration")
    open_clip.add_model_config(path)
    return path.stem


def _picture_spec(settings: dict) -> ImageSpec:
    size, fit = settings["size"], FIT_NAMES.get(settings.get("resize_mode", "shortest"))
    sides = set(size) if isinstance(size, (tuple, list)) else {size}
    filter_ = settings.get("interpolation", "bicubic")
    if fit is None or len(sides) != 1 or filter_ not in FILTERS:
        preparation = f"{settings.get('resize_mode')!r} and {filter_!r}"
        raise ValueError(f"embedding: pictures of {size} made by {preparation} cannot be served")
    return ImageSpec(sides.pop(), tuple(settings["mean"]), tuple(settings["std"]), fit, filter_)


def _open_mini(name: str, device: str, runs: Path) -> JointEmbedding:
    from onnx_export.clipsonic.models.image_tower import ImageTower, ImageTowerSize
    from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize, tokenize
    from onnx_export.training.checkpoint import load_ema

    pictures, texts = ImageTower(ImageTowerSize()), TextTower(TextTowerSize())
    for tower, file in ((pictures, "image.pt"), (texts, "text.pt")):
        if not (runs / file).exists():
            raise ValueError(
                f"embedding {MINI!r}: {runs / file} is not there: train it, or name its folder with --runs"
            )
        load_ema(runs / file, tower)
        tower.to(device)

    def encode_texts(part: Sequence[str]) -> "torch.Tensor":
        return texts(tokenize(list(part), texts.size.context_length).to(device))

    return _batch_and_normalise(name, pictures.size.picture, pictures, encode_texts, device)


def _batch_and_normalise(
    name: str, spec: ImageSpec, encode_pictures: Callable, encode_texts: Callable, device: str
) -> JointEmbedding:
    """Return an embedding that adds batches, precision and unit length to two encoders that run on `device`."""
    import torch

    def embed(items: Sequence, encode: Callable) -> np.ndarray:
        parts = [items[i : i + BATCH_SIZE] for i in range(0, len(items), BATCH_SIZE)]
        half_precision = torch.autocast("cuda", torch.float16, enabled=torch.device(device).type == "cuda")
        with torch.inference_mode(), half_precision:
            arrays = [torch.nn.functional.normalize(encode(part).float(), dim=-1).cpu().numpy() for part in parts]
        return np.concatenate(arrays) if arrays else np.zeros((0, size), np.float32)

    def encode_prepared(part: Sequence[np.ndarray]) -> "torch.Tensor":
        return encode_pictures(torch.from_numpy(normalise(list(part), spec)).to(device))

    size = 0
    blank = np.zeros((spec.size, spec.size, 3), np.uint8)
    size = embed([blank], encode_prepared).shape[1]
    return JointEmbedding(
        name,
        size,
        spec.size,
        lambda pictures: embed(pictures, encode_prepared),
        lambda texts: embed(texts, encode_texts),
    )
