"""A tiny training whose costs can be computed by hand."""

import pytest

FRAMES_PER_SECOND = 44100 / 512
CONFIG = """
[embedding]
tag = "clipsonic-mini"
size = 16
[mel]
n_mels = 16
[denoiser]
n_mels = 16
n_embedding = 16
width = 32
depth = 3
heads = 2
[training]
steps = 100
guidance_distillation_from = 40
tokens = 500
condition_dropout = 0
"""


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def config(config_path):
    from onnx_export.config import read_config

    return read_config(config_path)
