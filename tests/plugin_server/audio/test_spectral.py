import numpy as np
import pytest
from scipy import signal

from plugin_server.audio.spectral import (
    LOG_FLOOR,
    MelSettings,
    hz_to_mel,
    istft,
    log_mel,
    match_mel,
    mel_filterbank,
    mel_to_hz,
    stft,
)

MEL = MelSettings()


@pytest.mark.parametrize("n", [512, 5120, 51200, 44100])
def test_the_inverse_gives_the_samples_back(n):
    samples = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    back = istft(stft(samples, MEL), MEL)
    assert len(back) == MEL.n_frames(n) * MEL.hop
    np.testing.assert_allclose(back[:n], samples, atol=2e-5)


def test_frames_are_centred_on_the_middle_of_their_hop():
    samples = np.zeros(51200, np.float32)
    samples[20 * 512 + 256] = 1
    assert np.abs(stft(samples, MEL)).sum(axis=0).argmax() == 20


def test_the_spectrum_is_scipys():
    samples = np.random.default_rng(0).standard_normal(20480).astype(np.float32)
    _, _, theirs = signal.stft(samples, 44100, signal.get_window("hann", 2048), 2048, 1536, boundary=None, padded=False)
    ours = stft(samples, MEL)
    theirs = theirs * 1024  # scipy divides by the window's sum
    assert theirs.shape[1] > 10
    # Frame i of ours begins 768 samples before frame i's hop; scipy's begin at multiples of the hop.
    shifted = stft(np.concatenate([np.zeros(0, np.float32), samples[256:]]), MEL)
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(np.abs(shifted[:, 2:10]), np.abs(theirs[:, 1:9]), rtol=1e-3, atol=1e-2)


def test_mel_bands_have_equal_area_and_known_edges():
    bank = mel_filterbank(MEL)
    assert bank.shape == (128, 1025)
    area = bank.sum(axis=1) * 44100 / 2048
    np.testing.assert_allclose(area[40:], 1, rtol=0.03)
    assert hz_to_mel(np.array([1000.0]))[0] == pytest.approx(15)
    hz = np.array([10.0, 440.0, 999.0, 1001.0, 8000.0])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz)


def test_silence_lies_on_the_floor_and_a_tone_in_its_band():
    assert np.allclose(log_mel(np.zeros(44100, np.float32), MEL), np.log(LOG_FLOOR), atol=1e-3)
    tone = np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100).astype(np.float32)
    band = log_mel(tone, MEL)[:, 40].argmax()
    centres = mel_to_hz(np.linspace(0, hz_to_mel(np.array([22050.0]))[0], 130))[1:-1]
    assert abs(centres[band] - 1000) < 40


def test_short_sounds_have_a_spectrum_too():
    for n in (1, 100, 700):
        assert log_mel(np.ones(n, np.float32), MEL).shape == (128, MEL.n_frames(n))


def test_samples_come_closer_to_a_mel_with_every_round():
    rng = np.random.default_rng(0)
    time = np.arange(51200) / 44100
    real = (rng.standard_normal(51200) * np.exp(-6 * (time % 0.3))).astype(np.float32)
    target = log_mel(real, MEL)
    dull = np.convolve(real, np.ones(8) / 8, "same").astype(np.float32)
    errors = [np.abs(log_mel(match_mel(dull, target, MEL, n), MEL) - target).mean() for n in (0, 1, 3, 6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.15 * errors[0]


def test_no_rounds_change_nothing():
    samples = np.random.default_rng(0).standard_normal(5120).astype(np.float32)
    assert match_mel(samples, log_mel(samples, MEL), MEL, 0) is samples
