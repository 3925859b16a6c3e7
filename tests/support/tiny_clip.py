"""A model of open_clip small enough for tests: a configuration and random weights, as files."""

import json
from pathlib import Path

SIZE = 16
SIDE = 32
CONFIGURATION = {
    "embed_dim": SIZE,
    "vision_cfg": {"image_size": SIDE, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def tiny_tag(folder: Path) -> str:
    """Its tag, MODEL:WEIGHTS, both of them files in `folder`."""
    from onnx_export.torchvision_ops import declare_missing_operators

    declared = declare_missing_operators()
    import open_clip
    import torch

    configuration, weights = folder / "tiny-clip.json", folder / "tiny-clip.pt"
    configuration.write_text(json.dumps(CONFIGURATION))
    open_clip.add_model_config(configuration)
    torch.manual_seed(0)
    torch.save(open_clip.create_model("tiny-clip", None).state_dict(), weights)
    del declared
    return f"{configuration}:{weights}"
