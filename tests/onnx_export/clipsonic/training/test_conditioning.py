"""Kinds of conditioning: which clips have one, and which embedding they get."""

import numpy as np
import pytest

from onnx_export.clipsonic.training.conditioning import FrameConditioning, LabelConditioning, MixedConditioning
from tests.support.sounds import dataset, sound

HISS, HUM = np.eye(1, 8, dtype=np.float32), np.eye(2, 8, 3, dtype=np.float32)


@pytest.fixture
def sounds():
    return dataset([sound("hum"), sound("hiss", number=1), sound("bang", number=2)], [5, 6, 7])


def drawn(conditioning, index, n=60):
    rng = np.random.default_rng(0)
    return {int(conditioning.sample(index, rng).argmax()) for _ in range(n)}


def test_a_clip_gets_the_embeddings_of_its_own_label(sounds):
    conditioning = LabelConditioning(sounds, {"hiss": HISS, "hum": HUM})
    assert [conditioning.has(i) for i in range(3)] == [True, True, False]
    assert drawn(conditioning, 0) == {3, 4} and drawn(conditioning, 1) == {0}
    assert conditioning.size == 8 and conditioning.kinds == ("text",)


def test_the_labels_are_those_of_the_dataset_itself(sounds):
    """Clips in another order have their embeddings in that order: nothing is aligned by a second reading."""
    turned = dataset(sounds.sounds[::-1], [7, 6, 5])
    conditioning = LabelConditioning(turned, {"hiss": HISS, "hum": HUM})
    assert [conditioning.has(i) for i in range(3)] == [False, True, True]
    assert drawn(conditioning, 2) == {3, 4}


def test_where_a_clip_has_both_either_is_drawn(sounds):
    words = LabelConditioning(sounds, {"hiss": HISS, "hum": HUM})
    pictures = LabelConditioning(sounds, {"hum": np.eye(1, 8, 6, dtype=np.float32)}, ("image",))
    mixed = MixedConditioning(words, pictures)
    assert mixed.kinds == ("text", "image") and mixed.size == 8 and mixed.dataset is sounds
    assert drawn(mixed, 0) == {3, 4, 6} and drawn(mixed, 1) == {0} and not mixed.has(2)
    assert drawn(MixedConditioning(words, pictures, second_share=1.0), 0) == {6}
    assert drawn(MixedConditioning(words, pictures, second_share=0.0), 0) == {3, 4}


def test_conditionings_of_two_datasets_do_not_mix(sounds):
    other = dataset(sounds.sounds, [5, 6, 7])
    with pytest.raises(ValueError, match="different datasets"):
        MixedConditioning(LabelConditioning(sounds, {"hum": HUM}), LabelConditioning(other, {"hum": HUM}))
    with pytest.raises(ValueError, match="of 8 and 5 numbers"):
        MixedConditioning(LabelConditioning(sounds, {"hum": HUM}), LabelConditioning(sounds, {"hum": np.eye(1, 5)}))


class Videos:
    n_embedding = 24

    def frames(self, index):
        return np.eye(3, 24, index, dtype=np.float16)


def test_a_video_gets_its_own_frames():
    conditioning = FrameConditioning(Videos())
    assert conditioning.size == 24 and conditioning.has(0) and conditioning.kinds == ("image",)
    assert drawn(conditioning, 4) == {4, 5, 6}
    assert conditioning.sample(4, np.random.default_rng(0)).dtype == np.float32
