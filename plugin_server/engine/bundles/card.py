"""The card beside a bundle's graphs: what the model is. The only contract with the code that makes bundles."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plugin_server.audio.spectral import MelSettings
from plugin_server.engine.sampling.solvers import SOLVERS
from plugin_server.errors import BundleDamaged, shown

FORMAT = 1
CARD_NAME = "card.json"
PARAMETRISATIONS = ("clean",)
CONDITIONS = ("text", "image")
FITS = ("crop", "squash")
FILTERS = ("bicubic", "bilinear")
PRIORS = ("pd", "sd")
"""Ways of words to the embedding of a picture: a prior that was taught pictures with captions, or the data's own."""
TOKENIZER_FILES = {"clipsonic": ("merges.txt.gz",)}
"""What a family reads beside its graphs: listed in `files`, so that it is verified like them."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    type: str
    """As onnxruntime writes it: 'tensor(float)'."""
    shape: tuple[int | str, ...]
    """A number where the size is fixed, a name where it is free."""


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One ONNX graph."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: float | None = None
    """Largest relative difference from PyTorch that was seen at export."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The space that conditions the denoiser. Two models fit together only when the name is the same."""

    name: str
    size: int
    """Numbers in a vector; vectors have unit length, zeros mean no condition."""


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """What the image tower takes: pictures of `size` x `size` pixels, each channel (x / 255 - mean) / std."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: str = "crop"
    """'crop': the short side gets `size`, the middle is kept; 'squash': both sides get `size`."""
    filter: str = "bicubic"
    """How pixels are made of others: 'bicubic' or 'bilinear'."""


@dataclass(frozen=True, slots=True)
class PriorSpec:
    """A diffusion prior: from the embedding of words to one that a picture of them might have (Ramesh et al. 2022).

    Its graph takes `noised` (batch, size), `timestep` (batch,), and any of the text tower's outputs by their names and
    `mask` (batch, context), which is 1 for each token up to the end mark; it gives the clean embedding (batch, size).
    """

    graph: str
    steps: int = 10
    """Calls of the graph."""
    guidance: float = 1.0
    """Other than 1 goes further from what no words give, at twice the work."""
    levels: int = 1000
    """Noise levels that the graph knows, on the cosine schedule of Nichol and Dhariwal 2021."""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    """Of picture embeddings, per number: the graph's own numbers are (x - mean) / std. Empty: 0 and 1."""
    clip: float = 0.0
    """The graph's own numbers are cut off at this, and at its negative, in every estimate; 0 leaves them."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the denoiser is used when a request does not say otherwise."""

    parametrisation: str = "clean"
    """What the graph predicts: 'clean' is the noiseless spectrogram."""
    solver: str = "dpmpp_2m"
    shift: float = 1.0
    """Above 1 spends more steps where there is much noise (Esser et al. 2024)."""
    steps: int = 16
    guidance: float = 3.0
    taught_guidance: float = 1.0
    """From 1 to this, guidance is an input of the graph and costs no second call of it."""
    mel_rounds: int = 0
    """Times that the waveform's mel is compared with the one asked for, and corrected."""
    colour_spread: float = 0.0
    """How much the colours of takes differ, where the known sounds have colours: 1 as recordings of one sound do."""


@dataclass(frozen=True, slots=True)
class LabelAnchorSpec:
    """A file that names the sounds the model was taught, with their embeddings; what likeness to them means."""

    file: str
    far: float
    """Cosine to the nearest of them at which confidence is 0."""
    near: float
    """Cosine at which it is 1."""
    temperature: float = 0.03
    """How much of the second nearest and the next is taken along when a prompt is drawn near."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Seconds that the model can make."""

    least: float = 0.5
    most: float = 30.0
    usual: float = 5.0


@dataclass(frozen=True, slots=True)
class Card:
    """What a bundle is."""

    name: str
    family: str
    verb: str
    """The OSC verb it serves: 'generate'."""
    version: str
    licence: str
    description: str
    embedding: Embedding
    mel: MelSettings
    mel_mean: tuple[float, ...]
    """Per band, of the log-mel that the denoiser's numbers stand for."""
    mel_std: tuple[float, ...]
    frame_multiple: int
    """The denoiser takes multiples of this many frames."""
    context_length: int
    """Tokens of a prompt, end marks included."""
    sampling: Sampling = field(default_factory=Sampling)
    lengths: Lengths = field(default_factory=Lengths)
    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """File name to sha256."""
    known: LabelAnchorSpec | None = None
    picture: PictureSpec | None = None
    """What the graph `image_tower` takes; None where the model takes words only."""
    conditions: tuple[str, ...] = ("text",)
    """What the denoiser was trained on: 'text', 'image' or both."""
    priors: Mapping[str, PriorSpec] = field(default_factory=dict)
    """Ways for words beside the straight one: 'pd', 'sd'."""
    via: str = ""
    """The way that words take when a request does not say; the straight one when empty."""
    format: int = FORMAT

    @property
    def ways(self) -> tuple[str, ...]:
        """How words can reach the denoiser: straight, which is 'text' where it was trained on words and 'zs',
        zero-shot, where on pictures alone, or through a prior."""
        return ("text" if "text" in self.conditions else "zs", *self.priors)

    @property
    def usual_way(self) -> str:
        """The one that is taken when a request does not say."""
        return self.via or self.ways[0]

    def to_json(self) -> str:
        """Text of the card's file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_card(folder: Path) -> Card:
    """The card in `folder`. Raises BundleDamaged naming the file and the key that is wrong."""
    path = folder / CARD_NAME
    try:
        return _parse(json.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleDamaged(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise BundleDamaged(f"{path} lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleDamaged(f"{path} is not a card: {error}") from error


def _parse(values: Mapping[str, Any]) -> Card:
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']!r}; this version reads format {FORMAT}")
    parts = dict(values)
    parts["embedding"] = Embedding(**values["embedding"])
    parts["mel"] = MelSettings(**values["mel"])
    parts["sampling"] = Sampling(**values["sampling"])
    parts["lengths"] = Lengths(**values["lengths"])
    parts["known"] = LabelAnchorSpec(**values["known"]) if values.get("known") else None
    parts["mel_mean"], parts["mel_std"] = tuple(values["mel_mean"]), tuple(values["mel_std"])
    parts["picture"] = _picture(values["picture"]) if values.get("picture") else None
    parts["priors"] = {name: _prior(spec) for name, spec in values.get("priors", {}).items()}
    parts["conditions"] = tuple(values.get("conditions", ("text",)))
    parts["graphs"] = {name: _graph(spec) for name, spec in values["graphs"].items()}
    card = Card(**parts)
    _check(card)
    return card


def _picture(values: Mapping[str, Any]) -> PictureSpec:
    return PictureSpec(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def _prior(values: Mapping[str, Any]) -> PriorSpec:
    return PriorSpec(**{**values, "mean": tuple(values.get("mean", ())), "std": tuple(values.get("std", ()))})


def _graph(values: Mapping[str, Any]) -> GraphSpec:
    inputs, outputs = (
        tuple(TensorSpec(t["name"], t["type"], tuple(t["shape"])) for t in values[side])
        for side in ("inputs", "outputs")
    )
    return GraphSpec(values["file"], inputs, outputs, values.get("parity"))


def _check(card: Card) -> None:
    check_name(card.name)
    _check_numbers(card)
    _check_sampling(card.sampling)
    _check_ways(card)
    _check_files(card)


def check_name(name: object) -> None:
    """Raises ValueError for what cannot be a bundle's name."""
    # The name is a folder's name too, and must not lead out of where bundles lie.
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{0,63}", name):
        raise ValueError(f"name is {shown(name)}, expected at most 64 letters, digits and . _ -")


def _check_numbers(card: Card) -> None:
    for name, numbers in (("mel_mean", card.mel_mean), ("mel_std", card.mel_std)):
        if len(numbers) != card.mel.n_mels:
            raise ValueError(f"{name} has {len(numbers)} numbers, expected {card.mel.n_mels}")
    if min(card.mel_std) <= 0:
        raise ValueError("mel_std holds a number that is not positive")
    _whole("frame_multiple", card.frame_multiple, 1, 4096)
    # A prompt needs its two end marks and a word between them.
    _whole("context_length", card.context_length, 3, 65_536)
    _whole("embedding.size", card.embedding.size, 1, 65_536)
    lengths = card.lengths
    if not 0 < lengths.least <= lengths.usual <= lengths.most <= 3600:
        raise ValueError(f"lengths are {lengths}, expected 0 < least <= usual <= most <= 3600")


def _check_sampling(sampling: Sampling) -> None:
    for key, value, known in (
        ("parametrisation", sampling.parametrisation, PARAMETRISATIONS),
        ("solver", sampling.solver, tuple(SOLVERS)),
    ):
        if value not in known:
            raise ValueError(f"sampling.{key} is {shown(value)}, expected one of {', '.join(known)}")
    _whole("sampling.steps", sampling.steps, 1, 100)
    if not sampling.shift > 0:
        raise ValueError(f"sampling.shift is {sampling.shift:g}, expected a number above 0")


def _check_ways(card: Card) -> None:
    if not card.conditions or not set(card.conditions) <= set(CONDITIONS):
        raise ValueError(f"conditions are {shown(card.conditions)}, expected some of {', '.join(CONDITIONS)}")
    if ("image_tower" in card.graphs) != (card.picture is not None):
        raise ValueError("picture: expected beside the graph image_tower, and only there")
    if card.picture:
        _check_picture(card.picture)
    for name, prior in card.priors.items():
        if name not in PRIORS:
            raise ValueError(f"priors holds {shown(name)}, expected one of {', '.join(PRIORS)}")
        _check_prior(f"priors.{name}", prior, card)
    if card.via and card.via not in card.ways:
        raise ValueError(f"via is {shown(card.via)}, expected one of {', '.join(card.ways)}")


def _check_picture(picture: PictureSpec) -> None:
    _whole("picture.size", picture.size, 8, 2048)
    for key, value, known in (("fit", picture.fit, FITS), ("filter", picture.filter, FILTERS)):
        if value not in known:
            raise ValueError(f"picture.{key} is {shown(value)}, expected one of {', '.join(known)}")
    if len(picture.mean) != 3 or len(picture.std) != 3 or min(picture.std) <= 0:
        raise ValueError("picture: expected three numbers as mean, and three above 0 as std")


def _check_prior(key: str, prior: PriorSpec, card: Card) -> None:
    if prior.graph not in card.graphs:
        raise ValueError(f"{key}.graph is {shown(prior.graph)}, which is none of the graphs")
    own, others = {"noised", "timestep"}, {"mask", *(tensor.name for tensor in card.graphs["text_tower"].outputs)}
    takes = {tensor.name for tensor in card.graphs[prior.graph].inputs}
    if not own <= takes <= own | others:
        wanted = f"noised, timestep and perhaps some of {', '.join(sorted(others))}"
        raise ValueError(f"{key}.graph takes {', '.join(sorted(takes))}, expected {wanted}")
    _whole(f"{key}.steps", prior.steps, 1, 100)
    _whole(f"{key}.levels", prior.levels, prior.steps, 100_000)
    for name, numbers in (("mean", prior.mean), ("std", prior.std)):
        if numbers and len(numbers) != card.embedding.size:
            raise ValueError(f"{key}.{name} has {len(numbers)} numbers, expected {card.embedding.size}")
    if not prior.clip >= 0:
        raise ValueError(f"{key}.clip is {prior.clip:g}, expected 0 or a number above")
    if prior.std and min(prior.std) <= 0:
        raise ValueError(f"{key}.std holds a number that is not positive")


def _whole(key: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{key} is {shown(value)}, expected a whole number from {low} to {high}")


def _check_files(card: Card) -> None:
    for name in TOKENIZER_FILES.get(card.family, ()):
        if name not in card.files:
            raise ValueError(f"files lacks {name!r}, the tokenizer of the family {card.family}")
    for graph in card.graphs.values():
        if graph.file not in card.files:
            raise ValueError(f"files lacks {graph.file!r}")
    if card.known and card.known.file not in card.files:
        raise ValueError(f"files lacks {card.known.file!r}")
    if card.known and not card.known.far < card.known.near:
        raise ValueError(f"known: far is {card.known.far} and near {card.known.near}, expected far below near")
    # A card must not lead out of its folder.
    for name in card.files:
        if Path(name).name != name or name == CARD_NAME:
            raise ValueError(f"files names {name!r}, expected a file beside the card")
