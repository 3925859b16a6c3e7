"""`python -m onnx_export resume`: a bundle's networks as checkpoints, to go on training from."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("resume", help="a bundle's networks as checkpoints, to go on from")
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder without checkpoints (default: runs)")
    parser.add_argument("--at", type=int, default=0, help="steps that count as done (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the checkpoints. Raises FileExistsError rather than write over a run."""
    from onnx_export.clipsonic.export.bundle import Sizes
    from onnx_export.clipsonic.export.resume import resume_from
    from plugin_server.engine.bundles.card_reader import read_card
    from plugin_server.engine.bundles.registry import Bundle

    bundle = Bundle(options.bundle, read_card(options.bundle))
    resume_from(bundle, Sizes(), options.runs, options.at)
