"""Errors of vocoders whose copies are known."""

import numpy as np
import pytest
import torch

from onnx_export.evaluation.references.crepe import Crepe
from onnx_export.evaluation.vocoders import Fidelity, _mean, compare_vocoders, griffin_lim, measure, vocoders_of
from plugin_server.audio.spectral import MelSettings, log_mel
from tests.support.corpus import synthesise

MEL = MelSettings()
RATE = MEL.sample_rate


def test_griffin_lim_gives_back_a_sound_with_that_spectrum():
    target = log_mel(synthesise("clicks", 1, RATE), MEL)
    copy = log_mel(griffin_lim(target, MEL, 8), MEL)
    silent = log_mel(np.zeros(RATE, np.float32), MEL)
    assert np.abs(copy - target).mean() < 0.25 * np.abs(silent - target).mean()


def test_a_perfect_copy_has_no_errors():
    waves = [synthesise("hiss", seed, RATE) for seed in range(2)]
    assert measure(lambda wave: wave, waves, MEL) == Fidelity(0, 0, 0, None)


def test_a_copy_of_half_the_level_is_the_logarithm_of_two_away():
    fidelity = measure(lambda wave: wave / 2, [synthesise("hiss", 0, RATE)], MEL)
    assert fidelity.mel == pytest.approx(np.log(2), rel=0.01)
    assert fidelity.mel_half == pytest.approx(np.log(2), rel=0.02)
    assert fidelity.stft > 0.5 and fidelity.cents is None


def test_copies_of_other_lengths_are_compared_as_far_as_both_go():
    wave = synthesise("hiss", 0, RATE)
    assert measure(lambda x: np.concatenate([x, np.ones(999)]), [wave], MEL).mel == 0


class Crossings(Crepe):
    """Takes the number of zero crossings for the pitch."""

    def forward(self, frames):
        crossings = (frames[:, 1:] * frames[:, :-1] < 0).sum(dim=1)
        return torch.nn.functional.one_hot(crossings.clamp(max=359), 360) * 0.9


def test_pitch_errors_are_in_cents():
    from onnx_export.evaluation.references.crepe import track_pitch

    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (500, 1000))
    crepe = Crossings()
    pitches = [track_pitch(crepe, low, RATE)]
    # 500 Hz more is 64 more crossings in a frame of 64 ms, each a bin of 20 cents here.
    assert measure(lambda wave: high, [low], MEL, crepe, pitches).cents == pytest.approx(64 * 20, rel=0.1)
    assert measure(lambda wave: low, [low], MEL, crepe, pitches).cents == 0


def test_the_mean_leaves_out_categories_without_pitch():
    rows = [Fidelity(1, 2, 3, None), Fidelity(3, 4, 5, 10.0)]
    assert _mean(rows) == Fidelity(2, 3, 4, 10.0)
    assert _mean(rows[:1]).cents is None


def test_hifigan_is_compared_where_its_weights_are(toy_model, tmp_path):
    assert list(vocoders_of(toy_model, None)) == ["vocoder", "Griffin-Lim, 32 rounds"]
    with pytest.raises(FileNotFoundError):
        vocoders_of(toy_model, tmp_path / "gone.pth")


def test_a_toys_vocoder_is_measured_by_category(toy_model, cache):
    rows = compare_vocoders(toy_model, cache, None, None)
    assert list(rows) == ["clicks", "hiss", "hum", "all"]
    mean = np.mean([rows[name]["vocoder"].mel for name in ("clicks", "hiss", "hum")])
    assert rows["all"]["vocoder"].mel == pytest.approx(mean)
