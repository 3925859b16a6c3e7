"""The inverse STFT in PyTorch and in onnxruntime, beside the server's in numpy."""

import numpy as np
import onnx
import pytest
import torch

from onnx_export.clipsonic.export.bundle import vocoder_graph
from onnx_export.clipsonic.models.inverse_stft import InverseSTFT, inverse_stft
from onnx_export.clipsonic.models.vocoder import SampleVocoder, Vocoder, VocoderSize
from onnx_export.graph.export import export_graph
from plugin_server.audio.spectral import MelSettings, istft
from plugin_server.engine.sessions import Cancellation, GraphSession, SessionOptions

SETTINGS = [MelSettings(), MelSettings(sample_rate=16_000, n_fft=256, hop=128, n_mels=8, f_max_hz=8000)]


def spectra(mel, frames, batch=2):
    rng = np.random.default_rng(frames)
    return rng.standard_normal((batch, 2, mel.n_bins, frames)).astype(np.float32)


@pytest.mark.parametrize("mel", SETTINGS, ids=["44 kHz", "16 kHz"])
@pytest.mark.parametrize("frames", [1, 2, 5, 40])
def test_all_inverses_are_the_servers(mel, frames):
    both = spectra(mel, frames)
    expected = np.stack([istft(real + 1j * imaginary, mel) for real, imaginary in both])
    by_fft = inverse_stft(torch.from_numpy(both), mel).numpy()
    real, imaginary = torch.from_numpy(both).transpose(2, 3).unbind(1)
    by_products = InverseSTFT(mel)(real, imaginary).numpy()
    for found in (by_fft, by_products):
        assert found.shape == (2, frames * mel.hop)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_inverse_can_be_differentiated():
    mel = SETTINGS[1]
    both = torch.from_numpy(spectra(mel, 6)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: inverse_stft(x, mel).sum(dim=0), both.double().detach().requires_grad_())


def test_a_vocoders_graph_gives_the_samples_of_its_spectrum(tmp_path):
    """The graph has one size of file, whatever its transform: the matrices are computed when it is opened."""
    mel, frames = MelSettings(), 37
    torch.manual_seed(0)
    vocoder = Vocoder(mel, VocoderSize(width=16, depth=1, hidden=16)).eval()
    graph = export_graph(vocoder_graph(vocoder), tmp_path / "vocoder.onnx", fp16=False)
    assert [tensor.name for tensor in graph.outputs] == ["samples"]
    log_mel = torch.randn(1, mel.n_mels, frames) * 2 - 5
    session = GraphSession(tmp_path / "vocoder.onnx", graph, SessionOptions(threads=1))
    found = session.run({"log_mel": log_mel.numpy()}, Cancellation())[0]
    with torch.no_grad():
        spectrum = vocoder(log_mel)[0].numpy()
        direct = SampleVocoder(vocoder)(log_mel).numpy()
    expected = istft(spectrum[0] + 1j * spectrum[1], mel)
    assert found.shape == (1, frames * mel.hop)
    np.testing.assert_allclose(found[0], expected, atol=3e-5 * np.abs(expected).max())
    np.testing.assert_allclose(direct[0], expected, atol=3e-5 * np.abs(expected).max())
    weights = sum(len(tensor.raw_data) for tensor in onnx.load(tmp_path / "vocoder.onnx").graph.initializer)
    assert weights < 2 * sum(4 * p.numel() for p in vocoder.parameters())
