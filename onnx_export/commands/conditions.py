"""`python -m onnx_export conditions`: the embeddings of a corpus' labels in one file, to train a denoiser elsewhere."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, add_data_arguments, read_data_paths


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("conditions", help="embeddings of words and pictures as a file")
    parser.add_argument("file", type=Path, help="the file to write, NAME.npz")
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Embed the wordings of all labels, with --images also the pictures of their sources, and write the file."""
    from onnx_export.clipsonic.training.conditioning import save_conditions
    from onnx_export.clipsonic.training.datasets import image_conditioning, text_conditioning

    paths = read_data_paths(options)
    dataset = paths.sound_dataset()
    parts = [text_conditioning(dataset, paths)]
    if options.images:
        parts.append(image_conditioning(dataset, paths))
    save_conditions(options.file, parts)
    counts = ", ".join(f"{sum(map(len, part.embeddings.values()))} of {part.kinds[0]}" for part in parts)
    print(f"{options.file}: embeddings, {counts}")
