"""A folder of videos to a taught denoiser, by the commands that a user types."""

import logging
import shutil

import pytest
import torch

from onnx_export.cli import main
from onnx_export.joint_embeddings import embedding_name
from tests.onnx_export.video.test_reader import BLUE, RED, film
from tests.support.tiny_clip import SIZE, tiny_tag

CONFIG = """
[embedding]
tag = {tag!r}
size = {size}
[mel]
sample_rate = 16000
n_fft = 512
hop = 256
n_mels = 16
f_max_hz = 8000
[videos]
clip_s = 2
n_frames = 2
[denoiser]
n_mels = 16
n_embedding = {size}
width = 16
depth = 1
heads = 2
[training]
tokens = 100
guidance_distillation_from = 1
"""


@pytest.fixture(scope="module")
def tag(tmp_path_factory):
    return tiny_tag(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def config(tmp_path, tag):
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG.format(tag=tag, size=SIZE))
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "a.mp4", [(2, RED, 440)])
    film(folder / "b.mp4", [(4, BLUE, -1)])
    film(folder / "mute.mp4", [(2, RED, None)])
    (folder / "vggsound.csv").write_text("a,0,tone,train\nb,0,noise,train\nmute,0,tone,train\ngone,0,tone,test\n")
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_videos_teach_a_denoiser(videos, config, tag, tmp_path, capsys, caplog):
    sources = ("--videos", videos, "--list", videos / "vggsound.csv", "--config", config, "--runs", tmp_path / "runs")
    assert run("features", *sources, "--workers", 2) == 0
    told = capsys.readouterr().out
    assert f"2 clips of {SIZE} numbers a frame, {embedding_name(tag)}: train 2, valid 0, test 0" in told
    assert "left out: 1 (no sound)" in told and "left out: 1 (no file)" in told
    place = told.split("features: ")[1].strip()
    assert place.startswith(str(tmp_path / "runs" / "videos"))
    caplog.clear()
    for steps, workers in ((2, 1), (3, 2)):
        with caplog.at_level(logging.INFO):
            assert run("train", "denoiser-iq", *sources, "--steps", steps, "--workers", workers) == 0
        saved = torch.load(tmp_path / "runs" / "denoiser-iq.pt", weights_only=True)
        assert saved["step"] == steps and saved["metadata"]["embedding"] == embedding_name(tag)
        assert saved["average"]["count"] == steps
    assert "going on from step 2" in caplog.text and "shards left" not in caplog.text


def test_features_are_used_where_the_videos_are_not(videos, config, tmp_path, capsys):
    assert run("features", "--videos", videos, "--config", config, "--runs", tmp_path / "runs") == 0
    place = capsys.readouterr().out.split("features: ")[1].strip()
    moved = shutil.move(place, tmp_path / "elsewhere")
    sources = ("--videos", moved, "--runs", tmp_path / "there", "--steps", 1)
    assert run("train", "denoiser-iq", *sources, "--config", config) == 0
    assert not (tmp_path / "there" / "videos").exists()
    assert run("train", "denoiser-iq", *sources, "--config", config, "--list", videos / "vggsound.csv") == 1
    assert "expected no --list" in capsys.readouterr().err
    config.write_text(config.read_text().replace("n_frames = 2", "n_frames = 4"))
    assert run("train", "denoiser-iq", *sources, "--config", config) == 1
    assert "cutting of the features is Cutting(clip_s=2.0, n_frames=2" in capsys.readouterr().err


def test_another_size_of_the_embedding_is_told(videos, config, tmp_path, capsys):
    config.write_text(
        config.read_text().replace(f"= {SIZE}\nwidth", "= 24\nwidth").replace(f"size = {SIZE}", "size = 24")
    )
    assert run("features", "--videos", videos, "--config", config, "--runs", tmp_path / "runs") == 1
    assert f"denoiser.n_embedding is 24, expected {SIZE}, the size of" in capsys.readouterr().err
    assert not list((tmp_path / "runs").rglob("*.f16"))


def test_videos_without_a_configuration_are_told(videos, tmp_path, capsys):
    assert run("train", "denoiser-iq", "--videos", videos, "--steps", 2, "--runs", tmp_path) == 1
    assert "--config is needed with --videos" in capsys.readouterr().err
