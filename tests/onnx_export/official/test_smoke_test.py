"""The smoke test: a whole bundle passes, one whose numbers or shapes are wrong does not."""

import numpy as np
import onnx
import pytest

from onnx_export.official.smoke_test import run_smoke_test
from plugin_server.engine.bundles.card import Embedding
from plugin_server.engine.bundles.registry import open_bundle
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.errors import BundleDamaged
from tests.support.toys import change_card, write_toy


@pytest.fixture
def folder(tmp_path):
    return write_toy(tmp_path, "new", pictures=True)


def test_a_whole_bundle_passes(folder, monkeypatch):
    calls = []
    words = Clipsonic.embed_prompt
    monkeypatch.setattr(
        Clipsonic, "embed_prompt", lambda self, *arguments: calls.append(arguments[1]) or words(self, *arguments)
    )
    run_smoke_test(open_bundle(folder))
    # Each conditioning by itself, then that of the clip.
    assert calls[:2] == ["text", "pd"]


def test_numbers_that_are_none_are_noticed(folder):
    graph = onnx.load(folder / "vocoder.onnx")
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "spread")
    nothing = np.full(tuple(tensor.dims), np.nan, np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(nothing, "spread"))
    onnx.save(graph, folder / "vocoder.onnx")
    with pytest.raises(ValueError, match=r"clip: the new bundle gives numbers that are none; are the weights whole\?"):
        run_smoke_test(open_bundle(folder))


def test_an_embedding_of_another_size_is_noticed(folder, monkeypatch):
    def embed_images(self, images, cancellation):
        return np.zeros((1, 5), np.float32)

    monkeypatch.setattr(Clipsonic, "embed_images", embed_images)
    with pytest.raises(ValueError, match=r"image_tower: gives \(1, 5\), expected \(1, 6\)"):
        run_smoke_test(open_bundle(folder))


def test_a_graph_that_does_not_fit_its_card_is_not_opened(folder):
    change_card(folder, embedding=Embedding("toy-7", 7))
    with pytest.raises(BundleDamaged):
        run_smoke_test(open_bundle(folder))
