"""`python -m onnx_export import`: a bundle out of another one and official weights."""

import argparse
import logging
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, print_parity


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("import", help="a bundle out of another one and official weights")
    parser.add_argument("name", help="of the new bundle")
    parser.add_argument("--base", default="clipsonic-mini", help="bundle, or its folder (default: clipsonic-mini)")
    parser.add_argument(
        "--towers",
        metavar="MODEL:WEIGHTS",
        help="CLIP's: one of open_clip's models or a JSON file, and a tag or a file, as ViT-L-14:openai",
    )
    parser.add_argument("--prior", type=Path, metavar="FOLDER", help="an unCLIP prior in diffusers' layout")
    parser.add_argument("--vocoder", type=Path, metavar="FOLDER_OR_FILE", help="BigVGAN's config.json and weights")
    parser.add_argument("--denoiser", type=Path, metavar="CHECKPOINT", help="of: train denoiser, denoiser-iq, ...")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder that gets it (default: that of your bundles)")
    parser.add_argument("--single", action="store_true", help="weights in single precision (default: half)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the bundle, and print how far each graph is from PyTorch, and its folder."""
    # open_clip tells every step to the root logger.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("onnx_export").setLevel(logging.INFO)
    from onnx_export.official.assemble import ImportOptions, import_bundle
    from plugin_server.settings import bundle_folders

    names = ("name", "base", "towers", "prior", "vocoder", "denoiser")
    import_options = ImportOptions(**{name: getattr(options, name) for name in names}, fp16=not options.single)
    bundle = import_bundle(import_options, options.out or bundle_folders()[0], bundle_folders())
    print_parity(bundle.card.graphs)
    print(f"bundle: {bundle.folder.absolute()}")
