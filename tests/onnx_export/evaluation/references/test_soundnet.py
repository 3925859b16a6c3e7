"""SoundNet: its layout, its shapes, and that no other file is unpickled."""

import hashlib

import numpy as np
import pytest

from onnx_export.evaluation.references import soundnet
from onnx_export.evaluation.references.soundnet import SoundNet, load_soundnet, soundnet_frames
from tests.support.corpus import synthesise

RATE = 44100


def layer(number, stage):
    """A layer in the layout of the file: TensorFlow's, with one dimension more."""
    rng = np.random.default_rng(number)
    channels, before, kernel = stage[0].weight.shape
    numbers = {
        name: rng.uniform(0.5, 1, channels).astype(np.float32) for name in ("biases", "gamma", "beta", "mean", "var")
    }
    return numbers | {"weights": rng.standard_normal((kernel, 1, before, channels)).astype(np.float32)}


def test_two_layers_are_given_for_each_frame():
    frames = soundnet_frames(SoundNet().eval(), synthesise("hiss", 0, RATE), RATE)
    assert [part.shape[1] for part in frames] == [256, 512]
    assert len(frames[0]) >= 2 * len(frames[1]) - 2 > 0


def test_short_sounds_are_repeated():
    network = SoundNet().eval()
    short = soundnet_frames(network, synthesise("hiss", 0, RATE)[:5000], RATE)
    assert len(short[1]) > 1 and all(np.isfinite(part).all() for part in short)


def test_no_other_file_is_read(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"x\.npy: sha256 is [0-9a-f]{64}, expected 7bef69"):
        load_soundnet(tmp_path / "x.npy")


def test_the_layout_of_the_file_is_that_of_the_network(tmp_path, monkeypatch):
    layers = {f"conv{n}": layer(n, stage) for n, stage in enumerate(SoundNet().stages, 1)}
    path = tmp_path / "sound8.npy"
    np.save(path, np.array(layers, dtype=object), allow_pickle=True)
    monkeypatch.setattr(soundnet, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    network = load_soundnet(path)
    assert not network.training
    for name, stage in zip(layers, network.stages, strict=True):
        weights = layers[name]["weights"]
        assert stage[0].weight[5, 0, 3].item() == weights[3, 0, 0, 5]
        np.testing.assert_array_equal(stage[0].bias.detach(), layers[name]["biases"])
        np.testing.assert_array_equal(stage[1].weight.detach(), layers[name]["gamma"])
        np.testing.assert_array_equal(stage[1].running_var, layers[name]["var"])
