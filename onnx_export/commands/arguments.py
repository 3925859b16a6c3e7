"""Arguments that several commands share, and what is read from them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from onnx_export.clipsonic.training.datasets import DataPaths
    from onnx_export.evaluation.report import EvaluationReport
    from plugin_server.engine.bundles.card import GraphSpec
    from plugin_server.engine.families.clipsonic import Clipsonic

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The object that commands are added to."""

DATA_ARGUMENTS = {
    "images": "folder with catalog.csv and its pictures",
    "imagenet": "efficientnet-lite0-57934424.pth: teaches the image tower",
    "minilm": "folder of the sentence encoder that teaches",
    "captions": "captions of sounds, one a line",
    "ontology": "the AudioSet ontology's JSON",
    "labels": "VGGSound's class names",
    "wordnet": "WordNet's dict folder",
}
"""Optional files and folders of training data, to their help texts."""


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name corpus, runs and other training data."""
    parser.add_argument("--corpus", type=Path, help="folder with catalog.csv and its sounds")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and caches (default: runs)")
    parser.add_argument("--licences", choices=("all", "permissive"), default="all", help="which clips to use")
    for name, help_text in DATA_ARGUMENTS.items():
        parser.add_argument(f"--{name}", type=Path, help=help_text)


def read_data_paths(options: argparse.Namespace) -> "DataPaths":
    """Return the training data that the arguments of `add_data_arguments` name."""
    from onnx_export.clipsonic.training.datasets import DataPaths

    return DataPaths(**{name: getattr(options, name) for name in ("corpus", "runs", "licences", *DATA_ARGUMENTS)})


VIDEO_CONFIG = "embedding, network and training on videos, as in configs/"


def add_video_arguments(
    parser: argparse.ArgumentParser, *, config_required: bool, config_help: str = VIDEO_CONFIG
) -> None:
    """Add the arguments that say which videos are read, and how."""
    parser.add_argument("--list", type=Path, nargs="+", default=[], help="lists of VGGSound or MUSIC that name them")
    parser.add_argument(
        "--config",
        type=Path,
        required=config_required,
        help=config_help,
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that read videos (default: 1)")


def load_model(folder: Path) -> "Clipsonic":
    """Open the bundle in `folder` in the server's own code, to generate with it."""
    from plugin_server.engine.bundles.card_reader import read_card
    from plugin_server.engine.bundles.registry import Bundle
    from plugin_server.engine.families.clipsonic import load
    from plugin_server.engine.sessions import SessionOptions

    return load(Bundle(folder, read_card(folder)), SessionOptions())


def print_parity(graphs: Mapping[str, "GraphSpec"]) -> None:
    """Print how far each graph of a new bundle is from PyTorch, one a line."""
    for name, graph in graphs.items():
        print(f"{name:12} {graph.parity or 0:.2e} largest relative difference from PyTorch")


def print_report(report: "EvaluationReport", json_path: Path | None) -> None:
    """Print the report as Markdown, and write it as JSON where a file is named."""
    print(report.table())
    if json_path:
        json_path.write_text(report.to_json(), "utf-8")
