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

from onnx_export.graph.export import Exported
from onnx_export.joint_embeddings import SCHEMES, embedding_name, load_open_clip
from onnx_export.official.error_text import sentence
from onnx_export.torchvision_ops import declare_missing_operators
from plugin_server.engine.bundles.card import ImageSpec

log = logging.getLogger(__name__)

VOCABULARY = 49_408
"""Tokens of CLIP's own tokenizer, the only one that serving has."""
START, END = VOCABULARY - 2, VOCABULARY - 1
BATCH = {0: "batch"}


class Table(nn.Module):
    """An embedding of tokens. Exporters call what `nn.Embedding` gives 'embedding', which is an output's name here."""

    def __init__(self, weight: nn.Parameter):
        super().__init__()
        self.weight = weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.weight[ids]


class WordsTower(nn.Module):
    """Token ids (batch, context), zeros behind the end mark, to `embedding` (batch, size) of unit length, `projected`,
    the same before it was scaled, and `hidden` (batch, context, width), what the last norm gives for each token.

    Towers with a token of their own for the whole text (CoCa) have no such states, and give the first two alone.
    """

    model: Any
    """Of one of open_clip's classes, which have little in common."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        text: Any = getattr(model, "text", model)
        text.token_embedding = Table(text.token_embedding.weight)
        self.has_hidden = getattr(text, "cls_emb", None) is None
        self.outputs = ["embedding", "projected", "hidden"][: 3 if self.has_hidden else 2]

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
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
        """Of the tokens, of the text, and what projects it: open_clip has two classes, and names parts differently."""
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


class PicturesTower(nn.Module):
    """Normalised pictures (batch, 3, side, side) to unit vectors (batch, size)."""

    model: Any
    """Of one of open_clip's classes, which have little in common."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.model.encode_image(pictures), dim=-1)


@dataclass(frozen=True, slots=True)
class Towers:
    """Both towers of a model."""

    name: str
    """Of their embedding."""
    tag: str
    """As `load_open_clip` takes it."""
    size: int
    """Numbers in an embedding."""
    width: int | None
    """Numbers in the state of a token; None where there are no states."""
    context_length: int
    words: WordsTower
    pictures: PicturesTower
    picture: ImageSpec


def load_towers(tag: str) -> Towers:
    """Of 'MODEL:WEIGHTS', one of open_clip's models or a JSON file with a configuration, and one of open_clip's tags or
    a file; or of 'hf-hub:ORG/REPO' or 'local-dir:FOLDER', which bring both. In single precision.

    OpenAI's own archives are read, too. Raises ValueError for what cannot be had or served.
    """
    operators = declare_missing_operators()
    model, weights = _split(tag)
    _check_words(model)
    with _readable(model, weights) as readable:
        try:
            clip = load_open_clip(tag if readable == weights else f"{model}:{readable}")
        except ValueError as error:
            raise ValueError(f"towers: {sentence(error)}") from error
        # Unpickling raises many kinds of errors on files that are none of weights.
        except Exception as error:
            raise ValueError(f"towers: {tag} cannot be had: {sentence(error)}") from error
    # The declaration lives as long as the model.
    clip.model.operators = operators
    words, pictures = WordsTower(clip.model).eval(), PicturesTower(clip.model).eval()
    context = clip.model.context_length if hasattr(clip.model, "context_length") else clip.model.text.context_length
    with torch.no_grad():
        found = words(torch.tensor([[START, END] + [0] * (context - 2)]))
    return Towers(
        name=embedding_name(tag),
        tag=tag,
        size=found[0].shape[1],
        width=found[2].shape[2] if words.has_hidden else None,
        context_length=context,
        words=words,
        pictures=pictures,
        picture=clip.picture,
    )


def _split(tag: str) -> tuple[str, str | None]:
    """The model, and its weights where it does not bring them."""
    from open_clip import list_pretrained_tags_by_model

    model, _, weights = tag.partition(":")
    if model in SCHEMES and weights:
        return tag, None
    if model and weights:
        return model, weights
    known = ", ".join(list_pretrained_tags_by_model(model))
    wanted = f"MODEL:WEIGHTS; open_clip has for it {known}" if known else "MODEL:WEIGHTS, as in 'ViT-L-14:openai'"
    raise ValueError(f"towers: got {tag!r}, expected {wanted}")


def _check_words(model: str) -> None:
    """Raises ValueError when the words of a model are not CLIP's; nothing is downloaded but a configuration."""
    import open_clip

    if model.endswith(".json"):
        open_clip.add_model_config(Path(model))
        name = Path(model).stem
    else:
        name = model
    try:
        config = open_clip.get_model_config(name)
    # What the hub's client raises is of many classes.
    except Exception as error:
        raise ValueError(f"towers: the configuration of {model} cannot be had: {sentence(error)}") from error
    if config is None:
        known = ", ".join(open_clip.list_models())
        raise ValueError(f"towers: got {model!r}, expected a JSON file or one of open_clip's models: {known}")
    text = config["text_cfg"]
    other = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    if not other and "siglip" in name.lower():
        other = "sentencepiece"
    if not other and text.get("tokenizer_kwargs"):
        other = f"{text['tokenizer_kwargs']}"
    if other or text.get("vocab_size", VOCABULARY) != VOCABULARY:
        why = f"the tokenizer {other}" if other else f"a vocabulary of {text['vocab_size']}"
        raise ValueError(f"towers: {model} has {why}, but serving has CLIP's own alone; choose a model of that")


@contextmanager
def _readable(model: str, weights: str | None) -> Iterator[str | None]:
    """`weights`, or a file of the same that open_clip reads, where they are one of OpenAI's archives of TorchScript."""
    if not weights or not _is_archive(Path(weights)):
        yield weights
        return
    if "quickgelu" not in model:
        wanted = "taught with the quick GELU: name the model that has it"
        raise ValueError(f"towers: {weights} is one of OpenAI's archives, which were {wanted}, {model}-quickgelu")
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


def tower_graphs(towers: Towers) -> dict[str, Exported]:
    """Both by the names that cards give them."""
    tokens = torch.zeros(2, towers.context_length, dtype=torch.int64)
    tokens[0, :3] = torch.tensor([START, 2102, END])
    tokens[1, :5] = torch.tensor([START, 518, 3981, 7120, END])
    side = towers.picture.size
    # Independent noise looks alike everywhere; a tower of many layers hardly tells two of it apart.
    pictures = torch.randn(2, 3, 1, 1) + torch.randn(2, 3, side, side)
    return {
        "text_tower": Exported(towers.words, {"tokens": tokens}, towers.words.outputs, {"tokens": BATCH}),
        "image_tower": Exported(towers.pictures, {"pictures": pictures}, ["embedding"], {"pictures": BATCH}),
    }
