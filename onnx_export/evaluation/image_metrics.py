"""Metrics of a bundle on pictures that it was not trained on.

They say whether the image tower knows what the pictures show, and whether the clips that are generated from them sound
like it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_export.clipsonic.training.image_conditioning import sound_labels_by_group
from onnx_export.data.images import Picture, read_rgb
from onnx_export.evaluation.clip_sets import CLIP_SECONDS, EvalClip, generate
from onnx_export.evaluation.distances import ConfidenceInterval, bootstrap_mean
from onnx_export.evaluation.judges import TOP_K, LabelClassifiers
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation

FROM_PICTURES, FROM_NAMES = "made from held-out pictures", "made from their groups' names"
MAX_PER_GROUP = 2
"""Pictures of one group that clips are generated from."""
IMAGE_BATCH = 32
FIRST_SEED = 500


def embed_pictures(model: Clipsonic, pictures: Sequence[Picture]) -> np.ndarray:
    """Return the image tower's embeddings of pictures, float32 (n, size)."""
    parts = [
        model.embed_images([read_rgb(picture.path) for picture in pictures[i : i + IMAGE_BATCH]], Cancellation())
        for i in range(0, len(pictures), IMAGE_BATCH)
    ]
    return np.concatenate(parts)


def embed_texts(model: Clipsonic, texts: Sequence[str]) -> np.ndarray:
    """Return the text tower's embeddings of texts in lower case, float32 (n, size)."""
    return np.concatenate([model.embed_text(text.lower(), Cancellation()) for text in texts])


def image_tower_metrics(
    model: Clipsonic, pictures: Sequence[Picture], groups: Sequence[str]
) -> dict[str, ConfidenceInterval]:
    """Return how well the image tower knows pictures, by zero-shot classification and by retrieval.

    These are top-1 and top-5 of each picture's group among `groups` by their names alone, and recall at 1 and 5 of
    captions by pictures and of pictures by captions, where captions that are the same count once.
    """
    image_embeddings = embed_pictures(model, pictures)
    group_embeddings = embed_texts(model, groups)
    own_groups = [[groups.index(picture.group)] for picture in pictures]
    group_ranks = similarity_ranks(image_embeddings @ group_embeddings.T, own_groups)
    captions = sorted({picture.caption for picture in pictures})
    similarity = image_embeddings @ embed_texts(model, captions).T
    own = [captions.index(picture.caption) for picture in pictures]
    caption_ranks = similarity_ranks(similarity, [[caption] for caption in own])
    pictures_of = [[i for i, caption in enumerate(own) if caption == row] for row in range(len(captions))]
    picture_ranks = similarity_ranks(similarity.T, pictures_of)
    metrics = {f"top-{k}": bootstrap_mean(group_ranks < k) for k in TOP_K}
    metrics |= {f"caption by picture, first {k}": bootstrap_mean(caption_ranks < k) for k in TOP_K}
    return metrics | {f"picture by caption, first {k}": bootstrap_mean(picture_ranks < k) for k in TOP_K}


def similarity_ranks(similarity: np.ndarray, right: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the rank (n,) of the best right column of each row of (n, m), 0 for the first."""
    best = np.array([row[columns].max() for row, columns in zip(similarity, right, strict=True)])
    return (similarity > best[:, None]).sum(axis=1)


@dataclass(frozen=True, slots=True)
class ImageClip:
    """A clip of a picture, and the labels of which any is right."""

    clip: EvalClip
    labels: tuple[str, ...]


def select_pictures(pictures: Sequence[Picture], labels: Sequence[str]) -> list[tuple[Picture, tuple[str, ...]]]:
    """Return up to two pictures of each group that some evaluated label belongs to, with those labels."""
    groups = {group: tuple(s for s in sounds if s in labels) for group, sounds in sound_labels_by_group().items()}
    count: dict[str, int] = {}
    selection = []
    for picture in pictures:
        right = groups.get(picture.group, ())
        if right and count.get(picture.group, 0) < MAX_PER_GROUP:
            count[picture.group] = count.get(picture.group, 0) + 1
            selection.append((picture, right))
    return selection


def generate_from_pictures(
    model: Clipsonic, selection: Sequence[tuple[Picture, tuple[str, ...]]], conditionings: Sequence[str] = ("",)
) -> dict[str, list[ImageClip]]:
    """Return by row of the report a clip of each picture, and of each picture's group by name alone.

    Args:
        model: An open bundle.
        selection: Pictures with the labels of which any is right.
        conditionings: The ways in which words become embeddings; each is a row of its own.
    """

    def clip(
        labels: tuple[str, ...], prompt: str, seed: int, images: tuple[str, ...] = (), conditioning: str = ""
    ) -> ImageClip:
        wave = generate(model, prompt, CLIP_SECONDS, FIRST_SEED + seed, images, conditioning)
        return ImageClip(EvalClip(wave, labels[0], prompt, ""), labels)

    rows = {
        FROM_PICTURES: [clip(labels, "", i, images=(str(p.path),)) for i, (p, labels) in enumerate(selection)],
    }
    for conditioning in conditionings:
        name = f"{FROM_NAMES}, by {conditioning}" if conditioning else FROM_NAMES
        rows[name] = [clip(labels, p.group, i, conditioning=conditioning) for i, (p, labels) in enumerate(selection)]
    return rows


def top_k_accuracy(
    classifiers: LabelClassifiers, rows: np.ndarray, clips: Sequence[ImageClip]
) -> dict[str, ConfidenceInterval]:
    """Return the share of classifiers that have a right label first, and among their first five.

    Args:
        classifiers: Trained on the corpus.
        rows: Features (n, m) of the clips.
        clips: The clips with their right labels.
    """
    accuracy: dict[int, list[float]] = {k: [] for k in TOP_K}
    for row, clip in zip(rows, clips, strict=True):
        n = len(clip.labels)
        ranks = classifiers.ranks(np.repeat(row[None], n, axis=0), clip.labels, [None] * n).min(axis=0)
        for k, values in accuracy.items():
            values.append(float((ranks < k).mean()))
    return {f"top-{k}": bootstrap_mean(values) for k, values in accuracy.items()}
