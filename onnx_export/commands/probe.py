"""`python -m onnx_export probe`: what a denoiser has learnt of labels, by the diffusion classifier."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, add_data_arguments, load_model, read_data_paths


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("probe", help="does the right label explain a noised sound best, in each split?")
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--clips", type=int, default=40, help="of each split (default: 40)")
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.9], help="noise levels, 0 to 1 (default: 0.9)")
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the accuracies in the training and validation splits, a line for each noise level."""
    from onnx_export.evaluation.diffusion_classifier import ClassifierTest, classify
    from onnx_export.evaluation.judges import evaluated_labels

    model, cache = load_model(options.bundle), read_data_paths(options).sound_dataset()
    labels = evaluated_labels(cache.sounds)
    for split in ("train", "valid"):
        for sigma in options.sigma:
            print(classify(model, cache, labels, ClassifierTest(split, sigma, options.clips)))
