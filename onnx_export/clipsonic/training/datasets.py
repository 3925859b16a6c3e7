"""The data that the family is trained on: paths, the sound dataset with its conditionings, texts for the tower."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from onnx_export.clipsonic.models.clap import Clap, ClapSize
from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize, embed_texts, token_texts
from onnx_export.clipsonic.training.conditioning import LabelConditioning
from onnx_export.clipsonic.training.embedding_space import SoundSpace, caption_wordings, label_wordings, unit
from onnx_export.clipsonic.training.image_conditioning import ImageDataset
from onnx_export.clipsonic.training.text_tower import DistillationSet
from onnx_export.data.images import Picture, read_pictures, training_pictures, validation_pictures
from onnx_export.data.sentence_encoder import SentenceEncoder
from onnx_export.data.sounds import Sound, SoundDataset, open_sound_dataset, read_catalog
from onnx_export.data.texts import read_captions, read_labels, read_ontology, read_wordnet
from onnx_export.training.checkpoint import load_ema
from plugin_server.audio.spectral import MelSettings

CACHE_FOLDER = "cache"
GLOSS_INTERVAL = 3
"""One gloss in three of WordNet is enough; all its words are used."""
SHARES = {"labels": 0.30, "captions": 0.35, "classes": 0.08, "words": 0.17, "glosses": 0.10}
"""Share of each kind of text in a batch of the text tower."""


@dataclass(frozen=True, slots=True)
class DataPaths:
    """Files and folders of the training data. None is part of the project, and none is needed for serving."""

    corpus: Path | None
    """Folder with catalog.csv and its sounds."""
    runs: Path
    """Folder for checkpoints and caches."""
    images: Path | None = None
    """Folder with catalog.csv and its pictures."""
    imagenet: Path | None = None
    """EfficientNet-Lite0's weights, the teacher of the image tower."""
    minilm: Path | None = None
    """Folder with MiniLM's config.json, tokenizer.json and model.safetensors."""
    captions: Path | None = None
    """Captions of sounds, one a line."""
    ontology: Path | None = None
    """The AudioSet ontology's JSON."""
    labels: Path | None = None
    """VGGSound's table of class names."""
    wordnet: Path | None = None
    """WordNet's `dict` folder."""
    licences: str = "all"
    """'all' that may be shared, or 'permissive'."""
    mel: MelSettings = field(default_factory=MelSettings)

    def need(self, name: str) -> Path:
        """Return a file or folder by the name of its field. Raises ValueError when it is not named."""
        path = getattr(self, name)
        if path is None:
            raise ValueError(f"--{name} is needed for this")
        return path

    def sounds(self) -> list[Sound]:
        """Read the catalogue's rows that may be used. Raises ValueError when its folder is not named."""
        return read_catalog(self.need("corpus"), self.licences)

    def sound_dataset(self) -> SoundDataset:
        """Open all sounds with their features; this reads the catalogue, and nothing else needs to."""
        return open_sound_dataset(self.sounds(), self.runs / CACHE_FOLDER, self.mel)

    def pictures(self) -> list[Picture]:
        """Read the pictures that may be trained on. Raises ValueError when their folder is not named."""
        return training_pictures(read_pictures(self.need("images")), self.licences)

    def held_out_pictures(self) -> list[Picture]:
        """Read the pictures of the same licences that are not trained on."""
        return validation_pictures(read_pictures(self.need("images")), self.licences)

    def image_dataset(self) -> ImageDataset:
        """Embed the training pictures by the trained image tower. Raises ValueError where there is none."""
        return self._embedded(self.pictures())

    def held_out_image_dataset(self) -> ImageDataset | None:
        """Embed the pictures that are not trained on; None where there are none."""
        pictures = self.held_out_pictures()
        return self._embedded(pictures) if pictures else None

    def _embedded(self, pictures: Sequence[Picture]) -> ImageDataset:
        tower = self.runs / "image.pt"
        if not tower.exists():
            raise ValueError(f"{tower} is not there: train image first")
        return ImageDataset(pictures, tower, self.runs / CACHE_FOLDER)


def load_text_tower(path: Path) -> TextTower:
    """Load the text tower of some runs. Raises ValueError where none was trained yet."""
    if not path.exists():
        raise ValueError(f"{path} is not there: train text first")
    tower = TextTower(TextTowerSize())
    load_ema(path, tower)
    return tower


def text_conditioning(dataset: SoundDataset, paths: DataPaths) -> LabelConditioning:
    """Return the embeddings of each sound's wordings, computed once and stored among the runs."""
    targets, tower_path = TextTargets(paths, dataset.sounds), paths.runs / "text.pt"
    key = hashlib.blake2s(tower_path.read_bytes() if tower_path.exists() else b"")
    key.update(repr((targets.wordings, targets.captions)).encode())
    stored = paths.runs / CACHE_FOLDER / f"wordings-{key.hexdigest()[:12]}.npz"
    if not stored.exists():
        # Tens of thousands of texts through two encoders: minutes, and the same each time.
        embeddings = targets.embed_wordings(load_text_tower(tower_path) if tower_path.exists() else None)
        # For type checkers a label might be numpy's own argument `allow_pickle`.
        np.savez(stored, **embeddings)  # type: ignore[arg-type]
    with np.load(stored) as arrays:
        return LabelConditioning(dataset, {label: arrays[label].astype(np.float32) for label in arrays.files})


def image_conditioning(dataset: SoundDataset, paths: DataPaths) -> LabelConditioning:
    """Return the image tower's embeddings of pictures of each sound's source."""
    return LabelConditioning(dataset, paths.image_dataset().by_sound_label(), ("image",))


def clap_conditioning(dataset: SoundDataset, paths: DataPaths) -> LabelConditioning:
    """Return the embeddings of each sound's wordings, moved by the contrastive model."""
    clap, words = Clap(ClapSize()), text_conditioning(dataset, paths)
    load_ema(paths.runs / "clap.pt", clap)
    with torch.no_grad():
        moved = {name: clap.words(torch.from_numpy(rows)).numpy() for name, rows in words.embeddings.items()}
    return LabelConditioning(dataset, moved)


class TextTargets:
    """Texts with the embeddings they should get, computed when asked for and stored among the runs."""

    def __init__(self, paths: DataPaths, sounds: Sequence[Sound]):
        """Raise ValueError when the teacher or the captions are not named."""
        if paths.minilm is None or paths.captions is None:
            raise ValueError("--minilm and --captions are needed to train the text tower or the denoiser")
        self.paths = paths
        self.wordings = label_wordings(sounds)
        self.labels = sorted(self.wordings)
        self.captions = read_captions(paths.captions)

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.paths.need("minilm"))

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return the teacher's sentence embeddings, float32 (n, 384)."""
        return self._encoder.encode_cached(texts, self.paths.runs / CACHE_FOLDER)

    def _label_texts(self) -> list[str]:
        return [text for label in self.labels for text in self.wordings[label]]

    @cached_property
    def _label_vectors(self) -> dict[str, np.ndarray]:
        ends = np.cumsum([len(self.wordings[label]) for label in self.labels])[:-1]
        return dict(zip(self.labels, np.split(self.vectors(self._label_texts()), ends), strict=True))

    @cached_property
    def space(self) -> SoundSpace:
        """The joint embedding, anchored at the sounds' labels."""
        return SoundSpace(unit(np.stack([self._label_vectors[label].mean(axis=0) for label in self.labels])))

    def embed_wordings(self, tower: TextTower | None = None) -> Mapping[str, np.ndarray]:
        """Return each label's embeddings (n, 384): of its own wordings, and of captions that others wrote for the like.

        With a trained tower, its own embedding of each stands beside the target: the denoiser is trained on what it
        will be asked with.
        """
        vectors = self.vectors(self.captions)
        captions_of = caption_wordings(self.labels, self.space.anchors, self.captions, vectors)
        row = {caption: i for i, caption in enumerate(self.captions)}
        embeddings = {}
        for label in self.labels:
            captions = captions_of.get(label, [])
            own = np.concatenate([self._label_vectors[label], vectors[[row[text] for text in captions]]])
            embeddings[label] = self.space.project(own)
            if tower:
                by_tower = embed_texts(tower, [*self.wordings[label], *captions])
                embeddings[label] = np.concatenate([embeddings[label], by_tower])
        return embeddings

    def distillation_sets(self) -> list[DistillationSet]:
        """Return texts for the tower with their embeddings, and their share of a batch."""
        texts = {"labels": self._label_texts(), "captions": self.captions}
        classes = read_ontology(self.paths.ontology) if self.paths.ontology else []
        classes += read_labels(self.paths.labels) if self.paths.labels else []
        if classes:
            texts["classes"] = classes
        if self.paths.wordnet:
            entries = read_wordnet(self.paths.wordnet)
            texts["words"] = [text for text in entries if ":" not in text]
            texts["glosses"] = [text for text in entries if ":" in text][::GLOSS_INTERVAL]
        return [
            DistillationSet(part, self.space.project(self.vectors(part)), SHARES[kind]) for kind, part in texts.items()
        ]

    def token_vectors(self) -> np.ndarray:
        """Return the teacher's vector for each token of CLIP's vocabulary, (49408, 384)."""
        return self.vectors(token_texts())
