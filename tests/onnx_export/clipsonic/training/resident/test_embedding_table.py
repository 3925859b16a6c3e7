"""Embeddings on the device are those that the conditioning draws."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.training.conditioning import FrameConditioning, LabelConditioning, MixedConditioning
from onnx_export.clipsonic.training.resident.embedding_table import build_embedding_table
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

SOUNDS = dataset([sound("a"), sound("b", number=1), sound("c", number=2)], [9, 9, 9], MelSettings(n_mels=4))
WORDS = {"a": 2 * np.eye(8, dtype=np.float32)[:2], "b": np.eye(8, dtype=np.float32)[2:3]}
PICTURES = {"a": np.eye(8, dtype=np.float32)[3:6], "c": np.eye(8, dtype=np.float32)[6:7]}


def drawn(conditioning, clip, n=900):
    torch.manual_seed(0)
    rows = build_embedding_table(conditioning, torch.device("cpu")).draw(torch.full((n,), clip))
    assert torch.allclose(rows.norm(dim=1), torch.ones(n))
    return (rows.mean(dim=0) * 100).round().int().tolist()


def test_single_wordings_are_drawn():
    words = LabelConditioning(SOUNDS, WORDS)
    assert drawn(words, 0)[0] == pytest.approx(50, abs=5)
    assert drawn(words, 1) == [0, 0, 100, 0, 0, 0, 0, 0]


def test_of_two_kinds_one_is_drawn_where_a_clip_has_both():
    both = MixedConditioning(LabelConditioning(SOUNDS, WORDS), LabelConditioning(SOUNDS, PICTURES, ("image",)), 0.3)
    assert drawn(both, 0) == pytest.approx([35, 35, 0, 10, 10, 10, 0, 0], abs=5)
    assert drawn(both, 1)[2] == 100 and drawn(both, 2)[6] == 100


def test_other_conditions_are_refused():
    with pytest.raises(ValueError, match="expected conditions of labels"):
        build_embedding_table(FrameConditioning(SOUNDS), torch.device("cpu"))
