"""Vocoders that give samples, as BigVGAN does, beside those that give a spectrum."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plugin_server.engine.bundles.card import TensorSpec
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import open_bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.interface import ignore_progress
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation, SessionOptions
from plugin_server.errors import BundleDamaged
from tests.support.toys import MEL, change_card, write_toy


def write_samples_vocoder(place, output="samples"):
    """Put a vocoder into a toy whose every frame sounds into both of its neighbours."""
    hop = MEL.hop
    kernel = np.random.default_rng(3).standard_normal((MEL.n_mels, 1, 3 * hop)).astype(np.float32) / 50
    nodes = [
        helper.make_node("ConvTranspose", ["log_mel", "kernel"], ["wave"], strides=[hop], pads=[hop, hop]),
        helper.make_node("Squeeze", ["wave", "axis"], [output]),
    ]
    constants = [onnx.numpy_helper.from_array(kernel, "kernel"), onnx.numpy_helper.from_array(np.array([1]), "axis")]
    shape = ["batch", MEL.n_mels, "frames"]
    graph = helper.make_graph(
        nodes,
        "vocoder",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "frames"])],
        constants,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), place / "vocoder.onnx"
    )
    graphs = dict(read_card(place).graphs)
    outputs = (TensorSpec(output, "tensor(float)", ("batch", "frames")),)
    change_card(place, graphs=graphs | {"vocoder": replace(graphs["vocoder"], outputs=outputs)})


@pytest.fixture
def toy(tmp_path):
    place = write_toy(tmp_path, pictures=True)
    write_samples_vocoder(place)
    return load(open_bundle(place), SessionOptions(threads=1))


def test_samples_are_taken_as_they_are(toy):
    mel = np.random.default_rng(0).standard_normal((MEL.n_mels, 12)).astype(np.float32)
    samples = toy.vocode(mel, Cancellation())
    assert samples.shape == (12 * MEL.hop,)
    straight = toy.vocoder.run({"log_mel": mel[None]}, Cancellation())[0][0]
    np.testing.assert_array_equal(samples, straight)


@pytest.mark.parametrize("frames", [3, 12, 100])
def test_the_end_of_a_loop_joins_its_start(toy, frames):
    mel = np.random.default_rng(0).standard_normal((MEL.n_mels, frames)).astype(np.float32)
    loop = toy.vocode(mel, Cancellation(), loop=True)
    rounds = toy.vocode(np.tile(mel, 3), Cancellation())
    assert loop.shape == (frames * MEL.hop,)
    np.testing.assert_allclose(loop, rounds[len(loop) : 2 * len(loop)], atol=1e-5)
    assert not np.allclose(loop, toy.vocode(mel, Cancellation()), atol=1e-3)


@pytest.mark.parametrize("more", [{}, {"stereo": 0.5}, {"loop": True}])
def test_clips_are_made(toy, more):
    order = GenerationParams("sea waves", "", 0.5, 3, 2, 2.0, **more)
    samples = toy.run(order, ignore_progress, Cancellation()).samples
    assert samples.shape[1] == (2 if "stereo" in more else 1)
    assert np.isfinite(samples).all() and np.abs(samples).max() > 0.01


def test_a_vocoder_that_gives_something_else_is_refused(tmp_path):
    place = write_toy(tmp_path)
    write_samples_vocoder(place, "noises")
    with pytest.raises(BundleDamaged, match="gives 'noises', expected 'spectrum' or 'samples'"):
        load(open_bundle(place), SessionOptions(threads=1))
