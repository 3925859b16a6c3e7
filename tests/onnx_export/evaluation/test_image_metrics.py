"""Metrics of pictures, by a model whose embeddings are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from onnx_export.data.images import Picture
from onnx_export.evaluation import image_metrics
from onnx_export.evaluation.clip_sets import CLIP_SECONDS, EvalClip
from onnx_export.evaluation.image_metrics import (
    FROM_NAMES,
    FROM_PICTURES,
    ImageClip,
    embed_pictures,
    embed_texts,
    generate_from_pictures,
    image_tower_metrics,
    select_pictures,
    similarity_ranks,
    top_k_accuracy,
)

GROUPS = ["cat", "cow", "dog"]
COLOURS = {"cat": (255, 0, 0), "cow": (0, 255, 0), "dog": (0, 0, 255)}


class ColourModel:
    """Puts a picture where its colour is, and a text on the colour of its group."""

    def __init__(self):
        self.batches = []

    def embed_images(self, images, cancellation):
        self.batches.append(len(images))
        return np.stack([image.reshape(-1, 3).mean(axis=0) / 255 for image in images]).astype(np.float32)

    def embed_text(self, text, cancellation):
        assert text == text.lower()
        return np.array([[group in text for group in GROUPS]], np.float32)


def picture(folder, group, caption, colour=None):
    path = folder / f"{group}-{caption}.png"
    Image.new("RGB", (8, 6), colour or COLOURS[group]).save(path)
    return Picture(path, group, caption, "photo", group, "us", "CC0", "me", "ok")


@pytest.fixture
def pictures(tmp_path):
    return [picture(tmp_path, group, f"A {group}") for group in GROUPS]


def test_ranks_are_the_numbers_of_better_columns():
    similarity = np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3], [0.4, 0.4, 0.4]])
    assert similarity_ranks(similarity, [[0], [0], [1]]).tolist() == [0, 2, 0]
    # Of several right columns the best counts.
    assert similarity_ranks(similarity, [[2, 1], [0, 1], [0, 1, 2]]).tolist() == [1, 1, 0]


def test_pictures_are_embedded_in_batches_and_in_order(pictures):
    model = ColourModel()
    rows = embed_pictures(model, pictures * 20)
    assert model.batches == [32, 28]
    np.testing.assert_allclose(rows[:3], np.eye(3), atol=0.01)
    np.testing.assert_array_equal(rows[3:6], rows[:3])


def test_texts_are_embedded_in_lower_case():
    np.testing.assert_array_equal(embed_texts(ColourModel(), ["A CAT", "dog"]), [[1, 0, 0], [0, 0, 1]])


def test_a_tower_that_knows_its_pictures_finds_everything(pictures):
    metrics = image_tower_metrics(ColourModel(), pictures, GROUPS)
    assert list(metrics) == [
        "top-1",
        "top-5",
        "caption by picture, first 1",
        "caption by picture, first 5",
        "picture by caption, first 1",
        "picture by caption, first 5",
    ]
    assert all(value.mean == 1 for value in metrics.values())


def test_a_picture_of_the_wrong_colour_is_not_known(tmp_path, pictures):
    pictures[0] = picture(tmp_path, "cat", "A green cat", (0, 200, 0))
    metrics = image_tower_metrics(ColourModel(), pictures, GROUPS)
    assert metrics["top-1"].mean == pytest.approx(2 / 3) and metrics["top-5"].mean == 1
    assert metrics["caption by picture, first 1"].mean == pytest.approx(2 / 3)


def test_captions_that_are_the_same_count_once(tmp_path):
    cats = [picture(tmp_path, "cat", "A cat"), picture(tmp_path, "cat", "A cat", (254, 0, 0))]
    metrics = image_tower_metrics(ColourModel(), [*cats, picture(tmp_path, "dog", "A dog")], GROUPS)
    assert metrics["picture by caption, first 1"].n == 2 and metrics["caption by picture, first 1"].n == 3


def test_two_pictures_of_each_group_that_makes_a_known_sound_are_selected():
    rows = [
        Picture(Path(f"{i}.png"), group, "", "photo", group, "", "", "", "ok")
        for i, group in enumerate(["cat", "cat", "cat", "bat", "no such group"])
    ]
    selection = select_pictures(rows, ["cat purring", "cat meowing", "bus"])
    assert [(p.path.name, labels) for p, labels in selection] == [
        ("0.png", ("cat meowing", "cat purring")),
        ("1.png", ("cat meowing", "cat purring")),
    ]


def test_clips_are_generated_from_pictures_and_from_their_groups_names(pictures, monkeypatch):
    calls = []

    def generate(model, prompt, seconds, seed, images=(), conditioning=""):
        calls.append((prompt, seconds, seed, images, conditioning))
        return np.full(4, seed)

    monkeypatch.setattr(image_metrics, "generate", generate)
    selection = [(pictures[0], ("cat meowing", "cat purring"))]
    rows = generate_from_pictures(SimpleNamespace(), selection, ("text", "pd"))
    assert list(rows) == [FROM_PICTURES, f"{FROM_NAMES}, by text", f"{FROM_NAMES}, by pd"]
    assert calls == [
        ("", CLIP_SECONDS, 500, (str(pictures[0].path),), ""),
        ("cat", CLIP_SECONDS, 500, (), "text"),
        ("cat", CLIP_SECONDS, 500, (), "pd"),
    ]
    (item,) = rows[FROM_PICTURES]
    assert item.labels == ("cat meowing", "cat purring") and item.clip.label == "cat meowing"
    assert list(generate_from_pictures(SimpleNamespace(), selection)) == [FROM_PICTURES, FROM_NAMES]


def test_any_label_of_a_picture_is_right():
    class Classifiers:
        """Four networks that rank label 'b' first, second, sixth and seventh, and 'a' last."""

        def ranks(self, rows, labels, recordings):
            assert recordings == [None] * len(labels)
            return np.array([[0, 1, 5, 6] if label == "b" else [9, 9, 9, 9] for label in labels])

    clips = [ImageClip(EvalClip(np.zeros(1), "a", "", ""), labels) for labels in (("a", "b"), ("a",))]
    accuracy = top_k_accuracy(Classifiers(), np.zeros((2, 3)), clips)
    assert accuracy["top-1"].mean == pytest.approx((1 / 4 + 0) / 2)
    assert accuracy["top-5"].mean == pytest.approx((2 / 4 + 0) / 2)
