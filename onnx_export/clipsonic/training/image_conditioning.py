"""Pictures in place of a video's frames: those of a sound's source, as if the sound had been filmed."""

import hashlib
import logging
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from onnx_export.clipsonic.models.image_tower import ImageTower, ImageTowerSize, embed_views
from onnx_export.clipsonic.models.text_tower import TextTower, embed_texts
from onnx_export.clipsonic.training.prior import EmbeddingPairs
from onnx_export.data.images import Picture, read_rgb
from onnx_export.training.checkpoint import load_ema

log = logging.getLogger(__name__)

GROUPS_PATH = Path(__file__).parent / "picture_group_sounds.toml"
N_VIEWS = 4
"""Views of each picture: the whole, and crops as a camera that moves would take them."""


def sound_labels_by_group() -> dict[str, list[str]]:
    """Return the labels of sounds that each group of pictures would be heard with."""
    return tomllib.loads(GROUPS_PATH.read_text("utf-8"))


class ImageDataset:
    """Pictures with their embeddings by a trained image tower."""

    def __init__(self, pictures: Sequence[Picture], tower: Path, cache: Path, size: ImageTowerSize | None = None):
        """Embed the pictures, or read the embeddings that are stored.

        Args:
            pictures: The pictures, in the order of the embeddings.
            tower: The image tower's checkpoint.
            cache: Folder that the embeddings are stored in.
            size: Shape of the tower; None for the shipped one.
        """
        self.pictures, self._path, self._size = list(pictures), tower, size or ImageTowerSize()
        self._embeddings = self._embed(cache)

    def _embed(self, folder: Path) -> np.ndarray:
        """Return embeddings of views of each picture, float32 (n, views, size); the first view is the whole picture."""
        names = repr([picture.path.name for picture in self.pictures]).encode()
        key = hashlib.blake2s(self._path.read_bytes() + names + bytes([N_VIEWS])).hexdigest()[:12]
        path = folder / f"seen-{key}.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            tower = ImageTower(self._size)
            load_ema(self._path, tower)
            log.info("embedding %d pictures", len(self.pictures))
            np.save(path, np.stack([embed_views(tower, read_rgb(p.path), N_VIEWS) for p in self.pictures]))
        return np.load(path)

    def by_sound_label(self) -> dict[str, np.ndarray]:
        """Return a sound's label to the embeddings (n, size) of the pictures that stand for its frames.

        Labels of groups without a picture are left out.
        """
        rows_of: Mapping[str, list[np.ndarray]] = defaultdict(list)
        groups = sound_labels_by_group()
        for picture, rows in zip(self.pictures, self._embeddings, strict=True):
            for label in groups.get(picture.group, ()):
                rows_of[label].append(rows)
        return {label: np.concatenate(rows) for label, rows in rows_of.items()}

    def caption_pairs(self, tower: TextTower) -> EmbeddingPairs:
        """Return each picture with its label, caption and group as the text tower has them.

        A prior trained on them never meets a sound (PD). Groups with many pictures do not outweigh the others.
        """
        texts = [list(dict.fromkeys(t.lower() for t in (p.label, p.caption, p.group) if t)) for p in self.pictures]
        embeddings = embed_texts(tower, [text for row in texts for text in row])
        words = np.split(embeddings, np.cumsum([len(row) for row in texts])[:-1])
        names = [p.group or p.label for p in self.pictures]
        counts = {name: names.count(name) for name in set(names)}
        weights = np.array([counts[name] ** -0.5 for name in names])
        return EmbeddingPairs(words, list(self._embeddings), weights / weights.sum())

    def sound_pairs(self, wordings: Mapping[str, np.ndarray]) -> EmbeddingPairs:
        """Return the wordings of each sound that has pictures, with these: the pairs of the data (SD)."""
        pictures = self.by_sound_label()
        labels = [label for label in pictures if label in wordings]
        weights = np.full(len(labels), 1 / len(labels))
        return EmbeddingPairs([wordings[label] for label in labels], [pictures[label] for label in labels], weights)
