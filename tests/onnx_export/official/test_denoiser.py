"""A denoiser from its checkpoint: its shape, and what it was trained on."""

import pytest
import torch

from onnx_export.official.denoiser import load_denoiser
from plugin_server.engine.bundles.card import Embedding
from tests.support.official import (
    SIZE,
    write_denoiser,
)


def test_a_denoiser_tells_its_shape_and_what_it_was_taught(tmp_path):
    found = load_denoiser(write_denoiser(tmp_path / "a.pt", "open_clip/X/y", conditions="image", depth=3, context=2))
    size = found.module.size
    assert (size.n_mels, size.width, size.depth, size.heads, size.expansion, size.context) == (8, 64, 3, 2, 2, 2)
    assert found.embedding == Embedding("open_clip/X/y", SIZE) and found.conditions == ("image",)
    old = load_denoiser(write_denoiser(tmp_path / "b.pt", None, heads=1))
    assert old.embedding == Embedding("clipsonic-mini-384", SIZE) and old.conditions == ()
    assert old.module.size.heads == 1


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"denoiser: .*junk\.pt cannot be read as a checkpoint"):
        load_denoiser(junk)
    torch.save({"step": 3}, junk)
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint of python -m onnx_export train denoiser"):
        load_denoiser(junk)


def test_the_averaged_weights_are_read(tmp_path):
    path = write_denoiser(tmp_path / "a.pt", "open_clip/X/y")
    saved = torch.load(path, weights_only=True)
    saved["average"]["state"] = {name: value + 1 for name, value in saved["model"].items()}
    torch.save(saved, path)
    module = load_denoiser(path).module
    assert not module.training
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, saved["model"][name] + 1)
