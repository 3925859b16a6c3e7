"""`python -m onnx_export compare`: the paper's variants side by side."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, add_data_arguments, print_report, read_data_paths


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("compare", help="the paper's variants side by side")
    parser.add_argument("bundles", type=Path, help="folder of their bundles")
    parser.add_argument("--soundnet", type=Path, help="sound8.npy: a judge that was not trained here")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Compare the variants, and print the report as Markdown."""
    from onnx_export.evaluation.evaluate import ReferenceWeights
    from onnx_export.evaluation.variants import compare

    report = compare(options.bundles, read_data_paths(options), ReferenceWeights(soundnet=options.soundnet))
    print_report(report, options.json)
