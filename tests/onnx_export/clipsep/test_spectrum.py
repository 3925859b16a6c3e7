import numpy as np
import pytest
import torch

from onnx_export.clipsep.spectrum import StftSettings, band_edges, band_matrix, bin_matrix, stft
from plugin_server.audio.spectral import MelSettings
from plugin_server.audio.spectral import stft as numpy_stft

SETTINGS = StftSettings()


def test_bands_cover_every_bin_once():
    edges = band_edges(SETTINGS)
    assert edges[0] == 0 and edges[-1] == SETTINGS.n_bins and len(edges) == SETTINGS.n_bands + 1
    assert (np.diff(edges) >= 1).all()
    assert (np.diff(edges)[:56] == 1).all()


def test_bands_average_their_bins():
    np.testing.assert_allclose(band_matrix(SETTINGS).sum(axis=1), 1, rtol=1e-6)


def test_a_mask_of_equal_bands_is_equal_in_all_bins():
    np.testing.assert_allclose(bin_matrix(SETTINGS).sum(axis=1), 1, rtol=1e-6)


def test_too_few_bands_are_refused():
    with pytest.raises(ValueError, match="n_bands is 50, expected 57 to 513"):
        band_edges(StftSettings(n_bands=50))


def test_spectrum_is_that_of_the_server():
    samples = np.random.default_rng(0).standard_normal(256 * 20).astype(np.float32)
    expected = numpy_stft(samples, MelSettings(sample_rate=22_050, n_fft=1024, hop=256))
    found = stft(torch.from_numpy(samples)[None], SETTINGS)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)
