"""The card beside a bundle's graphs: what the model is. The only contract with the code that makes bundles.

The words in `card.json` are those of format 1 and do not change; `STORED_NAMES` and `STORED_PREDICTION_TYPES` are the
one place where they meet the names of this code. `card_reader.py` reads and checks the file.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass

from plugin_server.audio.spectral import MelSettings

FORMAT = 1
CARD_NAME = "card.json"
STORED_PREDICTION_TYPES = {"clean": "sample"}
"""Stored word to diffusers' word for what the denoiser predicts."""
SOLVER_NAMES = ("euler", "dpmpp_2m")
"""The contract's names of solvers; `sampling/solvers.py` has a function for each."""
MODALITIES = ("text", "image")
FITS = ("crop", "squash")
FILTERS = ("bicubic", "bilinear")
PRIORS = ("pd", "sd")
"""Priors from words to a picture's embedding: trained on pictures with captions, or on the data's own."""
TOKENIZER_FILES = {"clipsonic": ("merges.txt.gz",)}
"""Files that a family reads beside its graphs: listed in `files`, so that they are verified like them."""


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
    """An ONNX graph: its file, inputs and outputs."""

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
    """Numbers in a vector; vectors have unit length, zeros mean no conditioning."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The image tower's input: pictures of `size` x `size` pixels, each channel (x / 255 - mean) / std."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: str = "crop"
    """'crop': the short side gets `size`, the middle is kept; 'squash': both sides get `size`."""
    filter: str = "bicubic"
    """How pixels are resampled: 'bicubic' or 'bilinear'."""


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
    """Statistics of picture embeddings, per number: the graph's own numbers are (x - mean) / std. Empty: 0 and 1."""
    clip: float = 0.0
    """The graph's own numbers are cut off at this, and at its negative, in every estimate; 0 leaves them."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the denoiser is used when a request does not say otherwise."""

    prediction_type: str = "sample"
    """Predicted by the graph: 'sample' is the noiseless spectrogram."""
    solver: str = "dpmpp_2m"
    shift: float = 1.0
    """Above 1 spends more steps where there is much noise (Esser et al. 2024)."""
    steps: int = 16
    guidance: float = 3.0
    distilled_guidance_max: float = 1.0
    """From 1 to this, guidance is an input of the graph and costs no second call of it."""
    mel_rounds: int = 0
    """Times that the waveform's mel is compared with the requested one, and corrected."""
    band_statistics_spread: float = 0.0
    """Spread of the takes' band statistics, where the label anchors have some: 1 as recordings of one sound differ."""
    sigmas: tuple[float, ...] = ()
    """Noise levels from 1 down to 0, in place of those that `shift` gives; other numbers of steps are read between."""
    band_statistics: bool = True
    """Whether estimates are moved to band statistics, where the label anchors have some."""
    band_statistics_share: float = 1.0
    """How far they are moved, 0 to 1 for all the way."""


@dataclass(frozen=True, slots=True)
class LabelAnchorSpec:
    """A file with the labels that the model was trained on and their embeddings; what similarity to them means."""

    file: str
    confidence_floor: float
    """Cosine to the nearest of them at which confidence is 0."""
    confidence_ceiling: float
    """Cosine at which it is 1."""
    temperature: float = 0.03
    """Temperature of the soft-max over cosines: how much the second nearest and the next pull at a prompt."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths that the model can make, in seconds."""

    minimum: float = 0.5
    maximum: float = 30.0
    default: float = 5.0


@dataclass(frozen=True, slots=True)
class Card:
    """The content of a bundle's `card.json`: what the model is."""

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
    """Mean per band of the log-mels, by which the denoiser's numbers are normalised."""
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
    label_anchors: LabelAnchorSpec | None = None
    image: ImageSpec | None = None
    """Input of the graph `image_tower`; None where the model takes words only."""
    modalities: tuple[str, ...] = ("text",)
    """Conditioned the denoiser in training: 'text', 'image' or both."""
    priors: Mapping[str, PriorSpec] = field(default_factory=dict)
    """Conditionings beside the direct one: 'pd', 'sd'."""
    preferred_conditioning: str = ""
    """The conditioning when a request does not say; the direct one when empty."""
    format: int = FORMAT

    @property
    def conditionings(self) -> tuple[str, ...]:
        """Return how words can reach the denoiser, the direct one first.

        Direct is 'text' where the denoiser was trained on words and 'zs', zero-shot, where on pictures alone; the
        others go through a prior.
        """
        return ("text" if "text" in self.modalities else "zs", *self.priors)

    @property
    def default_conditioning(self) -> str:
        """Return the conditioning that is taken when a request does not say."""
        return self.preferred_conditioning or self.conditionings[0]

    def to_json(self) -> str:
        """Return the text of the card's file."""
        return json.dumps(_to_stored(self), indent=1) + "\n"


STORED_NAMES: Mapping[type, Mapping[str, str]] = {
    Card: {
        "label_anchors": "known",
        "image": "picture",
        "modalities": "conditions",
        "preferred_conditioning": "via",
    },
    Sampling: {
        "prediction_type": "parametrisation",
        "distilled_guidance_max": "taught_guidance",
        "band_statistics_spread": "colour_spread",
    },
    LabelAnchorSpec: {"confidence_floor": "far", "confidence_ceiling": "near"},
    Lengths: {"minimum": "least", "maximum": "most", "default": "usual"},
}
"""By the card's parts: field to key in `card.json`, where the two differ."""


def stored_names(part: type) -> dict[str, str]:
    """Return field to key in `card.json` for every field of a part of the card, a dataclass, in order."""
    renamed = STORED_NAMES.get(part, {})
    return {one.name: renamed.get(one.name, one.name) for one in fields(part)}


def optional_keys(part: type) -> set[str]:
    """Return the keys in `card.json` that a part of the card, a dataclass, may lack, since its fields have defaults."""
    names = stored_names(part)
    return {names[one.name] for one in fields(part) if not (one.default is MISSING and one.default_factory is MISSING)}


def _to_stored(value: object) -> object:
    """Return a part of the card as JSON has it."""
    if isinstance(value, Sampling):
        words = {word: stored for stored, word in STORED_PREDICTION_TYPES.items()}
        stored = _fields_to_stored(value) | {"parametrisation": words[value.prediction_type]}
        # Absent where they are of no use: cards of earlier versions are written back as they were.
        absent = {
            "sigmas": not value.sigmas,
            "band_statistics": value.band_statistics,
            "band_statistics_share": value.band_statistics_share == 1,
        }
        return {key: one for key, one in stored.items() if not absent.get(key)}
    if is_dataclass(value):
        return _fields_to_stored(value)
    if isinstance(value, Mapping):
        return {key: _to_stored(one) for key, one in value.items()}
    return [_to_stored(one) for one in value] if isinstance(value, tuple) else value


def _fields_to_stored(part: object) -> dict[str, object]:
    return {key: _to_stored(getattr(part, name)) for name, key in stored_names(type(part)).items()}
