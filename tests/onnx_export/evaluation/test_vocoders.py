"""Errors of vocoders whose copies are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.models.vocoder import Vocoder, VocoderSize
from onnx_export.evaluation.references.crepe import Crepe
from onnx_export.evaluation.vocoders import Fidelity, _mean, compare_vocoders, griffin_lim, measure, vocoders_of
from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.ema import EMA
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
    assert measure(lambda wave: wave, waves, MEL) == Fidelity(0, 0, 0, None, grain=1, modulation=0)


def test_a_smooth_copy_lacks_grain():
    """The same colour in every frame: sound that was resynthesised of a mean."""
    wave = synthesise("hiss", 0, RATE)
    target = log_mel(wave, MEL)
    mean = np.repeat(target.mean(axis=1, keepdims=True), target.shape[1], axis=1)
    fidelity = measure(lambda _: griffin_lim(mean, MEL, 32), [wave], MEL)
    assert fidelity.grain < 0.6 and fidelity.modulation > 0.3


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
    rows = [Fidelity(1, 2, 3, None, 0.5, 1), Fidelity(3, 4, 5, 10.0, 0.7, 3)]
    assert _mean(rows) == Fidelity(2, 3, 4, 10.0, pytest.approx(0.6), 2)
    assert _mean(rows[:1]).cents is None


def test_hifigan_is_compared_where_its_weights_are(toy_model, tmp_path):
    assert list(vocoders_of(toy_model, None)) == ["vocoder", "Griffin-Lim, 32 rounds"]
    with pytest.raises(FileNotFoundError):
        vocoders_of(toy_model, tmp_path / "gone.pth")


def test_a_vocoder_whose_mel_is_matched_is_measured_without_too(toy_model):
    matching = replace(toy_model, card=replace(toy_model.card, sampling=replace(toy_model.card.sampling, mel_rounds=2)))
    vocoders, wave = vocoders_of(matching, None), synthesise("hiss", 0, toy_model.sample_rate)
    assert list(vocoders) == ["vocoder", "vocoder, mel not matched", "Griffin-Lim, 32 rounds"]
    np.testing.assert_array_equal(
        vocoders["vocoder, mel not matched"](wave), vocoders_of(toy_model, None)["vocoder"](wave)
    )


def test_checkpoints_are_compared(toy_model, tmp_path):
    mel = toy_model.card.mel
    network = Vocoder(mel, VocoderSize(width=8, depth=1, hidden=8))
    Checkpoint(tmp_path / "net.pt", {"model": network, "average": EMA(network)}).save(3)
    vocoders, wave = vocoders_of(toy_model, None, [tmp_path / "net.pt"]), synthesise("hiss", 0, mel.sample_rate)
    with torch.no_grad():
        expected = network.waveform(torch.from_numpy(log_mel(wave, mel))[None])[0].numpy()
    np.testing.assert_allclose(vocoders[str(tmp_path / "net.pt")](wave), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"gone\.pt is not there, expected a vocoder's checkpoint"):
        vocoders_of(toy_model, None, [tmp_path / "gone.pt"])


def test_a_toys_vocoder_is_measured_by_category(toy_model, cache):
    rows = compare_vocoders(toy_model, cache, None, None)
    assert list(rows) == ["clicks", "hiss", "hum", "all"]
    mean = np.mean([rows[name]["vocoder"].mel for name in ("clicks", "hiss", "hum")])
    assert rows["all"]["vocoder"].mel == pytest.approx(mean)
