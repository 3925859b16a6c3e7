"""Trained checkpoints to the bundle that the daemon serves."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from onnx_export.clipsonic.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.space import TEMPLATES
from onnx_export.clipsonic.text_tower import TextTower, TextTowerSize, embed_texts
from onnx_export.clipsonic.vocoder import Vocoder, VocoderSize
from onnx_export.graphs import ByteEmbedding, Exported, export_graph
from onnx_export.training import load_average
from plugin_server.audio.spectral import MelSettings
from plugin_server.engine.bundles import file_sha256
from plugin_server.engine.card import CARD_NAME, Card, Embedding, Known, Lengths, Sampling
from plugin_server.engine.colour import Colours
from plugin_server.engine.families.clipsonic import TOKENIZER_FILE

log = logging.getLogger(__name__)

KNOWN_FILE = "known.npz"
GIBBERISH = (
    "xqzv plorth", "quarterly tax law", "the number seven", "asdf qwer zxcv", "parliamentary procedure", "blue square",
    "monetary policy", "theorem of algebra", "please and thank you", "inflation rate", "democracy", "copyright notice",
    "lorem ipsum dolor", "password", "grammar", "tuesday",
)  # fmt: skip
"""Words that stand for no sound."""
EMBEDDING_NAME = "clipsonic-mini-384"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shapes of the three networks."""

    mel: MelSettings = field(default_factory=MelSettings)
    text: TextTowerSize = field(default_factory=TextTowerSize)
    denoiser: DenoiserSize = field(default_factory=DenoiserSize)
    vocoder: VocoderSize = field(default_factory=VocoderSize)


@dataclass(frozen=True, slots=True)
class Networks:
    """The three networks, and what is known of the sounds that they were taught."""

    text: TextTower
    denoiser: Denoiser
    vocoder: Vocoder
    labels: Sequence[str]
    colours: Colours | None = None
    """Of the labels."""


def load_networks(runs: Path, sizes: Sizes, labels: Sequence[str], colours: Colours | None = None) -> Networks:
    """Averaged weights of `text.pt`, `denoiser.pt` and `vocoder.pt` in a folder of runs."""
    text, denoiser, vocoder = TextTower(sizes.text), Denoiser(sizes.denoiser), Vocoder(sizes.mel, sizes.vocoder)
    networks = Networks(text, denoiser, vocoder, labels, colours)
    for name in ("text", "denoiser", "vocoder"):
        step = load_average(runs / f"{name}.pt", getattr(networks, name))
        log.info("%s: step %d", name, step)
    return networks


def graphs_of(networks: Networks, sizes: Sizes) -> dict[str, Exported]:
    """The three graphs by the names that the card gives them."""
    n_frames, n_embedding = 64 * sizes.denoiser.patch, sizes.denoiser.n_embedding
    batch = {0: "batch"}
    tower = networks.text
    tower.transformer.token_embedding = ByteEmbedding(tower.transformer.token_embedding.weight.detach())
    tokens = torch.zeros(2, sizes.text.context_length, dtype=torch.int64)
    tokens[0, :3], tokens[1, :5] = torch.tensor([0, 7, 9]), torch.tensor([0, 3, 5, 6, 9])
    tokens[tokens == 9] = sizes.text.vocab_size - 1
    noised = torch.randn(2, sizes.denoiser.n_mels, n_frames)
    return {
        "text_tower": Exported(tower, {"tokens": tokens}, ["embedding"], {"tokens": batch}),
        "denoiser": Exported(
            networks.denoiser,
            {
                "noised": noised,
                "sigma": torch.tensor([0.9, 0.3]),
                "embedding": torch.nn.functional.normalize(torch.randn(2, n_embedding), dim=-1),
                "seconds": torch.tensor([3.0, 5.0]),
                "guidance": torch.tensor([1.0, 3.0]),
            },
            ["clean"],
            {
                "noised": {0: "batch", 2: "frames"},
                **dict.fromkeys(("sigma", "embedding", "seconds", "guidance"), batch),
            },
        ),
        "vocoder": Exported(
            networks.vocoder,
            {"log_mel": noised * 2 - 5},
            ["spectrum"],
            {"log_mel": {0: "batch", 2: "frames"}},
        ),
    }


@dataclass(frozen=True, slots=True)
class Title:
    """What a bundle says of itself, and how it is meant to be used."""

    name: str
    version: str
    licence: str
    description: str

    sampling: Sampling = field(default_factory=Sampling)
    lengths: Lengths = field(default_factory=Lengths)


MINI = Title(
    name="clipsonic-mini",
    version="0.1.0",
    licence="CC BY-SA 4.0 for the weights; see ATTRIBUTIONS.md for the sounds behind them",
    description="CLIPSonic in small: text to sound, trained on 4.9 hours of free recordings",
    # A mel has hundreds of frames that tell the same thing, so what it is gets settled while nearly all is noise.
    sampling=Sampling(shift=6.0, steps=8, guidance=2.0, taught_guidance=6.0, mel_rounds=6, colour_spread=0.3),
)


def write_known(folder: Path, networks: Networks) -> Known:
    """The sounds' names, where the tower puts them, and their colours.

    A prompt is as strange as can be at the likeness that gibberish has, and quite sure at the likeness that nine of
    ten ordinary wordings of the names have.
    """
    tower, labels, colours = networks.text, networks.labels, networks.colours
    texts = [template.format(label) for label in labels for template in TEMPLATES]
    placed = embed_texts(tower, texts).reshape(len(labels), len(TEMPLATES), -1)
    anchors = placed.mean(axis=1)
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    near = np.quantile((placed * anchors[:, None]).sum(axis=2), 0.1)
    far = np.median((embed_texts(tower, list(GIBBERISH)) @ anchors.T).max(axis=1))
    arrays = {"anchors": anchors} | ({"colours": colours.usual, "colour_axes": colours.axes} if colours else {})
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    np.savez(folder / KNOWN_FILE, names=np.array(labels), **halves)
    return Known(KNOWN_FILE, far=round(float(far), 3), near=round(float(max(near, far + 0.05)), 3))


def write_bundle(folder: Path, title: Title, networks: Networks, sizes: Sizes) -> Card:
    """Export everything into `folder` and write its card last: a folder without a card is no bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_NAME).unlink(missing_ok=True)
    known = write_known(folder, networks)
    graphs = {name: export_graph(what, folder / f"{name}.onnx") for name, what in graphs_of(networks, sizes).items()}
    shutil.copyfile(str(files("open_clip") / "bpe_simple_vocab_16e6.txt.gz"), folder / TOKENIZER_FILE)
    names = [TOKENIZER_FILE, KNOWN_FILE, *(graph.file for graph in graphs.values())]
    card = Card(
        name=title.name,
        family="clipsonic",
        verb="generate",
        version=title.version,
        licence=title.licence,
        description=title.description,
        embedding=Embedding(EMBEDDING_NAME, sizes.text.n_embedding),
        mel=sizes.mel,
        mel_mean=_numbers(networks.denoiser.mel_mean),
        mel_std=_numbers(networks.denoiser.mel_std),
        frame_multiple=sizes.denoiser.patch,
        context_length=sizes.text.context_length,
        sampling=title.sampling,
        lengths=title.lengths,
        graphs=graphs,
        known=known,
        files={name: file_sha256(folder / name) for name in names},
    )
    (folder / CARD_NAME).write_text(card.to_json(), "utf-8")
    return card


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
