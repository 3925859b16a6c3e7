"""The train command: what it hands to the trainers, and what it refuses."""

import csv
from argparse import ArgumentTypeError

import numpy as np
import pytest
import soundfile
import torch

from onnx_export.cli import main
from onnx_export.commands.train import TRAINERS, seconds
from onnx_export.training.checkpoint import read_metadata

COLUMNS = (
    "file", "label", "caption", "category", "recording_id", "licence", "attribution", "source", "sample_rate_of_source",
)  # fmt: skip
CONFIG = """
[mel]
sample_rate = 16000
n_fft = 256
hop = 128
n_mels = 8
f_max_hz = 8000
[vocoder]
width = 8
depth = 1
hidden = 8
[training]
steps = 2
batch = 2
frames = 16
period_channels = 1
spectrogram_channels = 2
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rng, rows = np.random.default_rng(0), []
    for i in range(30):
        soundfile.write(folder / f"{i}.wav", rng.standard_normal(9000) * 0.1, 16_000)
        rows.append([f"{i}.wav", "hiss", "a hiss", "c", f"r{i}", "CC0", "me", "us", "48000"])
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


@pytest.fixture
def vocoder(corpus, tmp_path):
    """Trains a tiny vocoder into a folder of runs; gives back its weights."""
    (tmp_path / "tiny.toml").write_text(CONFIG)

    def train(runs, *arguments):
        sources = ["--corpus", str(corpus), "--runs", str(tmp_path / runs), "--config", str(tmp_path / "tiny.toml")]
        status = main(["train", "vocoder", *sources, *arguments])
        path = tmp_path / runs / "vocoder.pt"
        return status, torch.load(path, weights_only=True) if path.exists() else None

    return train


def test_steps_and_shape_come_from_the_configuration(vocoder):
    status, saved = vocoder("a")
    assert status == 0 and saved["step"] == 2
    assert saved["model"]["head.weight"].shape == (2 * 129, 8)


def test_steps_of_the_command_line_count_more(vocoder):
    assert vocoder("a", "--steps", "1")[1]["step"] == 1


def test_a_budget_of_time_stands_in_place_of_steps(vocoder, capsys):
    status, saved = vocoder("a", "--budget", "0.3s")
    assert status == 0 and saved["step"] > 0 and saved["spent_s"] >= 0.3
    assert vocoder("b", "--budget", "1m", "--steps", "3")[0] == 1
    assert "--budget stands in place of --steps: expected one of them" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("9m", 540), ("1.5h", 5400), ("7", 7)])
def test_times_have_units(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "nine", "-1m", "0", "nan", "inf", "1e999h", "9 parsecs"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(ArgumentTypeError, match="expected a time such as 90s, 9m or 1h"):
        seconds(text)


def test_a_seed_makes_runs_equal(vocoder, tmp_path):
    first, second, other = (
        vocoder(name, "--seed", seed)[1]["model"] for name, seed in (("a", "4"), ("b", "4"), ("c", "5"))
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert read_metadata(tmp_path / "a" / "vocoder.pt").seed == 4


def test_losses_of_both_splits_are_kept(vocoder, tmp_path):
    names = ("mel", "stft", "grain", "grain_of_smooth")
    vocoder("a", "--adversarial-from", "1")
    with open(tmp_path / "a" / "vocoder.metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["split"], row["name"]) for row in rows} == {("valid", name) for name in names}
    assert all(float(row["value"]) > 0 and row["step"] == "2" for row in rows)


def test_another_seed_than_the_checkpoints_is_refused(vocoder, capsys):
    vocoder("a", "--seed", "4")
    status, saved = vocoder("a", "--seed", "5", "--steps", "3")
    assert status == 1 and saved["step"] == 2
    assert "--seed is 5, expected 4 or none" in capsys.readouterr().err
    assert vocoder("a", "--steps", "3")[1]["step"] == 3


def test_a_wrong_configuration_is_named(vocoder, tmp_path, capsys):
    text = CONFIG.replace("[vocoder]", "[vocodr]")
    status, _ = vocoder("a"), (tmp_path / "tiny.toml").write_text(text)
    assert status[0] == 0
    assert vocoder("b")[0] == 1
    assert "vocodr is not known, expected one of mel, vocoder, training" in capsys.readouterr().err


@pytest.mark.parametrize("network", TRAINERS)
def test_every_network_says_what_it_lacks(network, tmp_path, capsys):
    assert main(["train", network, "--steps", "1", "--runs", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "is needed" in error or "are needed" in error or "is not there" in error
