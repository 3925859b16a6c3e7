"""CREPE: shapes, the layout of its weights, and errors of sure frames alone."""

import numpy as np
import pytest
import torch

from onnx_export.evaluation.references.crepe import SAMPLE_RATE, Crepe, load_crepe, pitch_error, track_pitch

RATE = 44100


class Crossings(Crepe):
    """Takes the number of zero crossings for the pitch."""

    def forward(self, frames):
        crossings = (frames[:, 1:] * frames[:, :-1] < 0).sum(dim=1)
        return torch.nn.functional.one_hot(crossings.clamp(max=359), 360) * 0.9


def tone(hz):
    return np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)


def test_errors_count_sure_frames_alone():
    low, high = tone(500), tone(1000)
    cents, confidence = track_pitch(Crossings(), low, RATE)
    assert len(cents) == len(confidence) == SAMPLE_RATE // 320 + 1
    error = pitch_error(Crossings(), (cents, confidence), high, RATE)
    assert np.median(error) == pytest.approx(64 * 20, rel=0.1)
    assert len(pitch_error(Crossings(), (cents, np.zeros_like(confidence)), high, RATE)) == 0


def test_a_sound_has_no_error_against_itself():
    pitch = track_pitch(Crossings(), tone(500), RATE)
    assert pitch_error(Crossings(), pitch, tone(500), RATE).max() == 0


def test_scores_of_any_frames_are_shares():
    scores = Crepe().eval()(torch.randn(3, 1024))
    assert scores.shape == (3, 360)
    assert float(scores.detach().min()) >= 0 and float(scores.detach().max()) <= 1


def test_a_pitch_between_two_bins_is_found_between_them():
    class Between(Crepe):
        """Has bins 100 and 101 alike."""

        def forward(self, frames):
            scores = torch.zeros(len(frames), 360)
            scores[:, [100, 101]] = 0.8
            return scores

    cents, confidence = track_pitch(Between(), tone(200), RATE)
    assert cents == pytest.approx(np.full(len(cents), 100.5 * 20)) and confidence == pytest.approx(0.8)


def test_weights_have_the_names_of_the_package(tmp_path):
    torch.manual_seed(0)
    network = Crepe()
    torch.save(network.state_dict(), tmp_path / "tiny.pth")
    loaded = load_crepe(tmp_path / "tiny.pth")
    assert not loaded.training
    frames = torch.randn(2, 1024)
    torch.testing.assert_close(loaded(frames), network.eval()(frames))
    names = set(network.state_dict())
    assert {"conv1.weight", "conv6_BN.running_mean", "classifier.bias"} <= names
