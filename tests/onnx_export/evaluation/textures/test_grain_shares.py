"""Grain of estimates, by a denoiser that keeps a known share of what it is given, and grain of made clips."""

from types import SimpleNamespace

import numpy as np
import pytest

from onnx_export.data.sounds import split_of
from onnx_export.evaluation.textures.grain_shares import (
    KEPT_SIGMAS,
    MAX_RECORDINGS,
    kept_grain,
    made_grain,
    texture_grain,
    texture_recordings,
)


class HalvingModel:
    """A model whose estimates are half of the noised mel."""

    sample_rate = 16_000

    def __init__(self):
        graph = SimpleNamespace(inputs=[SimpleNamespace(name="noised"), SimpleNamespace(name="sigma")])
        mel = SimpleNamespace(hop=64, sample_rate=16_000)
        self.card = SimpleNamespace(
            mel=mel, mel_mean=[-4.0] * 8, mel_std=[1.0] * 8, frame_multiple=2, graphs={"denoiser": graph}
        )
        self.denoiser = SimpleNamespace(run=lambda feeds, cancellation: [feeds["noised"] / 2])

    def embed_text(self, prompt, cancellation):
        return np.zeros((1, 6), np.float32)


@pytest.fixture
def recording():
    return "rain", np.random.default_rng(0).standard_normal((8, 201)).astype(np.float32) / 2 - 4


def test_recordings_are_held_out_textures_each_once(cache):
    indices = texture_recordings(cache)
    assert list(indices) == ["rain"]
    recordings = [cache.sounds[i].recording_id for i in indices["rain"]]
    assert {split_of(recording) for recording in recordings} == {"valid"}
    assert len(set(recordings)) == len(recordings) <= MAX_RECORDINGS


def test_at_no_noise_the_share_is_that_of_the_network(recording):
    assert kept_grain(HalvingModel(), [recording], 0.0) == pytest.approx([0.5], rel=0.01)


def test_noise_that_is_left_in_the_estimate_counts_as_grain(recording):
    assert kept_grain(HalvingModel(), [recording], 0.5)[0] > 0.5


def test_silence_has_no_grain_to_keep():
    assert kept_grain(HalvingModel(), [("rain", np.full((8, 200), -11.5, np.float32))], 0.1) == []


def test_made_clips_are_compared_with_recordings_of_their_label(toy_model, cache):
    mels = [cache.mel(i).astype(np.float32).T for i in texture_recordings(cache)["rain"]]
    share = made_grain(toy_model, "rain", mels)
    assert share > 0
    # Log-mels lie below zero: of half, all is above silence.
    assert made_grain(toy_model, "rain", [mel / 2 for mel in mels]) == pytest.approx(2 * share, rel=0.05)


def test_the_figures_have_a_column_for_each_noise_level(toy_model, cache):
    figures = texture_grain(toy_model, cache)
    assert list(figures["kept at noise level"]) == [f"{sigma:g}" for sigma in KEPT_SIGMAS]
    assert figures["made"]["samples"].n == 1


def test_a_corpus_without_textures_has_no_figures(toy_model):
    assert texture_grain(toy_model, SimpleNamespace(indices=lambda split: [])) == {}
