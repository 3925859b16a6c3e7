"""Band statistics of labels, measured on the training split."""

import numpy as np
import pytest

from onnx_export.clipsonic.export.band_statistics import N_AXES, measure_band_statistics
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(n_mels=4)


def test_a_label_has_the_mean_of_its_training_recordings():
    """The mel of sound i is around -i: labels at 0 and -1, and at -2 in the test split."""
    sounds = [sound("a"), sound("b", number=1), sound("a", "test")]
    statistics = measure_band_statistics(dataset(sounds, [200, 200, 200], MEL), ["b", "a"])
    # First the mean of every band, then its deviation.
    np.testing.assert_allclose(statistics.centres[:, :4], [[-1] * 4, [0] * 4], atol=0.05)
    np.testing.assert_allclose(statistics.centres[:, 4:], 0.1, atol=0.03)
    assert statistics.axes.shape == (0, 8)
    with pytest.raises(KeyError, match="c"):
        measure_band_statistics(dataset(sounds, [9, 9, 9], MEL), ["c"])


def test_pieces_of_one_recording_count_once():
    sounds = [sound("a"), sound("a"), sound("a", number=1)]
    statistics = measure_band_statistics(dataset(sounds, [200] * 3, MEL), ["a"])
    # Two pieces at 0 and -1 are one recording at -0.5; the other is at -2.
    np.testing.assert_allclose(statistics.centres[0, :4], (-0.5 - 2) / 2, atol=0.05)


def test_axes_are_of_labels_with_enough_recordings():
    sounds = [sound("a", number=i) for i in range(5)]
    statistics = measure_band_statistics(dataset(sounds, [200] * 5, MEL), ["a"])
    assert statistics.axes.shape == (min(N_AXES, 5), 8)
    # The recordings differ by their level: all bands together, by the deviation of 0 to -4.
    np.testing.assert_allclose(np.abs(statistics.axes[0, :4]), np.sqrt(2), atol=0.05)


def test_ten_seconds_are_measured():
    data = dataset([sound("a")], [2000], MEL)
    data.mels[860:] = -9
    np.testing.assert_allclose(measure_band_statistics(data, ["a"]).centres[0, :4], 0, atol=0.05)
