"""Trained checkpoints to the bundle that the daemon serves."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from torch import nn

from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
from onnx_export.clipsonic.models.clap import Clap, ClapSize, ClapTextTower
from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.models.image_tower import ImageTower, ImageTowerSize
from onnx_export.clipsonic.models.prior import Prior, PriorSize
from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize, embed_texts
from onnx_export.clipsonic.models.vocoder import SampleVocoder, Vocoder, VocoderSize
from onnx_export.clipsonic.training.embedding_space import TEMPLATES
from onnx_export.clipsonic.variants import Variant
from onnx_export.graph.export import ExportSpec, Int8Embedding, export_graph
from onnx_export.training.checkpoint import CheckpointMetadata, load_ema, read_average, read_metadata
from plugin_server.audio.spectral import MelSettings
from plugin_server.engine.bundles.card import CARD_NAME, Card, Embedding, LabelAnchorSpec, PriorSpec
from plugin_server.engine.bundles.registry import file_sha256
from plugin_server.engine.families.clipsonic import TOKENIZER_FILE
from plugin_server.engine.sampling.band_statistics import BandStatisticsDistribution

log = logging.getLogger(__name__)

M = TypeVar("M", bound=nn.Module)
SHAPE_PROPERTY = "shape"
"""Property of a denoiser's graph that holds the fields of its `DenoiserSize` as JSON."""
LABEL_ANCHORS_FILE = "known.npz"
GIBBERISH = (
    "xqzv plorth", "quarterly tax law", "the number seven", "asdf qwer zxcv", "parliamentary procedure", "blue square",
    "monetary policy", "theorem of algebra", "please and thank you", "inflation rate", "democracy", "copyright notice",
    "lorem ipsum dolor", "password", "grammar", "tuesday",
)  # fmt: skip
"""Texts that describe no sound."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Mel settings, and shapes of the networks; that of the vocoder is known by its weights."""

    mel: MelSettings = field(default_factory=MelSettings)
    text: TextTowerSize = field(default_factory=TextTowerSize)
    image: ImageTowerSize = field(default_factory=ImageTowerSize)
    prior: PriorSize = field(default_factory=PriorSize)
    clap: ClapSize = field(default_factory=ClapSize)
    denoiser: DenoiserSize = field(default_factory=DenoiserSize)


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of a bundle, and the sounds that they were trained on."""

    text: TextTower | ClapTextTower
    denoiser: Denoiser
    vocoder: Vocoder
    labels: Sequence[str]
    band_statistics: BandStatisticsDistribution | None = None
    """Statistics of the labels' sounds."""
    image: ImageTower | None = None
    priors: Mapping[str, Prior] = field(default_factory=dict)
    """Priors by the conditioning of words that needs each: 'pd', 'sd'."""
    conditions: tuple[str, ...] = ("text",)
    """Kinds of conditions that the denoiser was trained on."""


def load_networks(
    runs: Path,
    variant: Variant,
    sizes: Sizes,
    labels: Sequence[str],
    band_statistics: BandStatisticsDistribution | None = None,
) -> Networks:
    """Load the averaged weights of a variant from a folder of runs."""

    def load(name: str, module: M) -> M:
        log.info("%s: step %d", name, load_ema(runs / f"{name}.pt", module))
        return module

    text = load("text", TextTower(sizes.text))
    return Networks(
        text if variant.embedding == CLIPSONIC_EMBEDDING else ClapTextTower(text, load("clap", Clap(sizes.clap))),
        load(variant.denoiser, Denoiser(read_denoiser_size(runs / f"{variant.denoiser}.pt", sizes.denoiser.heads))),
        load("vocoder", Vocoder(sizes.mel, VocoderSize.of_weights(read_average(runs / "vocoder.pt")))),
        labels,
        band_statistics,
        load("image", ImageTower(sizes.image)) if variant.has_image_tower else None,
        {name: load(f"prior-{name}", Prior(sizes.prior)) for name in variant.priors},
        read_metadata(runs / f"{variant.denoiser}.pt").conditions or ("text",),
    )


def read_denoiser_size(path: Path, heads: int) -> DenoiserSize:
    """Return the shape of a checkpoint's denoiser; `heads` where it does not say."""
    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return DenoiserSize.of_weights(saved["average"]["state"], CheckpointMetadata.from_saved(saved).heads or heads)


BATCH = {0: "batch"}


def text_graph(tower: TextTower | ClapTextTower) -> ExportSpec:
    """Return the export of the text tower, whose table of tokens becomes one of bytes."""
    words, size = tower.tower if isinstance(tower, ClapTextTower) else tower, tower.size
    table = words.transformer.token_embedding
    if not isinstance(table, Int8Embedding):
        words.transformer.token_embedding = Int8Embedding(table.weight.detach())
    tokens = torch.zeros(2, size.context_length, dtype=torch.int64)
    tokens[0, :3], tokens[1, :5] = torch.tensor([0, 7, 9]), torch.tensor([0, 3, 5, 6, 9])
    tokens[tokens == 9] = size.vocab_size - 1
    return ExportSpec(tower, {"tokens": tokens}, ["embedding"], {"tokens": BATCH})


def denoiser_graph(denoiser: Denoiser) -> ExportSpec:
    """Return the export of the denoiser."""
    size = denoiser.size
    inputs = {
        "noised": torch.randn(2, size.n_mels, 64 * size.patch),
        "sigma": torch.tensor([0.9, 0.3]),
        "embedding": torch.nn.functional.normalize(torch.randn(2, size.n_embedding), dim=-1),
        "seconds": torch.tensor([3.0, 5.0]),
        "guidance": torch.tensor([1.0, 3.0]),
    }
    free = dict.fromkeys(inputs, BATCH) | {"noised": {0: "batch", 2: "frames"}}
    return ExportSpec(denoiser, inputs, ["clean"], free, properties={SHAPE_PROPERTY: json.dumps(asdict(size))})


def denoiser_size_of(graph: Path) -> DenoiserSize | None:
    """Return the shape that the graph of a denoiser says it has; None for one of earlier versions, that does not."""
    properties = {entry.key: entry.value for entry in onnx.load(graph, load_external_data=False).metadata_props}
    shape = properties.get(SHAPE_PROPERTY)
    return DenoiserSize(**json.loads(shape)) if shape else None


def vocoder_graph(vocoder: Vocoder) -> ExportSpec:
    """Return the export of the vocoder with its inverse STFT."""
    return replace(spectrum_graph(vocoder), module=SampleVocoder(vocoder), output_names=["samples"])


def spectrum_graph(vocoder: Vocoder) -> ExportSpec:
    """Return the export of the vocoder as bundles of earlier versions have it, without the inverse STFT."""
    log_mel = torch.randn(2, vocoder.mel.n_mels, 256) * 2 - 5
    return ExportSpec(vocoder, {"log_mel": log_mel}, ["spectrum"], {"log_mel": {0: "batch", 2: "frames"}})


def image_graph(tower: ImageTower) -> ExportSpec:
    """Return the export of the image tower."""
    size = tower.size.picture.size
    return ExportSpec(tower, {"pictures": torch.randn(2, 3, size, size)}, ["embedding"], {"pictures": BATCH})


def prior_graph(prior: Prior) -> ExportSpec:
    """Return the export of a prior, which takes an output of the text tower beside the noised embedding."""
    n = prior.size.n_embedding
    inputs = {
        "noised": torch.randn(2, n),
        "timestep": torch.tensor([prior.size.levels - 1.0, 3.0]),
        "embedding": torch.nn.functional.normalize(torch.randn(2, n), dim=-1),
    }
    return ExportSpec(prior, inputs, ["clean"], dict.fromkeys(inputs, BATCH))


def graphs_of(networks: Networks) -> dict[str, ExportSpec]:
    """Return the graphs by their names in the card."""
    graphs = {
        "text_tower": text_graph(networks.text),
        "denoiser": denoiser_graph(networks.denoiser),
        "vocoder": vocoder_graph(networks.vocoder),
    }
    if networks.image:
        graphs["image_tower"] = image_graph(networks.image)
    return graphs | {f"prior_{name}": prior_graph(prior) for name, prior in networks.priors.items()}


def prior_spec(name: str, prior: Prior) -> PriorSpec:
    """Return the part of the card that describes the prior of a conditioning: 'pd' or 'sd'."""
    mean, std = _numbers(prior.mean), _numbers(prior.std)
    return PriorSpec(f"prior_{name}", levels=prior.size.levels, mean=mean, std=std)


def write_label_anchors(
    folder: Path,
    embed: Callable[[list[str]], np.ndarray],
    labels: Sequence[str],
    band_statistics: BandStatisticsDistribution | None,
) -> LabelAnchorSpec:
    """Write the labels' names, the anchors where the text tower `embed` puts them, and their band statistics.

    A prompt's confidence is least at the cosine that gibberish has, and full at the cosine that nine of ten ordinary
    wordings of the names have.
    """
    texts = [template.format(label) for label in labels for template in TEMPLATES]
    embeddings = embed(texts).reshape(len(labels), len(TEMPLATES), -1)
    anchors = embeddings.mean(axis=1)
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    near = np.quantile((embeddings * anchors[:, None]).sum(axis=2), 0.1)
    far = np.median((embed(list(GIBBERISH)) @ anchors.T).max(axis=1))
    arrays = {"anchors": anchors} | (
        {"colours": band_statistics.centres, "colour_axes": band_statistics.axes} if band_statistics else {}
    )
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    np.savez(folder / LABEL_ANCHORS_FILE, names=np.array(labels), **halves)
    return LabelAnchorSpec(
        LABEL_ANCHORS_FILE,
        confidence_floor=round(float(far), 3),
        confidence_ceiling=round(float(max(near, far + 0.05)), 3),
    )


def write_bundle(folder: Path, variant: Variant, networks: Networks, sizes: Sizes) -> Card:
    """Export everything into `folder` and write its card last: a folder without a card is no bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_NAME).unlink(missing_ok=True)
    embed = partial(embed_texts, networks.text)
    label_anchors = (
        write_label_anchors(folder, embed, networks.labels, networks.band_statistics)
        if variant.uses_label_anchors
        else None
    )
    graphs = {name: export_graph(what, folder / f"{name}.onnx") for name, what in graphs_of(networks).items()}
    shutil.copyfile(str(files("open_clip") / "bpe_simple_vocab_16e6.txt.gz"), folder / TOKENIZER_FILE)
    names = [
        TOKENIZER_FILE,
        *([LABEL_ANCHORS_FILE] if label_anchors else []),
        *(graph.file for graph in graphs.values()),
    ]
    card = Card(
        name=variant.name,
        family="clipsonic",
        verb="generate",
        version=variant.version,
        licence=variant.licence,
        description=variant.description,
        embedding=Embedding(variant.embedding, sizes.text.n_embedding),
        mel=sizes.mel,
        mel_mean=_numbers(networks.denoiser.mel_mean),
        mel_std=_numbers(networks.denoiser.mel_std),
        frame_multiple=networks.denoiser.size.patch,
        context_length=sizes.text.context_length,
        sampling=variant.sampling,
        lengths=variant.lengths,
        graphs=graphs,
        label_anchors=label_anchors,
        image=networks.image.size.picture if networks.image else None,
        modalities=networks.conditions,
        priors={name: prior_spec(name, prior) for name, prior in networks.priors.items()},
        preferred_conditioning=variant.via,
        files={name: file_sha256(folder / name) for name in names},
    )
    (folder / CARD_NAME).write_text(card.to_json(), "utf-8")
    return card


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
