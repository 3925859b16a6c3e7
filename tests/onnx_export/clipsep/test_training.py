from dataclasses import replace

import torch

from onnx_export.clipsep.mixtures import MixtureSampler, MixtureTraining, SeparationData
from onnx_export.clipsep.separator import Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.clipsep.training import SeparatorTraining, separation_losses, train_separator
from onnx_export.training.checkpoint import load_ema, read_metadata, read_start
from onnx_export.training.run import Intervals, TrainingRun

SIZE = SeparatorSize(n_embedding=8, widths=(4, 6, 8, 8), maps=4, level_maps=4, context=16, query_width=16)
TRAINING = SeparatorTraining(steps=24, learning_rate=1e-2, mixtures=MixtureTraining(batch=4, frames=32))


def train(tones, words, path, training=TRAINING):
    run = TrainingRun(path, torch.device("cpu"), seed=5, intervals=Intervals(4, 12, 4))
    train_separator(SeparationData(tones, words), SIZE, training, run, "toy-8")


def test_tones_are_learnt_to_be_told_apart(tones, words, tmp_path):
    train(tones, words, tmp_path / "s.pt")
    rows = [line.split(",") for line in (tmp_path / "s.metrics.csv").read_text().splitlines()[1:]]
    losses = [float(value) for step, split, name, value in rows if (split, name) == ("train", "loss")]
    assert losses[-1] < 0.9 * losses[0]
    assert {"snr", "absent_db", "presence"} < {name for _, split, name, _ in rows if split == "valid"}


def test_a_run_that_was_stopped_goes_on(tones, words, tmp_path):
    path = tmp_path / "s.pt"
    train(tones, words, path, replace(TRAINING, steps=4))
    assert read_start(path) == 4
    train(tones, words, path, replace(TRAINING, steps=8))
    assert read_start(path) == 8 and read_metadata(path).embedding == "toy-8"
    load_ema(path, Separator(SIZE, StftSettings()))


def test_perfect_masks_have_no_error(tones, words):
    mixtures = replace(TRAINING.mixtures, third=0.0, absent=1.0)
    sampler = MixtureSampler(SeparationData(tones, words), mixtures, StftSettings(), torch.device("cpu"))
    batch = sampler.draw()

    class Ideal(torch.nn.Module):
        rest = torch.ones(8)

        def forward(self, magnitude, level, queries):
            powers = batch.targets.abs()
            masks = powers / powers.sum(dim=1, keepdim=True).clamp_min(1e-9)
            return masks, torch.where(batch.present > 0, 9.0, -9.0)[..., None]

    losses = separation_losses(Ideal(), batch, TRAINING)
    assert losses["snr"] > 10 and losses["absent_db"] < -29 and losses["presence"] < 0.01
