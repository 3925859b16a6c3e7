"""HiFi-GAN: the layout of its checkpoint, and lengths."""

import numpy as np
import pytest
import torch

from onnx_export.evaluation.references.hifigan import MEL, HifiGan, load_hifigan, resynthesise
from tests.support.corpus import synthesise

RATE = 44100


def save(network, path, scale):
    """A checkpoint with weight norm, whose lengths are multiplied by `scale`."""
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("weight"):
            length = torch.linalg.vector_norm(value, dim=(1, 2), keepdim=True)
            state |= {f"{name}_g": scale * length, f"{name}_v": value}
        else:
            state[name] = value
    torch.save({"generator": state}, path)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return HifiGan(channels=16)


def test_weights_are_read_with_their_norms_apart(network, tmp_path):
    save(network, tmp_path / "g.pth", 2)
    loaded = load_hifigan(tmp_path / "g.pth", channels=16)
    for name, value in network.state_dict().items():
        expected = 2 * value if name.endswith("weight") else value
        torch.testing.assert_close(loaded.state_dict()[name], expected)
    copy = resynthesise(loaded, synthesise("hum", 1, RATE), RATE)
    assert len(copy) == 22050 // 256 * 256 + 256


def test_each_frame_becomes_a_hop_of_samples(network):
    with torch.no_grad():
        samples = network(torch.randn(2, MEL.n_mels, 5))
    assert samples.shape == (2, 5 * MEL.hop)
    assert float(samples.abs().max()) <= 1


def test_a_checkpoint_of_another_size_is_refused(network, tmp_path):
    save(network, tmp_path / "g.pth", 1)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_hifigan(tmp_path / "g.pth", channels=32)


def test_resynthesis_is_the_same_each_time(network):
    wave = synthesise("clicks", 1, RATE)
    np.testing.assert_array_equal(resynthesise(network, wave, RATE), resynthesise(network, wave, RATE))
