"""`clipsonic models`: lists, installs, makes and removes bundles."""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from plugin_server.commands.flags import Commands
from plugin_server.errors import ClipsonicError
from plugin_server.settings import bundle_folders
from plugin_server.studio.paths import named_path

IMPORT_PACKAGES = ("onnx_export", "torch", "open_clip", "diffusers", "onnx", "onnxscript")
"""Packages of the extra `train`, none of which serving loads."""
IMPORT_FLAGS = {
    "base": ("BUNDLE", "what the rest is taken from (default: clipsonic-mini)"),
    "towers": ("MODEL:WEIGHTS", "CLIP's: one of open_clip's models, and a tag or a file, as ViT-L-14:openai"),
    "prior": ("FOLDER", "an unCLIP prior in diffusers' layout, as karlo's"),
    "vocoder": ("FOLDER_OR_FILE", "BigVGAN's config.json and weights"),
    "denoiser": ("CHECKPOINT", "of python -m onnx_export train denoiser"),
    "out": ("DIR", "folder that gets it (default: that of your bundles)"),
}
"""Flags of `clipsonic models import`, with the names of their values and their help."""


def add_parser(commands: Commands) -> None:
    """Add the command `models` and its actions to the parser of `clipsonic`."""
    parser = commands.add_parser("models", help="list, install, make or remove bundles")
    parser.add_argument("--verify", action="store_true", help="compare every file with its checksum")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="instead of listing them", metavar="ACTION")
    install = actions.add_parser("install", help="copy a bundle to your own")
    install.add_argument("source", type=named_path, metavar="FOLDER_OR_ZIP", help="where its card.json and graphs are")
    install.set_defaults(run=run_install)
    importing = actions.add_parser("import", help="make a bundle out of another one and official weights")
    importing.add_argument("name", metavar="NAME", help="of the new bundle")
    for flag, (metavar, text) in IMPORT_FLAGS.items():
        importing.add_argument(f"--{flag}", metavar=metavar, help=text)
    importing.add_argument("--single", action="store_true", help="weights in single precision (default: half)")
    importing.set_defaults(run=run_import)
    remove = actions.add_parser("remove", help="delete a bundle of your own")
    remove.add_argument("name", metavar="NAME", help="as clipsonic models lists it")
    remove.set_defaults(run=run_remove)


def run(options: argparse.Namespace) -> None:
    """Print the bundles of this user and those that came with the package. Raises BundleDamaged with `--verify`."""
    list_models(bundle_folders(), verify=options.verify)


def run_install(options: argparse.Namespace) -> None:
    """Copy a bundle to this user's own. Raises what `install_bundle` raises."""
    from plugin_server.engine.bundles.install import install_bundle

    bundle = install_bundle(options.source.expanduser(), bundle_folders()[0])
    print(f"installed {bundle.card.name} {bundle.card.version}: {bundle.folder}")


def run_import(options: argparse.Namespace) -> None:
    """Make a bundle out of another one and official weights. Raises what `import_model` raises."""
    values = {flag: getattr(options, flag) for flag in IMPORT_FLAGS if getattr(options, flag) is not None}
    import_model(options.name, values, single=options.single)


def run_remove(options: argparse.Namespace) -> None:
    """Delete a bundle of this user. Raises what `remove_bundle` raises."""
    from plugin_server.engine.bundles.install import remove_bundle

    own, *shipped = bundle_folders()
    remove_bundle(options.name, own, shipped)
    print(f"removed {options.name}")


def list_models(folders: Iterable[Path], *, verify: bool) -> None:
    """Print what each bundle is.

    With `verify` every file is compared with its checksum. Raises BundleDamaged at the first that differs.
    """
    from plugin_server.engine.bundles.registry import BundleRegistry, verify_bundle

    bundles = BundleRegistry(folders).bundles()
    for name, bundle in sorted(bundles.items()):
        card = bundle.card
        size = sum((bundle.folder / file).stat().st_size for file in card.files if (bundle.folder / file).exists())
        lengths = f"{card.lengths.minimum:g} to {card.lengths.maximum:g} s"
        print(f"{name} {card.version}  {card.family}, {lengths}, {card.mel.sample_rate} Hz, {size / 2**20:.1f} MiB")
        print(f"    {card.description}")
        print(f"    licence {card.licence}; checksum {bundle.checksum()}; {bundle.folder}")
        if verify:
            verify_bundle(bundle)
            print("    every file is as it should be")
    if not bundles:
        print("no bundles are installed")


def import_model(name: str, values: Mapping[str, str], *, single: bool) -> None:
    """Make the bundle `name` of the `values` of flags of `python -m onnx_export import`, in a process of its own.

    Raises ClipsonicError when packages are missing, and SystemExit when it did not work: it has said why by then.
    """
    missing = [package for package in IMPORT_PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise ClipsonicError(f'import needs {", ".join(missing)}: pip install "clipsonic-live[train]"')
    flags = [f"--{flag}={value}" for flag, value in values.items()] + ["--single"] * single
    command = [sys.executable, "-m", "onnx_export", "import", name, *flags]
    ended = subprocess.run(command, env=os.environ | {"PYTHONWARNINGS": "ignore"}, check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode)
