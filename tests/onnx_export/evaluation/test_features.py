"""Features of sounds: their shapes, and what they must not depend on."""

import numpy as np
import pytest

from onnx_export.evaluation.features import MelStatistics, SoundNetFeatures, mel_statistics, stack_features
from onnx_export.evaluation.references.soundnet import SoundNet
from plugin_server.audio.spectral import MelSettings, log_mel
from tests.support.corpus import synthesise
from tests.support.toys import MEL as TOY_MEL

MEL = MelSettings()
RATE = MEL.sample_rate


def test_statistics_do_not_depend_on_level_or_length():
    hiss = synthesise("hiss", 5, RATE)
    one, soft, long = (mel_statistics(log_mel(x, MEL).T) for x in (hiss, hiss * 0.3, np.tile(hiss, 2)))
    assert np.abs(one - soft).max() < 0.05
    assert np.abs(one - long).mean() < 0.1


def test_statistics_of_a_constant_spectrum_are_its_shape():
    """Two bands at -1 and 1: around their mean, without deviation or movement."""
    features = mel_statistics(np.tile([[-1.0, 1.0]], (20, 1)))
    assert features.dtype == np.float32
    means, deviation, soft, loud, fast, slow = features.reshape(6, 2)
    for levels in (means, soft, loud):
        np.testing.assert_allclose(levels, [-1, 1], atol=1e-6)
    for movement in (deviation, fast, slow):
        np.testing.assert_allclose(movement, 0, atol=1e-6)


def test_statistics_tell_fast_movement_from_slow():
    """One band goes up and down each frame, the other once in twenty."""
    frames = np.arange(40)
    features = mel_statistics(np.stack([frames % 2, frames // 20 % 2], axis=1).astype(float))
    fast, slow = features[8:10], features[10:12]
    np.testing.assert_allclose(fast, [1, 1 / 39], atol=1e-6)
    # Nine frames later the first band stands elsewhere each time, the second in nine of thirty-one.
    np.testing.assert_allclose(slow, [1, 9 / 31], atol=1e-6)


def test_quiet_frames_do_not_count():
    loud = np.random.default_rng(0).standard_normal((30, 4)) * 0.1
    with_silence = np.concatenate([loud, np.full((30, 4), -12.0)])
    np.testing.assert_allclose(mel_statistics(with_silence)[:16], mel_statistics(loud)[:16], atol=1e-5)


@pytest.mark.parametrize("n_frames", [1, 2, 9, 10])
def test_short_sounds_have_features(n_frames):
    features = mel_statistics(np.random.default_rng(0).standard_normal((n_frames, 5)))
    assert features.shape == (30,) and np.isfinite(features).all()


def test_windows_are_a_second_long_and_half_a_second_apart():
    extractor = MelStatistics(TOY_MEL)
    rate, size = TOY_MEL.sample_rate, 6 * TOY_MEL.n_mels
    assert extractor.clip_features(synthesise("hum", 0, rate)).shape == (size,)
    for seconds, n_windows in ((0.3, 1), (1, 1), (2, 3), (3, 5)):
        wave = np.random.default_rng(0).standard_normal(int(seconds * rate)).astype(np.float32)
        assert extractor.window_features(wave).shape == (n_windows, size)


def test_features_are_stacked_in_order():
    rows = stack_features([np.zeros(3), np.ones(3)], lambda wave: wave[:2])
    np.testing.assert_array_equal(rows, [[0, 0], [1, 1]])


def test_soundnets_layers_are_summed_up_over_time():
    extractor = SoundNetFeatures(SoundNet().eval(), RATE)
    wave = synthesise("hiss", 0, RATE)
    features, windows = extractor.clip_features(wave), extractor.window_features(wave)
    assert features.shape == (2 * 256 + 2 * 512,) and windows.shape[1] == 256
    # The maximum of the fifth layer over time.
    np.testing.assert_allclose(features[256:512], windows.max(axis=0), rtol=1e-5)


def test_soundnet_reads_no_other_file(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"something else")
    with pytest.raises(ValueError, match="sha256 is"):
        SoundNetFeatures.load(tmp_path / "x.npy", RATE)
