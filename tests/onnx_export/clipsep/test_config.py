"""The command that trains a separator, with a configuration file that makes it small."""

from types import SimpleNamespace

import pytest
import torch

from onnx_export.cli import main
from onnx_export.clipsonic.training import datasets

CONFIG = """
[separator]
widths = [4, 6, 8, 8]
maps = 4
level_maps = 4
context = 16
query_width = 16
[training]
steps = 2
[training.mixtures]
batch = 2
frames = 32
"""


@pytest.fixture
def sources(tones, words, monkeypatch):
    monkeypatch.setattr(datasets.DataPaths, "sound_dataset", lambda _: tones)
    monkeypatch.setattr(datasets, "text_conditioning", lambda *_: SimpleNamespace(embeddings=words))


@pytest.mark.usefixtures("sources")
def test_shape_and_training_come_from_the_file(tmp_path):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    assert main(["train", "separator", "--runs", str(tmp_path), "--config", str(tmp_path / "tiny.toml")]) == 0
    saved = torch.load(tmp_path / "separator.pt", weights_only=True)
    assert saved["step"] == 2 and saved["model"]["rest"].shape == (8,)
    assert saved["metadata"]["conditions"] == ("text",)


@pytest.mark.usefixtures("sources")
def test_a_key_that_is_not_known_is_named(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text("[training.mixtures]\nthirds = 1.0\n")
    assert main(["train", "separator", "--runs", str(tmp_path), "--config", str(tmp_path / "tiny.toml")]) == 1
    assert "training.mixtures.thirds is not known" in capsys.readouterr().err
