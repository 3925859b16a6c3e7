"""A stand-in for torchvision's operators.

open_clip and transformers import torchvision, whose registry wheel cannot load its operators beside a CPU build of
torch. Neither needs those operators here.
"""

import importlib.util
from pathlib import Path

import torch


def declare_missing_operators() -> torch.library.Library | None:
    """Declare `nms` and `qnms` where torchvision is installed but its own operators do not load.

    A working torchvision is left alone.

    Returns:
        The declaration, which lives as long as this object: keep it. None where nothing was missing.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _operators_load(Path(spec.origin).parent):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _operators_load(folder: Path) -> bool:
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    try:
        for extension in [*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]:
            torch.ops.load_library(str(extension))
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")
