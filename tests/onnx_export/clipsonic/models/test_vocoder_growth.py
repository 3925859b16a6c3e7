"""Larger vocoders that begin with the function of a smaller one."""

import pytest
import torch

from onnx_export.clipsonic.models.vocoder import Vocoder, VocoderSize
from onnx_export.clipsonic.models.vocoder_growth import grow
from plugin_server.audio.spectral import MelSettings

MEL = MelSettings(sample_rate=16_000, n_fft=256, hop=128, n_mels=8, f_max_hz=8000)
SMALL = VocoderSize(width=8, depth=2, hidden=12, kernel=5)


@pytest.fixture
def small():
    torch.manual_seed(0)
    vocoder = Vocoder(MEL, SMALL)
    for parameter in vocoder.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return vocoder


@pytest.mark.parametrize(
    "size", [VocoderSize(16, 2, 12, 5), VocoderSize(8, 4, 12, 5), VocoderSize(8, 2, 30, 5), VocoderSize(24, 3, 20, 5)]
)
def test_the_function_stays(small, size):
    mel, large = torch.randn(2, 8, 20) - 5, grow(small, size)
    assert large.size == size
    with torch.no_grad():
        torch.testing.assert_close(large(mel), small(mel), atol=1e-3, rtol=1e-4)


def test_copies_of_a_channel_do_not_stay_copies(small):
    large = grow(small, VocoderSize(16, 2, 12, 5))
    (large(torch.randn(2, 8, 20) - 5) ** 2).mean().backward()
    gradient = large.blocks[1].mix_time.weight.grad
    assert not torch.allclose(gradient[:8], gradient[8:], rtol=0.01)


@pytest.mark.parametrize(
    "size", [VocoderSize(12, 2, 12, 5), VocoderSize(8, 1, 12, 5), VocoderSize(8, 2, 6, 5), VocoderSize(8, 2, 12, 7)]
)
def test_what_does_not_fit_is_refused(small, size):
    with pytest.raises(ValueError, match="expected multiples of VocoderSize"):
        grow(small, size)


def test_a_size_is_known_by_its_weights(small):
    assert VocoderSize.of_weights(small.state_dict()) == SMALL
