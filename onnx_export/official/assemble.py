"""A bundle out of another one, with parts of it replaced by official weights."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import torch

from onnx_export.clipsonic.export.bundle import denoiser_graph
from onnx_export.graph.export import ExportSpec, export_graph, graph_files
from onnx_export.official.bigvgan import BigVGAN, bigvgan_graph, load_bigvgan
from onnx_export.official.compatibility import check_denoiser, check_prior, check_vocoder
from onnx_export.official.denoiser import LoadedDenoiser, load_denoiser
from onnx_export.official.error_text import error_sentence
from onnx_export.official.prior import LoadedPrior, load_prior, prior_graph
from onnx_export.official.smoke_test import run_smoke_test
from onnx_export.official.towers import Towers, load_towers, tower_graphs
from plugin_server.engine.bundles.card import CARD_NAME, Card, Embedding, GraphSpec, LabelAnchorSpec
from plugin_server.engine.bundles.card_reader import check_name
from plugin_server.engine.bundles.install import DOCUMENTS, staging
from plugin_server.engine.bundles.registry import Bundle, BundleRegistry, file_sha256, open_bundle, verify_bundle
from plugin_server.engine.families.clipsonic import TOKENIZER_FILE
from plugin_server.errors import BadArgument, short_repr

log = logging.getLogger(__name__)

SOURCES = "SOURCES.md"
BASE_ONLY_DOCUMENTS = ("MODEL_CARD.md", SOURCES)
"""Documents of the base that say what holds for it alone."""
MERGES = "bpe_simple_vocab_16e6.txt.gz"
"""open_clip's file of CLIP's tokenizer."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The options of one import: a new bundle, and what takes the place of which part of its base."""

    name: str
    base: str
    """A bundle's name, or its folder."""
    towers: str | None = None
    """MODEL:WEIGHTS, as `load_towers` takes it."""
    prior: Path | None = None
    vocoder: Path | None = None
    denoiser: Path | None = None
    fp16: bool = True
    """Weights in half precision."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that were loaded; None for what stays as the base has it."""

    towers: Towers | None = None
    denoiser: LoadedDenoiser | None = None
    prior: LoadedPrior | None = None
    vocoder: BigVGAN | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each comes from, in words."""

    def graphs(self) -> dict[str, ExportSpec]:
        """Return the graphs of the parts by the names that cards give them."""
        specs = tower_graphs(self.towers) if self.towers else {}
        if self.denoiser:
            specs["denoiser"] = denoiser_graph(self.denoiser.module)
        if self.prior:
            specs[self.prior.spec.graph] = prior_graph(self.prior)
        if self.vocoder:
            specs["vocoder"] = bigvgan_graph(self.vocoder)
        return specs


def import_bundle(options: ImportOptions, home: Path, folders: tuple[Path, ...]) -> Bundle:
    """Make the bundle in the folder `home`, whole or not at all.

    Everything is loaded and compared before anything is written, and the new bundle has made a sound before it lands.

    Args:
        options: The new bundle's name, its base, and its new parts.
        home: The folder that gets the bundle's folder.
        folders: The folders where the base is looked for.

    Raises:
        ValueError: With a sentence, for weights that are missing or do not go together.
        ClipsonicError: With a sentence, for a base that is not there or damaged, and for options that cannot be.
    """
    _check_options(options, home, folders)
    is_folder = (Path(options.base) / CARD_NAME).is_file()
    base = open_bundle(Path(options.base)) if is_folder else BundleRegistry(folders).find(options.base)
    verify_bundle(base)
    parts = load_parts(options, base.card)
    with staging(home) as stage:
        folder = stage / options.name
        folder.mkdir()
        _write(folder, options, base, parts)
        bundle = open_bundle(folder)
        verify_bundle(bundle)
        run_smoke_test(bundle)
        folder.rename(home / options.name)
    return open_bundle(home / options.name)


def _check_options(options: ImportOptions, home: Path, folders: tuple[Path, ...]) -> None:
    try:
        check_name(options.name)
    except ValueError as error:
        raise BadArgument(str(error)) from error
    for folder in {home, *folders}:
        if (folder / options.name).exists():
            raise BadArgument(f"name: got {short_repr(options.name)}, which is in {folder} already; choose another")
    if not (options.towers or options.prior or options.vocoder or options.denoiser):
        raise BadArgument("expected at least one of --towers, --prior, --vocoder and --denoiser: else nothing is new")


def load_parts(options: ImportOptions, base: Card) -> Parts:
    """Load the parts that are asked for, each compared with what it is to work with.

    Raises:
        ValueError: For a part that cannot be read, or does not go together with another.
    """
    origins = {}
    denoiser = load_denoiser(options.denoiser) if options.denoiser else None
    if denoiser and options.denoiser:
        origins["denoiser"] = f"{options.denoiser.name}, {file_sha256(options.denoiser)[:12]}"
    towers = load_towers(options.towers) if options.towers else None
    if towers:
        origins["towers"] = towers.name
    check_denoiser(base, towers, denoiser, options.denoiser)
    prior = load_prior(options.prior) if options.prior else None
    if prior and options.prior:
        check_prior(base, towers, prior, options.prior)
        origins["prior"] = options.prior.absolute().name
    vocoder = load_bigvgan(options.vocoder) if options.vocoder else None
    if vocoder and options.vocoder:
        check_vocoder(base, vocoder.size.mel, options.vocoder)
        origins["vocoder"] = f"BigVGAN, {options.vocoder.absolute().name}"
    return Parts(towers, denoiser, prior, vocoder, origins)


def _write(folder: Path, options: ImportOptions, base: Bundle, parts: Parts) -> None:
    """Write everything of the new bundle, its card last."""
    graphs = {name: _export(spec, folder / f"{name}.onnx", fp16=options.fp16) for name, spec in parts.graphs().items()}
    base_graphs, anchors = _remaining_graphs(base.card, parts), _remaining_anchors(base.card, parts)
    names = [name for graph in graphs.values() for name in graph_files(folder / graph.file)]
    if parts.towers:
        shutil.copyfile(str(files("open_clip") / MERGES), folder / TOKENIZER_FILE)
        names.append(TOKENIZER_FILE)
    for name in _base_files(base.card, base_graphs, anchors, parts):
        shutil.copyfile(base.folder / name, folder / name)
        names.append(name)
    # Where nothing of the base is left, what its documents attribute is in nothing.
    for path in _documents(base) if base_graphs else ():
        shutil.copyfile(path, folder / path.name)
    card = replace(
        _card(options, base.card, parts, has_base_graphs=bool(base_graphs)),
        graphs=base_graphs | graphs,
        label_anchors=anchors,
        files={name: file_sha256(folder / name) for name in names},
    )
    (folder / SOURCES).write_text(_sources(card, base.card, parts), "utf-8")
    (folder / CARD_NAME).write_text(card.to_json(), "utf-8")


def _export(spec: ExportSpec, path: Path, *, fp16: bool) -> GraphSpec:
    try:
        return export_graph(spec, path, fp16=fp16)
    except ValueError as error:
        raise ValueError(f"{error}; --single may come closer" if fp16 else str(error)) from error
    except OSError:
        raise
    # The exporter's errors are of many classes.
    except Exception as error:
        raise ValueError(f"{path.stem}: PyTorch cannot export it: {error_sentence(error)}") from error


def _remaining_graphs(base: Card, parts: Parts) -> dict[str, GraphSpec]:
    """Return the base's graphs that still mean something beside the new ones.

    Its priors lead into its own embedding: with other towers they go.
    """
    graphs = dict(base.graphs)
    for name in parts.graphs():
        graphs.pop(name, None)
    if parts.towers:
        for prior in base.priors.values():
            graphs.pop(prior.graph, None)
    return graphs


def _base_files(
    base: Card, graphs: Mapping[str, GraphSpec], anchors: LabelAnchorSpec | None, parts: Parts
) -> list[str]:
    """Return the names of the base's files that the new bundle gets a copy of."""
    names = [name for graph in graphs.values() for name in (graph.file, f"{graph.file}.data") if name in base.files]
    if not parts.towers:
        names.append(TOKENIZER_FILE)
    return [*names, anchors.file] if anchors else names


def _documents(base: Bundle) -> Iterator[Path]:
    """Yield the base's documents that hold for a bundle with parts of it."""
    for path in base.folder.iterdir():
        if path.suffix.lower() in DOCUMENTS and path.name not in (*BASE_ONLY_DOCUMENTS, *base.card.files):
            yield path


def _remaining_anchors(base: Card, parts: Parts) -> LabelAnchorSpec | None:
    """Return the base's label anchors, where the denoiser may still have been trained on their labels.

    They are vectors of the base's embedding alone, and a denoiser of pictures alone was trained on no labels.
    """
    return None if parts.towers or (parts.denoiser and parts.denoiser.conditions == ("image",)) else base.label_anchors


def _card(options: ImportOptions, base: Card, parts: Parts, *, has_base_graphs: bool = True) -> Card:
    """Return the base's card with what the parts change, but for graphs and files."""
    towers, denoiser, prior = parts.towers, parts.denoiser, parts.prior
    part_licence = f"{', '.join(parts.origins)}: under the terms of those who published them"
    priors = {} if towers else dict(base.priors)
    if prior:
        priors["pd"] = prior.spec
    card = replace(
        base,
        name=options.name,
        description=f"{base.name} with other parts: {'; '.join(f'{k} {v}' for k, v in parts.origins.items())}",
        licence=f"{base.licence}; {part_licence}" if has_base_graphs else part_licence,
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
    if denoiser:
        network = denoiser.module
        card = replace(
            card,
            mel_mean=_numbers(network.mel_mean),
            mel_std=_numbers(network.mel_std),
            frame_multiple=network.size.patch,
            modalities=denoiser.conditions or base.modalities,
        )
    # A denoiser that knows pictures alone is best asked through what makes pictures of words (Dong et al. 2023).
    return replace(card, preferred_conditioning="pd") if prior and card.modalities == ("image",) else card


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _sources(card: Card, base: Card, parts: Parts) -> str:
    """Return the text of the document that says where each part comes from."""
    rows = [f"| {part} | {origin} |" for part, origin in parts.origins.items()]
    base_parts = ", ".join(sorted(set(base.graphs) & set(card.graphs) - set(parts.graphs())))
    return "\n".join(
        [
            f"# Sources of {card.name}",
            "",
            "| part | from |",
            "|---|---|",
            *rows,
            *([f"| {base_parts} | {base.name} {base.version}, {base.licence} |"] if base_parts else []),
            "",
            f"Sampling and lengths are those of {base.name} {base.version}.",
            "Made by `clipsonic models import`. Each part has the terms of its own publisher.",
            "",
        ]
    )
