"""`python -m onnx_export features`: what training on videos needs of them."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, add_video_arguments


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("features", help="what training on videos needs of them; run again to go on")
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos")
    add_video_arguments(parser, config_required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets them (default: runs)")
    parser.add_argument("--device", default="cpu", help="torch device of the embedding (default: cpu)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Extract the features, and print how many clips there are, what was left out and why, and the folder."""
    from onnx_export.config import read_config
    from onnx_export.video.features import extract_features

    config = read_config(options.config)
    dataset = extract_features(options.videos, options.list, config, options.runs, options.device, options.workers)
    splits = ", ".join(f"{split} {len(dataset.indices(split))}" for split in ("train", "valid", "test"))
    print(f"{len(dataset)} clips of {dataset.n_embedding} numbers a frame, {dataset.embedding}: {splits}")
    for reason, n in dataset.skipped.items():
        print(f"left out: {n} ({reason})")
    print(f"features: {dataset.folder.absolute()}")
