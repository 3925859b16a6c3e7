"""A bundle out of another one, with parts of it replaced by official weights."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import torch

from onnx_export.clipsonic.export.bundle import denoiser_graph
from onnx_export.graph.export import Exported, export_graph, graph_files
from onnx_export.official.bigvgan import BigVGAN, bigvgan_graph, load_bigvgan
from onnx_export.official.compatibility import check_denoiser, check_prior, check_vocoder
from onnx_export.official.denoiser import TaughtDenoiser, load_denoiser
from onnx_export.official.error_text import sentence
from onnx_export.official.prior import LoadedPrior, load_prior, prior_graph
from onnx_export.official.smoke_test import try_out
from onnx_export.official.towers import Towers, load_towers, tower_graphs
from plugin_server.engine.bundles.card import CARD_NAME, Card, Embedding, GraphSpec, LabelAnchorSpec
from plugin_server.engine.bundles.card_reader import check_name
from plugin_server.engine.bundles.install import DOCUMENTS, staging
from plugin_server.engine.bundles.registry import Bundle, BundleRegistry, file_sha256, open_bundle, verify_bundle
from plugin_server.engine.families.clipsonic import TOKENIZER_FILE
from plugin_server.errors import BadArgument, shown

log = logging.getLogger(__name__)

SOURCES = "SOURCES.md"
NOT_KEPT = ("MODEL_CARD.md", SOURCES)
"""Documents of the base that say what holds for it alone."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made: a new bundle, and what takes the place of which part of its base."""

    name: str
    base: str
    """A bundle's name, or its folder."""
    towers: str | None = None
    """MODEL:WEIGHTS, as `load_towers` takes it."""
    prior: Path | None = None
    vocoder: Path | None = None
    denoiser: Path | None = None
    halve: bool = True
    """Weights in half precision."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What was loaded; None for what stays as the base has it."""

    towers: Towers | None = None
    denoiser: TaughtDenoiser | None = None
    prior: LoadedPrior | None = None
    vocoder: BigVGAN | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each comes from, in words."""

    def graphs(self) -> dict[str, Exported]:
        """By the names that cards give them."""
        found = tower_graphs(self.towers) if self.towers else {}
        if self.denoiser:
            found["denoiser"] = denoiser_graph(self.denoiser.module)
        if self.prior:
            found[self.prior.spec.graph] = prior_graph(self.prior)
        if self.vocoder:
            found["vocoder"] = bigvgan_graph(self.vocoder)
        return found


def import_bundle(wish: Wish, home: Path, folders: tuple[Path, ...]) -> Bundle:
    """Make the bundle in the folder `home`, whole or not at all; `folders` are where its base is looked for.

    Everything is loaded and compared before anything is written, and the new bundle has made a sound before it lands.
    Raises ValueError or ClipsonicError, in a sentence, for what is missing or does not go together.
    """
    _check_wish(wish, home, folders)
    is_folder = (Path(wish.base) / CARD_NAME).is_file()
    base = open_bundle(Path(wish.base)) if is_folder else BundleRegistry(folders).find(wish.base)
    verify_bundle(base)
    parts = load_parts(wish, base.card)
    with staging(home) as stage:
        fresh = stage / wish.name
        fresh.mkdir()
        _write(fresh, wish, base, parts)
        bundle = open_bundle(fresh)
        verify_bundle(bundle)
        try_out(bundle)
        fresh.rename(home / wish.name)
    return open_bundle(home / wish.name)


def _check_wish(wish: Wish, home: Path, folders: tuple[Path, ...]) -> None:
    try:
        check_name(wish.name)
    except ValueError as error:
        raise BadArgument(str(error)) from error
    for folder in {home, *folders}:
        if (folder / wish.name).exists():
            raise BadArgument(f"name: got {shown(wish.name)}, which is in {folder} already; choose another")
    if not (wish.towers or wish.prior or wish.vocoder or wish.denoiser):
        raise BadArgument("expected at least one of --towers, --prior, --vocoder and --denoiser: else nothing is new")


def load_parts(wish: Wish, base: Card) -> Parts:
    """The parts that are asked for, each compared with what it is to work with. Raises ValueError."""
    origins = {}
    denoiser = load_denoiser(wish.denoiser) if wish.denoiser else None
    if denoiser and wish.denoiser:
        origins["denoiser"] = f"{wish.denoiser.name}, {file_sha256(wish.denoiser)[:12]}"
    towers = load_towers(wish.towers) if wish.towers else None
    if towers:
        origins["towers"] = towers.name
    check_denoiser(base, towers, denoiser, wish.denoiser)
    prior = load_prior(wish.prior) if wish.prior else None
    if prior and wish.prior:
        check_prior(base, towers, prior, wish.prior)
        origins["prior"] = wish.prior.absolute().name
    vocoder = load_bigvgan(wish.vocoder) if wish.vocoder else None
    if vocoder and wish.vocoder:
        check_vocoder(base, vocoder.size.mel, wish.vocoder)
        origins["vocoder"] = f"BigVGAN, {wish.vocoder.absolute().name}"
    return Parts(towers, denoiser, prior, vocoder, origins)


def _write(folder: Path, wish: Wish, base: Bundle, parts: Parts) -> None:
    """Everything of the new bundle, its card last."""
    graphs = {name: _export(what, folder / f"{name}.onnx", wish.halve) for name, what in parts.graphs().items()}
    made = [name for graph in graphs.values() for name in graph_files(folder / graph.file)]
    kept = _kept_graphs(base.card, parts)
    copied = [file for graph in kept.values() for file in _files_of(graph, base.card)]
    if parts.towers:
        shutil.copyfile(str(files("open_clip") / "bpe_simple_vocab_16e6.txt.gz"), folder / TOKENIZER_FILE)
        made.append(TOKENIZER_FILE)
    else:
        copied.append(TOKENIZER_FILE)
    known = _kept_known(base.card, parts)
    if known:
        copied.append(known.file)
    for name in copied:
        shutil.copyfile(base.folder / name, folder / name)
    # Where nothing of the base is left, what its documents attribute is in nothing.
    for path in base.folder.iterdir() if kept else ():
        if path.suffix.lower() in DOCUMENTS and path.name not in (*NOT_KEPT, *base.card.files):
            shutil.copyfile(path, folder / path.name)
    card = replace(
        _card(wish, base.card, parts, bool(kept)),
        graphs=kept | graphs,
        label_anchors=known,
        files={name: file_sha256(folder / name) for name in (*made, *copied)},
    )
    (folder / SOURCES).write_text(_sources(card, base.card, parts), "utf-8")
    (folder / CARD_NAME).write_text(card.to_json(), "utf-8")


def _export(what: Exported, path: Path, halve: bool) -> GraphSpec:
    try:
        return export_graph(what, path, halve)
    except ValueError as error:
        raise ValueError(f"{error}; --single may come closer" if halve else str(error)) from error
    except OSError:
        raise
    # The exporter's errors are of many classes.
    except Exception as error:
        raise ValueError(f"{path.stem}: PyTorch cannot export it: {sentence(error)}") from error


def _kept_graphs(base: Card, parts: Parts) -> dict[str, GraphSpec]:
    """The base's graphs that still mean something beside the new ones: its priors lead into its own embedding."""
    left = dict(base.graphs)
    for name in parts.graphs():
        left.pop(name, None)
    if parts.towers:
        for prior in base.priors.values():
            left.pop(prior.graph, None)
    return left


def _files_of(graph: GraphSpec, card: Card) -> list[str]:
    return [name for name in (graph.file, f"{graph.file}.data") if name in card.files]


def _kept_known(base: Card, parts: Parts) -> LabelAnchorSpec | None:
    """The known sounds, where the denoiser may still have been taught them by their names: they have places in the
    base's embedding alone, and a denoiser of pictures alone was told no names."""
    return None if parts.towers or (parts.denoiser and parts.denoiser.conditions == ("image",)) else base.label_anchors


def _card(wish: Wish, base: Card, parts: Parts, keeps: bool = True) -> Card:
    """The base's card with what the parts change, but for graphs and files; `keeps` where graphs of it are left."""
    towers, taught, prior = parts.towers, parts.denoiser, parts.prior
    theirs = f"{', '.join(parts.origins)}: under the terms of those who published them"
    priors = {} if towers else dict(base.priors)
    if prior:
        priors["pd"] = prior.spec
    card = replace(
        base,
        name=wish.name,
        description=f"{base.name} with other parts: {'; '.join(f'{k} {v}' for k, v in parts.origins.items())}",
        licence=f"{base.licence}; {theirs}" if keeps else theirs,
        priors=priors,
        preferred_conditioning="" if base.preferred_conditioning not in priors else base.preferred_conditioning,
    )
    if towers:
        card = replace(
            card,
            embedding=Embedding(towers.name, towers.size),
            context_length=towers.context_length,
            image=towers.picture,
        )
    if taught:
        network = taught.module
        card = replace(
            card,
            mel_mean=_numbers(network.mel_mean),
            mel_std=_numbers(network.mel_std),
            frame_multiple=network.size.patch,
            modalities=taught.conditions or base.modalities,
        )
    # A denoiser that knows pictures alone is best asked through what makes pictures of words (Dong et al. 2023).
    return replace(card, preferred_conditioning="pd") if prior and card.modalities == ("image",) else card


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _sources(card: Card, base: Card, parts: Parts) -> str:
    rows = [f"| {part} | {origin} |" for part, origin in parts.origins.items()]
    stayed = ", ".join(sorted(set(base.graphs) & set(card.graphs) - set(parts.graphs())))
    return "\n".join(
        [
            f"# Sources of {card.name}",
            "",
            "| part | from |",
            "|---|---|",
            *rows,
            *([f"| {stayed} | {base.name} {base.version}, {base.licence} |"] if stayed else []),
            "",
            f"Sampling and lengths are those of {base.name} {base.version}.",
            "Made by `clipsonic models import`. Each part has the terms of its own publisher.",
            "",
        ]
    )
