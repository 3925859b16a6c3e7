"""Figures of a bundle on pictures that it was not taught: whether it knows what they show, and whether the sounds that
it makes of them are those of what they show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_export.clipsonic.training.image_conditioning import sound_labels_by_group
from onnx_export.data.images import Picture, read_rgb
from onnx_export.evaluation.clip_sets import TAKE_SECONDS, Heard, make
from onnx_export.evaluation.distances import Value, mean_of
from onnx_export.evaluation.judges import Listeners
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation

FROM_PICTURES, FROM_NAMES = "made from held-out pictures", "made from their groups' names"
MOST_EACH = 2
"""Pictures of one group that clips are made of."""
BATCH = 32


def see(model: Clipsonic, pictures: Sequence[Picture]) -> np.ndarray:
    """Where the image tower puts pictures, float32 (n, size)."""
    parts = [
        model.look([read_rgb(picture.path) for picture in pictures[i : i + BATCH]], Cancellation())
        for i in range(0, len(pictures), BATCH)
    ]
    return np.concatenate(parts)


def judge_image_tower(model: Clipsonic, pictures: Sequence[Picture], groups: Sequence[str]) -> dict[str, Value]:
    """Top-1 and top-5 of each picture's group among `groups` by their names alone; recall at 1 and 5 of captions by
    pictures, and of pictures by captions, captions that are the same counting once."""
    seen = see(model, pictures)
    names = place(model, groups)
    ranks = _ranks(seen @ names.T, [[groups.index(picture.group)] for picture in pictures])
    captions = sorted({picture.caption for picture in pictures})
    likeness = seen @ place(model, captions).T
    own = [captions.index(picture.caption) for picture in pictures]
    told = _ranks(likeness, [[caption] for caption in own])
    found = _ranks(likeness.T, [[i for i, c in enumerate(own) if c == row] for row in range(len(captions))])
    figures = {f"top-{k}": mean_of(ranks < k) for k in (1, 5)}
    figures |= {f"caption by picture, first {k}": mean_of(told < k) for k in (1, 5)}
    return figures | {f"picture by caption, first {k}": mean_of(found < k) for k in (1, 5)}


def place(model: Clipsonic, texts: Sequence[str]) -> np.ndarray:
    """Where the text tower puts texts, float32 (n, size)."""
    return np.concatenate([model.embed(text.lower(), Cancellation()) for text in texts])


def _ranks(likeness: np.ndarray, right: Sequence[Sequence[int]]) -> np.ndarray:
    """Place of the best right column of each row, (n,), 0 for the first."""
    best = np.array([row[columns].max() for row, columns in zip(likeness, right, strict=True)])
    return (likeness > best[:, None]).sum(axis=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """A clip, and the labels of which any is right."""

    heard: Heard
    right: tuple[str, ...]


def judged_pictures(pictures: Sequence[Picture], labels: Sequence[str]) -> list[tuple[Picture, tuple[str, ...]]]:
    """Up to two of each group that some judged label belongs to, with those labels."""
    groups = {group: tuple(s for s in sounds if s in labels) for group, sounds in sound_labels_by_group().items()}
    count: dict[str, int] = {}
    chosen = []
    for picture in pictures:
        right = groups.get(picture.group, ())
        if right and count.get(picture.group, 0) < MOST_EACH:
            count[picture.group] = count.get(picture.group, 0) + 1
            chosen.append((picture, right))
    return chosen


def show(
    model: Clipsonic, chosen: Sequence[tuple[Picture, tuple[str, ...]]], ways: Sequence[str] = ("",)
) -> dict[str, list[Shown]]:
    """A clip of each picture, and of each picture's group by name alone, by each of `ways`."""

    def clip(right: tuple[str, ...], prompt: str, seed: int, images: tuple[str, ...] = (), via: str = "") -> Shown:
        wave = make(model, prompt, TAKE_SECONDS, 500 + seed, images, via)
        return Shown(Heard(wave, right[0], prompt, ""), right)

    shown = {
        FROM_PICTURES: [clip(right, "", i, images=(str(p.path),)) for i, (p, right) in enumerate(chosen)],
    }
    for way in ways:
        name = f"{FROM_NAMES}, by {way}" if way else FROM_NAMES
        shown[name] = [clip(right, p.group, i, via=way) for i, (p, right) in enumerate(chosen)]
    return shown


def hits(listeners: Listeners, rows: np.ndarray, shown: Sequence[Shown]) -> dict[str, Value]:
    """Share of the listeners that have a right label first, and among their first five."""
    found: dict[int, list[float]] = {1: [], 5: []}
    for row, clip in zip(rows, shown, strict=True):
        n = len(clip.right)
        ranks = listeners.ranks(np.repeat(row[None], n, axis=0), clip.right, [None] * n).min(axis=0)
        for k, values in found.items():
            values.append(float((ranks < k).mean()))
    return {f"top-{k}": mean_of(values) for k, values in found.items()}
