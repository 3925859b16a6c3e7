"""`python -m onnx_export evaluate`: figures of a bundle on recordings it was not trained on."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, add_data_arguments, print_report, read_data_paths

WEIGHTS_ARGUMENTS = {
    "soundnet": "sound8.npy: a judge that was not trained here",
    "hifigan": "generator_universal.pth.tar: a vocoder to compare with",
    "crepe": "tiny.pth: for errors of pitch",
}
"""Files of reference networks, to their help texts."""


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("evaluate", help="figures of a bundle on recordings it was not trained on")
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--takes", type=int, default=3, help="clips made from each label (default: 3)")
    parser.add_argument("--threads", type=int, help="processor threads of the judges")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--sheet", type=Path, help="draw recordings beside made clips here, their sounds in a folder")
    parser.add_argument(
        "--vocoders", type=Path, nargs="*", metavar="CHECKPOINT", help="vocoders alone, those of checkpoints among them"
    )
    for name, help_text in WEIGHTS_ARGUMENTS.items():
        parser.add_argument(f"--{name}", type=Path, help=help_text)
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Evaluate the bundle, and print the report as Markdown."""
    from onnx_export.commands.train import limit_threads
    from onnx_export.evaluation.evaluate import ReferenceWeights, evaluate_bundle, evaluate_vocoders

    limit_threads(options.threads)
    weights = ReferenceWeights(options.soundnet, options.hifigan, options.crepe)
    paths = read_data_paths(options)
    if options.vocoders is not None:
        report = evaluate_vocoders(options.bundle, paths, weights, options.vocoders)
    else:
        report = evaluate_bundle(options.bundle, paths, weights, options.takes, options.sheet)
    print_report(report, options.json)
