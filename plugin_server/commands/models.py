"""What `clipsonic models import` does: the work is that of `onnx_export`, in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping

from plugin_server.errors import ClipsonicError

NEEDED = ("onnx_export", "torch", "open_clip", "diffusers", "onnx", "onnxscript")
"""Packages of the extra `train`, none of which serving loads."""


def import_model(name: str, given: Mapping[str, str], single: bool) -> None:
    """Make the bundle `name` of what is given by flags of `python -m onnx_export import`.

    Raises ClipsonicError when packages are missing, and SystemExit when it did not work: it has said why by then.
    """
    missing = [package for package in NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise ClipsonicError(f'import needs {", ".join(missing)}: pip install "clipsonic-live[train]"')
    flags = [f"--{flag}={value}" for flag, value in given.items()] + ["--single"] * single
    command = [sys.executable, "-m", "onnx_export", "import", name, *flags]
    ended = subprocess.run(command, env=os.environ | {"PYTHONWARNINGS": "ignore"}, check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode)
