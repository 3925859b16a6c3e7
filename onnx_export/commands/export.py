"""`python -m onnx_export export`: checkpoints to a bundle that the daemon serves."""

import argparse
from pathlib import Path
from typing import Any

from onnx_export.commands.arguments import Subparsers, add_data_arguments, print_parity, read_data_paths


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("export", help="checkpoints to a bundle, compared with PyTorch graph by graph")
    parser.add_argument("name", choices=("clipsonic-mini", "clipsonic-iq", "clipsonic-tta", "clipsonic-clap-tta"))
    parser.add_argument("--out", type=Path, help="folder that gets the bundle's folder (default: that of the package)")
    parser.add_argument("--replace-denoiser", type=Path, metavar="CHECKPOINT", help="change nothing but the denoiser")
    parser.add_argument(
        "--filter-variance", type=float, default=0.0, help="grain that a replaced denoiser without a skip gets, as 0.04"
    )
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Export every graph, write card and attributions, and print how far each graph is from PyTorch."""
    from onnx_export.clipsonic.export.band_statistics import measure_band_statistics
    from onnx_export.clipsonic.export.bundle import Sizes, load_networks, write_bundle
    from onnx_export.clipsonic.export.replace import replace_denoiser
    from onnx_export.clipsonic.variants import VARIANTS
    from onnx_export.data.attributions import write_attributions
    from plugin_server.settings import SHIPPED_BUNDLES

    paths, sizes, variant = read_data_paths(options), Sizes(), VARIANTS[options.name]
    folder = (options.out or SHIPPED_BUNDLES) / options.name
    if options.replace_denoiser:
        card = replace_denoiser(folder, options.replace_denoiser, variant, options.filter_variance)
        print_parity({"denoiser": card.graphs["denoiser"]})
        return
    cache = paths.sound_dataset()
    labels = sorted({cache.sounds[i].label for i in cache.indices("train")})
    networks = load_networks(options.runs, variant, sizes, labels, measure_band_statistics(cache, labels))
    card = write_bundle(folder, variant, networks, sizes)
    training_data: dict[str, Any] = {
        "Sounds behind this model": [cache.sounds[i] for i in cache.indices("train")],
        "Pictures behind this model": paths.pictures() if variant.has_image_tower else [],
    }
    write_attributions(training_data, folder / "ATTRIBUTIONS.md")
    print_parity(card.graphs)
    print(f"bundle: {folder.absolute()}")
