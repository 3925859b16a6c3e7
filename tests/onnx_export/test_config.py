"""Configurations of a run: what is read, and what is refused in which words."""

from pathlib import Path

import pytest

from onnx_export.clipsonic import configs
from onnx_export.config import FORMER_KEYS, Config, EmbeddingChoice, read_config, read_tables

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
    # What names an embedding is for a training on videos.
    is_for_videos = "[embedding]" in path.read_text("utf-8")
    config = read_config(path) if is_for_videos else read_tables(path, configs.DenoiserConfig)
    assert config.training.steps > 0 and config.training.resident is not is_for_videos


def test_keys_of_earlier_versions_are_read(tmp_path):
    former = """
spread = 0.1
stray = 0.2
mix = 0.3
drop_condition = 0.4
average_decay = 0.5
guide_from = 6
most_guidance = 7
least_sigma = 0.8
"""
    training = read(tmp_path, SMALL + former).training
    assert (training.embedding_noise, training.cross_label_mix, training.mixup_probability) == (0.1, 0.2, 0.3)
    assert (training.condition_dropout, training.ema_decay, training.min_sigma) == (0.4, 0.5, 0.8)
    assert (training.guidance_distillation_from, training.distilled_guidance_max) == (6, 7.0)
    assert len(former.split("=")) - 1 == sum(map(len, FORMER_KEYS.values()))
    with pytest.raises(ValueError, match=r"training\.mix is mixup_probability by its former name"):
        read(tmp_path, SMALL + "mix = 0.1\nmixup_probability = 0.1")


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        (configs.TextConfig, "[text]\nlayers = 2\n[training]\nbatch = 3", {"text.layers": 2, "training.batch": 3}),
        (
            configs.ImageConfig,
            "[image]\nfrozen_stages = 1\n[image.picture]\nsize = 8\nmean = [0, 0.5, 1]\nstd = [1, 1, 1]",
            {"image.frozen_stages": 1, "image.picture.mean": (0.0, 0.5, 1.0), "training.steps": 900},
        ),
        (configs.ClapConfig, "[mel]\nhop = 256\n[training]\ncrop_s = 1", {"mel.hop": 256, "training.crop_s": 1.0}),
        (configs.PriorConfig, "[prior]\nlayers = 1", {"prior.layers": 1, "training.embedding_noise": 0.3}),
        (configs.VocoderConfig, "[vocoder]\nwidth = 8", {"vocoder.width": 8, "mel.sample_rate": 44_100}),
        (configs.DenoiserConfig, "[denoiser]\npatch = 2", {"denoiser.patch": 2, "training.tokens": 800}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_network_has_a_configuration(tmp_path, kind, text, found):
    path = tmp_path / "a.toml"
    path.write_text(text)
    config = read_tables(path, kind)
    for name, value in found.items():
        part = config
        for attribute in name.split("."):
            part = getattr(part, attribute)
        assert part == value and type(part) is type(value)


def test_a_table_of_another_network_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text("[vocoder]\nwidth = 8")
    with pytest.raises(ValueError, match="vocoder is not known, expected one of text, training"):
        read_tables(tmp_path / "a.toml", configs.TextConfig)
