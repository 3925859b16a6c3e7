"""CLIP's text and image tower (Radford et al. 2021), of any model that open_clip knows and whose words are CLIP's."""

import logging
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from onnx_export.graph.export import ExportSpec
from onnx_export.joint_embeddings import SCHEMES, embedding_name, load_open_clip
from onnx_export.official.error_text import error_sentence
from onnx_export.torchvision_ops import declare_missing_operators
from plugin_server.engine.bundles.card import ImageSpec

log = logging.getLogger(__name__)

VOCABULARY = 49_408
"""Tokens of CLIP's own tokenizer, the only one that serving has."""
START, END = VOCABULARY - 2, VOCABULARY - 1
BATCH_AXIS = {0: "batch"}


class TokenTable(nn.Module):
    """An embedding of tokens.

    Exporters call what `nn.Embedding` gives 'embedding', which is an output's name here.
    """

    def __init__(self, weight: nn.Parameter):
        """Take over the weights (n, width) of another table."""
        super().__init__()
        self.weight = weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the rows of integer `ids` of any shape, (..., width)."""
        return self.weight[ids]


class TextTower(nn.Module):
    """The text tower of one of open_clip's models.

    Towers with a token of their own for the whole text (CoCa) have no states of single tokens, and give two outputs in
    place of three.
    """

    model: Any
    """The whole model, of one of open_clip's classes, which have little in common."""

    def __init__(self, model: nn.Module):
        """Wrap a model, and replace its table of tokens by one whose output has another name."""
        super().__init__()
        self.model = model
        text: Any = getattr(model, "text", model)
        text.token_embedding = TokenTable(text.token_embedding.weight)
        self.has_hidden = getattr(text, "cls_emb", None) is None
        self.output_names = ["embedding", "projected", "hidden"][: 3 if self.has_hidden else 2]

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the outputs of token ids (batch, context), zeros behind the end mark.

        These are `embedding` (batch, size) of unit length, `projected`, the same before it was scaled, and `hidden`
        (batch, context, width), what the last norm gives for each token.
        """
        if not self.has_hidden:
            projected = self.model.encode_text(tokens, normalize=False)
            return functional.normalize(projected, dim=-1), projected
        hidden, pooled, projection = self._states(tokens)
        if projection is None:
            projected = pooled
        else:
            projected = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
        return functional.normalize(projected, dim=-1), projected, hidden

    def _states(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, nn.Linear | torch.Tensor | None]:
        """Return the states of the tokens, the state of the text, and what projects it.

        open_clip has two classes, and names their parts differently.
        """
        from open_clip.transformer import text_global_pool

        text = getattr(self.model, "text", None)
        if text is not None:
            x, mask = text._embeds(tokens)
            hidden = text.ln_final(text.transformer(x, attn_mask=mask))
            return hidden, text_global_pool(hidden, tokens, text.pool_type, text.eos_id), text.text_projection
        model = self.model
        x = model.token_embedding(tokens) + model.positional_embedding
        hidden = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
        pooled = text_global_pool(hidden, tokens, model.text_pool_type, model.text_eos_id)
        return hidden, pooled, model.text_projection


class ImageTower(nn.Module):
    """The image tower of one of open_clip's models."""

    model: Any
    """The whole model, of one of open_clip's classes, which have little in common."""

    def __init__(self, model: nn.Module):
        """Wrap one of open_clip's models."""
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, size) of normalised pictures (batch, 3, side, side)."""
        return functional.normalize(self.model.encode_image(pictures), dim=-1)


@dataclass(frozen=True, slots=True)
class Towers:
    """Both towers of a model, and how pictures are prepared for them."""

    name: str
    """The name of their embedding."""
    tag: str
    """As `load_open_clip` takes it."""
    size: int
    """Numbers in an embedding."""
    width: int | None
    """Numbers in the state of a token; None where there are no states."""
    context_length: int
    text: TextTower
    image: ImageTower
    picture: ImageSpec


def load_towers(tag: str) -> Towers:
    """Load both towers of a tag, in single precision. OpenAI's own archives are read, too.

    Args:
        tag: 'MODEL:WEIGHTS', one of open_clip's models or a JSON file with a configuration, and one of open_clip's tags
            or a file; or 'hf-hub:ORG/REPO' or 'local-dir:FOLDER', which bring both.

    Raises:
        ValueError: For what cannot be had or served.
    """
    operators = declare_missing_operators()
    model, weights = _split(tag)
    _check_tokenizer(model)
    with _readable(model, weights) as readable:
        try:
            clip = load_open_clip(tag if readable == weights else f"{model}:{readable}")
        except ValueError as error:
            raise ValueError(f"towers: {error_sentence(error)}") from error
        # Unpickling raises many kinds of errors on files that are none of weights.
        except Exception as error:
            raise ValueError(f"towers: {tag} cannot be had: {error_sentence(error)}") from error
    # The declaration lives as long as the model.
    clip.model.operators = operators
    text, image = TextTower(clip.model).eval(), ImageTower(clip.model).eval()
    context = clip.model.context_length if hasattr(clip.model, "context_length") else clip.model.text.context_length
    with torch.no_grad():
        outputs = text(torch.tensor([[START, END] + [0] * (context - 2)]))
    return Towers(
        name=embedding_name(tag),
        tag=tag,
        size=outputs[0].shape[1],
        width=outputs[2].shape[2] if text.has_hidden else None,
        context_length=context,
        text=text,
        image=image,
        picture=clip.picture,
    )


def _split(tag: str) -> tuple[str, str | None]:
    """Return the model, and its weights where it does not bring them."""
    from open_clip import list_pretrained_tags_by_model

    model, _, weights = tag.partition(":")
    if model in SCHEMES and weights:
        return tag, None
    if model and weights:
        return model, weights
    known = ", ".join(list_pretrained_tags_by_model(model))
    expected = f"MODEL:WEIGHTS; open_clip has for it {known}" if known else "MODEL:WEIGHTS, as in 'ViT-L-14:openai'"
    raise ValueError(f"towers: got {tag!r}, expected {expected}")


def _check_tokenizer(model: str) -> None:
    """Raise ValueError when a model's tokenizer is not CLIP's; nothing is downloaded but a configuration."""
    text = _read_config(model)["text_cfg"]
    tokenizer = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    if not tokenizer and "siglip" in _model_name(model).lower():
        tokenizer = "sentencepiece"
    if not tokenizer and text.get("tokenizer_kwargs"):
        tokenizer = f"{text['tokenizer_kwargs']}"
    if tokenizer or text.get("vocab_size", VOCABULARY) != VOCABULARY:
        why = f"the tokenizer {tokenizer}" if tokenizer else f"a vocabulary of {text['vocab_size']}"
        raise ValueError(f"towers: {model} has {why}, but serving has CLIP's own alone; choose a model of that")


def _model_name(model: str) -> str:
    """Return open_clip's name of a model, which a JSON file gives it by its own name."""
    return Path(model).stem if model.endswith(".json") else model


def _read_config(model: str) -> dict[str, Any]:
    """Return open_clip's configuration of a model, which may be a JSON file. Raises ValueError when there is none."""
    import open_clip

    if model.endswith(".json"):
        open_clip.add_model_config(Path(model))
    try:
        config = open_clip.get_model_config(_model_name(model))
    # What the hub's client raises is of many classes.
    except Exception as error:
        raise ValueError(f"towers: the configuration of {model} cannot be had: {error_sentence(error)}") from error
    if config is None:
        known = ", ".join(open_clip.list_models())
        raise ValueError(f"towers: got {model!r}, expected a JSON file or one of open_clip's models: {known}")
    return config


@contextmanager
def _readable(model: str, weights: str | None) -> Iterator[str | None]:
    """Yield `weights`, or a copy that open_clip reads where they are one of OpenAI's archives of TorchScript."""
    if not weights or not _is_archive(Path(weights)):
        yield weights
        return
    if "quickgelu" not in model:
        activation = "taught with the quick GELU: name the model that has it"
        raise ValueError(f"towers: {weights} is one of OpenAI's archives, which were {activation}, {model}-quickgelu")
    state = torch.jit.load(weights, map_location="cpu").state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        # The archive also holds three numbers that are no weights.
        torch.save({name: value for name, value in state.items() if value.ndim or name == "logit_scale"}, path)
        yield str(path)


def _is_archive(path: Path) -> bool:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def tower_graphs(towers: Towers) -> dict[str, ExportSpec]:
    """Return the graphs of both towers by the names that cards give them."""
    tokens = torch.zeros(2, towers.context_length, dtype=torch.int64)
    tokens[0, :3] = torch.tensor([START, 2102, END])
    tokens[1, :5] = torch.tensor([START, 518, 3981, 7120, END])
    side = towers.picture.size
    # Independent noise looks alike everywhere; a tower of many layers hardly tells two of it apart.
    pictures = torch.randn(2, 3, 1, 1) + torch.randn(2, 3, side, side)
    return {
        "text_tower": ExportSpec(towers.text, {"tokens": tokens}, towers.text.output_names, {"tokens": BATCH_AXIS}),
        "image_tower": ExportSpec(towers.image, {"pictures": pictures}, ["embedding"], {"pictures": BATCH_AXIS}),
    }
