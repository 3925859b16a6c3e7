"""`python -m onnx_export estimate`: memory and time that a configured training takes."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("estimate", help="memory and time that a configured training takes")
    parser.add_argument("--config", type=Path, required=True, help="embedding, network and training, as in configs/")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what is measured (default: cpu)")
    parser.add_argument("--tflops", type=float, default=300, help="sustained by the device thought of (default: 300)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the estimate as a table. Raises ValueError for a device that is not there and for no FLOPs."""
    import torch

    from onnx_export.config import read_config
    from onnx_export.profiling.estimate import estimate

    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, expected cpu: PyTorch finds no CUDA here")
    if not options.tflops > 0:
        raise ValueError(f"--tflops is {options.tflops:g}, expected more than 0")
    print(estimate(read_config(options.config), torch.device(options.device), options.tflops).table())
