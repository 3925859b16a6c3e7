"""Sounds as if they had been filmed: pictures of what makes them, of the same sounding group, in place of frames."""

import hashlib
import logging
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from onnx_export.clipsonic.models.image_tower import ImageTower, ImageTowerSize, embed_views
from onnx_export.clipsonic.models.text_tower import TextTower, embed_texts
from onnx_export.clipsonic.training.prior import Pairs
from onnx_export.data.images import Picture, read_rgb
from onnx_export.training.checkpoint import load_ema

log = logging.getLogger(__name__)

GROUPS = Path(__file__).parent / "picture_group_sounds.toml"
N_VIEWS = 4
"""Of each picture: the whole, and crops as a camera that moves would take them."""


def sound_labels_by_group() -> dict[str, list[str]]:
    """Sounding group of pictures to the labels of sounds that it would be heard with."""
    return tomllib.loads(GROUPS.read_text("utf-8"))


class ImageDataset:
    """Pictures that may teach, seen by a trained image tower."""

    def __init__(self, pictures: Sequence[Picture], tower: Path, cache: Path, size: ImageTowerSize | None = None):
        """`tower` is its checkpoint, of the usual size unless told; what it sees is kept in the folder `cache`."""
        self.pictures, self._path, self._size = list(pictures), tower, size or ImageTowerSize()
        self._seen = self._see(cache)

    def _see(self, folder: Path) -> np.ndarray:
        """Embeddings of views of each picture, float32 (n, views, size); the first view is the whole picture."""
        names = repr([picture.path.name for picture in self.pictures]).encode()
        key = hashlib.blake2s(self._path.read_bytes() + names + bytes([N_VIEWS])).hexdigest()[:12]
        path = folder / f"seen-{key}.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            tower = ImageTower(self._size)
            load_ema(self._path, tower)
            log.info("looking at %d pictures", len(self.pictures))
            np.save(path, np.stack([embed_views(tower, read_rgb(p.path), N_VIEWS) for p in self.pictures]))
        return np.load(path)

    def by_label(self) -> dict[str, np.ndarray]:
        """Label of a sound to the embeddings (n, size) of the pictures that stand for its frames. Labels of groups
        without a picture are left out."""
        found: Mapping[str, list[np.ndarray]] = defaultdict(list)
        groups = sound_labels_by_group()
        for picture, rows in zip(self.pictures, self._seen, strict=True):
            for label in groups.get(picture.group, ()):
                found[label].append(rows)
        return {label: np.concatenate(rows) for label, rows in found.items()}

    def captioned(self, tower: TextTower) -> Pairs:
        """Each picture with its label, caption and group, by the text tower: what a prior is taught that never meets
        a sound (PD). Groups with many pictures do not outweigh the others."""
        texts = [list(dict.fromkeys(t.lower() for t in (p.label, p.caption, p.group) if t)) for p in self.pictures]
        placed = embed_texts(tower, [text for row in texts for text in row])
        words = np.split(placed, np.cumsum([len(row) for row in texts])[:-1])
        names = [p.group or p.label for p in self.pictures]
        counts = {name: names.count(name) for name in set(names)}
        weights = np.array([counts[name] ** -0.5 for name in names])
        return Pairs(words, list(self._seen), weights / weights.sum())

    def scored(self, wordings: Mapping[str, np.ndarray]) -> Pairs:
        """Each filmed sound's wordings with its pictures: the pairs of the data (SD)."""
        pictures = self.by_label()
        labels = [label for label in pictures if label in wordings]
        weights = np.full(len(labels), 1 / len(labels))
        return Pairs([wordings[label] for label in labels], [pictures[label] for label in labels], weights)
