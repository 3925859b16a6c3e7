"""What the family is taught with: the corpus, the space its words live in, and texts for the tower."""

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
from onnx_export.data.images import Picture, read_pictures, training_pictures
from onnx_export.data.sentence_encoder import SentenceEncoder
from onnx_export.data.sounds import Sound, SoundDataset, open_sound_dataset, read_catalog
from onnx_export.data.texts import read_captions, read_labels, read_ontology, read_wordnet
from onnx_export.training.checkpoint import load_ema
from plugin_server.audio.spectral import MelSettings

CACHE_FOLDER = "cache"
EVERY_GLOSS = 3
"""One gloss in three of WordNet is enough; all its words are used."""


@dataclass(frozen=True, slots=True)
class DataPaths:
    """Where the material lies. None is part of the project, and none is needed for serving."""

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

    def sounds(self) -> list[Sound]:
        """The catalogue's rows that may be used. Raises ValueError when its folder is not named."""
        return read_catalog(self.need("corpus"), self.licences)

    def pictures(self) -> list[Picture]:
        """Those that may teach. Raises ValueError when their folder is not named."""
        return training_pictures(read_pictures(self.need("images")), self.licences)

    def need(self, name: str) -> Path:
        """A file or folder. Raises ValueError when it is not named."""
        path = getattr(self, name)
        if path is None:
            raise ValueError(f"--{name} is needed for this")
        return path

    def image_dataset(self) -> ImageDataset:
        """The pictures as the trained image tower sees them. Raises ValueError where there is none."""
        tower = self.runs / "image.pt"
        if not tower.exists():
            raise ValueError(f"{tower} is not there: train image first")
        return ImageDataset(self.pictures(), tower, self.runs / CACHE_FOLDER)

    def sound_dataset(self) -> SoundDataset:
        """Features of all sounds."""
        return open_sound_dataset(self.sounds(), self.runs / CACHE_FOLDER, self.mel)


def load_text_tower(path: Path) -> TextTower:
    """The text tower of some runs. Raises ValueError where none was trained yet."""
    if not path.exists():
        raise ValueError(f"{path} is not there: train text first")
    tower = TextTower(TextTowerSize())
    load_ema(path, tower)
    return tower


def text_conditioning(sources: DataPaths) -> LabelConditioning:
    """Conditions: where the wordings of a sound lie."""
    material, path = TextTargets(sources), sources.runs / "text.pt"
    key = hashlib.blake2s(path.read_bytes() if path.exists() else b"")
    key.update(repr((material.own, material.captions)).encode())
    kept = sources.runs / CACHE_FOLDER / f"wordings-{key.hexdigest()[:12]}.npz"
    if not kept.exists():
        # Tens of thousands of texts through two encoders: minutes, and the same each time.
        wordings = material.wordings(load_text_tower(path) if path.exists() else None)
        # For type checkers a label might be numpy's own argument `allow_pickle`.
        np.savez(kept, **wordings)  # type: ignore[arg-type]
    with np.load(kept) as arrays:
        embeddings = {label: arrays[label].astype(np.float32) for label in arrays.files}
    return LabelConditioning([sound.label for sound in sources.sounds()], embeddings)


def image_conditioning(sources: DataPaths) -> LabelConditioning:
    """Conditions: what the image tower sees in pictures of what makes the sound."""
    return LabelConditioning(
        [sound.label for sound in sources.sounds()], sources.image_dataset().by_label(), ("image",)
    )


def clap_conditioning(sources: DataPaths) -> LabelConditioning:
    """Conditions: where the contrastive model has the wordings of a sound."""
    clap, words = Clap(ClapSize()), text_conditioning(sources)
    load_ema(sources.runs / "clap.pt", clap)
    with torch.no_grad():
        moved = {name: clap.words(torch.from_numpy(rows)).numpy() for name, rows in words.embeddings.items()}
    return LabelConditioning(words.labels, moved)


class TextTargets:
    """Sentences with their vectors, made when asked for and kept on disk."""

    def __init__(self, sources: DataPaths):
        """Raises ValueError when the teacher or the captions are not named."""
        if sources.minilm is None or sources.captions is None:
            raise ValueError("--minilm and --captions are needed to train the text tower or the denoiser")
        self.sources = sources
        self.own = label_wordings(sources.sounds())
        self.labels = sorted(self.own)
        self.captions = read_captions(sources.captions)

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.sources.need("minilm"))

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Sentence embeddings, float32 (n, 384)."""
        return self._encoder.encode_cached(texts, self.sources.runs / CACHE_FOLDER)

    @cached_property
    def _own_vectors(self) -> dict[str, np.ndarray]:
        flat = [text for label in self.labels for text in self.own[label]]
        ends = np.cumsum([len(self.own[label]) for label in self.labels])[:-1]
        return dict(zip(self.labels, np.split(self.vectors(flat), ends), strict=True))

    @cached_property
    def space(self) -> SoundSpace:
        """The joint embedding, anchored at the corpus' labels."""
        return SoundSpace(unit(np.stack([self._own_vectors[label].mean(axis=0) for label in self.labels])))

    def wordings(self, tower: TextTower | None = None) -> Mapping[str, np.ndarray]:
        """Label to the embeddings (n, 384) of its own wordings and of captions that others wrote for the like.

        With a trained tower, where it puts each of them stands beside where it should: the denoiser is taught what
        it will be asked with.
        """
        embedded = self.vectors(self.captions)
        borrowed = caption_wordings(self.labels, self.space.anchors, self.captions, embedded)
        row = {caption: i for i, caption in enumerate(self.captions)}
        placed = {}
        for label in self.labels:
            own, others = self._own_vectors[label], [row[text] for text in borrowed.get(label, [])]
            placed[label] = self.space.place(np.concatenate([own, embedded[others]]))
            if tower:
                made = embed_texts(tower, [*self.own[label], *borrowed.get(label, [])])
                placed[label] = np.concatenate([placed[label], made])
        return placed

    def lessons(self) -> list[DistillationSet]:
        """Texts for the tower with their places, and their share of a batch."""
        flat = [text for label in self.labels for text in self.own[label]]
        parts = [(flat, 0.30), (self.captions, 0.35)]
        classes = read_ontology(self.sources.ontology) if self.sources.ontology else []
        classes += read_labels(self.sources.labels) if self.sources.labels else []
        if classes:
            parts.append((classes, 0.08))
        if self.sources.wordnet:
            entries = read_wordnet(self.sources.wordnet)
            parts.append(([text for text in entries if ":" not in text], 0.17))
            parts.append(([text for text in entries if ":" in text][::EVERY_GLOSS], 0.10))
        return [DistillationSet(texts, self.space.place(self.vectors(texts)), share) for texts, share in parts]

    def word_vectors(self) -> np.ndarray:
        """The teacher's vector for each token of CLIP's vocabulary, (49408, 384)."""
        return self.vectors(token_texts())
