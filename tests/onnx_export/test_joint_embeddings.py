"""Joint embeddings by their tags: names, both towers of a tiny random model of open_clip, and what is refused."""

import hashlib

import numpy as np
import pytest

from onnx_export.joint_embeddings import embedding_name, load_open_clip, open_embedding
from tests.support.tiny_clip import SIDE, SIZE, tiny_tag


@pytest.fixture(scope="module")
def tag(tmp_path_factory):
    return tiny_tag(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def embedding(tag):
    return open_embedding(tag)


def pictures(n):
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (40 + i, 60, 3), dtype=np.uint8) for i in range(n)]


def test_a_file_of_weights_names_the_embedding_by_its_checksum(tag, embedding):
    with open(tag.partition(":")[2], "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    assert embedding.name == embedding_name(tag) == f"open_clip/tiny-clip/{checksum[:12]}"
    assert (embedding.size, embedding.picture_side) == (SIZE, SIDE)


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("ViT-L-14:openai", "open_clip/ViT-L-14/openai"),
        ("ViT-L-14-quickgelu:openai", "open_clip/ViT-L-14/openai"),
        ("hf-hub:laion/CLIP-ViT-B-32", "open_clip/laion/CLIP-ViT-B-32"),
        ("clipsonic-mini", "clipsonic-mini-384"),
    ],
)
def test_names_of_tags(tag, name):
    assert embedding_name(tag) == name


@pytest.mark.parametrize("tag", ["", "ViT-L-14", ":openai", "ViT-L-14:"])
def test_what_is_no_tag_is_told(tag):
    with pytest.raises(ValueError, match="expected MODEL:WEIGHTS"):
        embedding_name(tag)


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("ViT-Z-1:openai", "no model 'ViT-Z-1'"),
        ("ViT-L-14:nonesuch", "'nonesuch' is no file and none of the weights known: openai"),
        ("gone.json:openai", r"gone\.json is not there"),
        ("clipsonic-mini", r"image\.pt is not there"),
    ],
)
def test_what_cannot_be_opened_is_told(tag, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        open_embedding(tag, runs=tmp_path)


def test_pictures_become_unit_vectors_whatever_their_batch(embedding):
    seen = pictures(70)
    vectors = embedding.embed_pictures(seen)
    assert vectors.shape == (70, SIZE) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[65], embedding.embed_pictures(seen[65:66])[0], atol=1e-5)
    assert embedding.embed_pictures([]).shape == (0, SIZE)


def test_pictures_are_what_open_clip_makes_of_them(tag, embedding):
    import torch
    from open_clip import get_model_preprocess_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    model = load_open_clip(tag).model
    prepare = image_transform_v2(PreprocessCfg(**get_model_preprocess_cfg(model)), is_train=False)
    (seen,) = pictures(1)
    with torch.inference_mode():
        expected = model.encode_image(prepare(Image.fromarray(seen))[None], normalize=True)[0].numpy()
    assert embedding.embed_pictures([seen])[0] @ expected > 0.999


def test_words_become_unit_vectors(embedding):
    vectors = embedding.embed_texts(["a dog barks", "rain", "a dog barks"])
    assert vectors.shape == (3, SIZE) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
