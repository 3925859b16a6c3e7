"""Configurations of a run: what is read, and what is refused in which words."""

from pathlib import Path

import pytest

from onnx_export.config import Config, EmbeddingChoice, read_config

ROOT = Path(__file__).parent.parent.parent
SMALL = """
[embedding]
tag = "ViT-B-32:openai"
size = 512
[denoiser]
n_embedding = 512
width = 64
heads = 2
[training]
learning_rate = 1
"""


def read(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_text(text)
    return read_config(path)


def test_what_is_left_out_has_its_default(tmp_path):
    config = read(tmp_path, SMALL)
    plain = Config(EmbeddingChoice("ViT-B-32:openai", 512))
    assert config.embedding == plain.embedding
    assert (config.mel, config.videos) == (plain.mel, plain.videos)
    assert config.denoiser.width == 64 and config.denoiser.depth == plain.denoiser.depth
    assert config.training.learning_rate == 1.0 and isinstance(config.training.learning_rate, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "stepz = 3", r"training\.stepz is not known, expected one of steps, tokens"),
        (SMALL + "steps = 2.5", r"training\.steps is 2\.5, expected a whole number"),
        (SMALL + "steps = true", r"training\.steps is True, expected a whole number"),
        (SMALL + "embedding_noise = '1'", r"training\.embedding_noise is '1', expected a number"),
        (SMALL + "[vidoes]", r"vidoes is not known, expected one of embedding, mel, videos"),
        ("[embedding]\nsize = 3", r"embedding\.tag is missing, expected a text in quotes"),
        ("", r"embedding is missing, expected a table with tag, size"),
        ("embedding = 3", r"embedding is 3, expected a table"),
        ("a = ", "is no TOML"),
        (SMALL + "[mel]\nn_mels = 64", r"denoiser\.n_mels is 128, expected 64 as mel\.n_mels"),
        (SMALL.replace("512\nwidth", "384\nwidth"), r"denoiser\.n_embedding is 384, expected 512"),
        (SMALL.replace("heads = 2", "heads = 3"), r"denoiser\.width is 64, expected a multiple of twice 3 heads"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_every_configuration_of_the_project_can_be_read(path):
    assert read_config(path).training.steps > 0
