"""The conditions that a denoiser is trained on: embeddings of words, of pictures, or of either at random."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from onnx_export.data.sounds import ClipDataset

KINDS = ("text", "image")
"""Kinds of embeddings."""


class Conditioning(Protocol):
    """A dataset's clips with an embedding for each, another one each time it is asked."""

    @property
    def dataset(self) -> ClipDataset:
        """The clips whose indices are meant."""
        ...

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its embeddings: 'text', 'image' or both."""
        ...

    def has(self, index: int) -> bool:
        """Return True when the clip has an embedding at all."""
        ...

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Return one embedding of a clip that has some, float32 (size,), unit length."""
        ...


@dataclass(frozen=True, slots=True)
class LabelConditioning:
    """Embeddings of a clip's label: of its wordings, or of pictures of its source as if it had been filmed."""

    dataset: ClipDataset
    embeddings: Mapping[str, np.ndarray]
    """Label to float32 (n, size)."""
    kinds: tuple[str, ...] = ("text",)

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return next(iter(self.embeddings.values())).shape[1]

    def has(self, index: int) -> bool:
        """Return True when the clip's label has an embedding."""
        return self.dataset.sounds[index].label in self.embeddings

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Return one embedding of the clip's label, float32 (size,)."""
        return rng.choice(self.embeddings[self.dataset.sounds[index].label])


class FilmedDataset(ClipDataset, Protocol):
    """Clips of videos, whose own frames have embeddings."""

    @property
    def n_embedding(self) -> int:
        """Numbers in an embedding."""
        ...

    def frames(self, index: int) -> np.ndarray:
        """Return the embeddings of a clip's own frames, float32 (n, n_embedding)."""
        ...


@dataclass(frozen=True, slots=True)
class FrameConditioning:
    """Embeddings of a video's own frames, one at a time (Dong et al. 2023)."""

    dataset: FilmedDataset
    kinds: tuple[str, ...] = ("image",)

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return self.dataset.n_embedding

    def has(self, index: int) -> bool:  # noqa: ARG002 - as every conditioning has it
        """Return True: a clip without a frame is not in the dataset."""
        return True

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Return the embedding of one frame, float32 (size,)."""
        return rng.choice(self.dataset.frames(index)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class MixedConditioning:
    """One of two conditionings at random, where a clip has both."""

    first: Conditioning
    second: Conditioning
    second_share: float = 0.5
    """Probability of the second."""

    def __post_init__(self) -> None:
        """Raise ValueError when the two are of different datasets, or of different sizes."""
        if self.first.dataset is not self.second.dataset:
            raise ValueError("two conditionings are of different datasets, expected one")
        if self.first.size != self.second.size:
            raise ValueError(f"conditionings of {self.first.size} and {self.second.size} numbers, expected one size")

    @property
    def dataset(self) -> ClipDataset:
        """The clips of both."""
        return self.first.dataset

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return self.first.size

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of both, each once."""
        return tuple(dict.fromkeys(self.first.kinds + self.second.kinds))

    def has(self, index: int) -> bool:
        """Return True when one of them has an embedding."""
        return self.first.has(index) or self.second.has(index)

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Return an embedding of the one or the other, float32 (size,)."""
        if not self.first.has(index):
            return self.second.sample(index, rng)
        if self.second.has(index) and rng.random() < self.second_share:
            return self.second.sample(index, rng)
        return self.first.sample(index, rng)


def save_conditions(path: Path, parts: Sequence[LabelConditioning]) -> None:
    """Write the embeddings of labels, half precision, as a file to train with where no tower is: KIND/LABEL to rows."""
    arrays = {
        f"{part.kinds[0]}/{label}": rows.astype(np.float16) for part in parts for label, rows in part.embeddings.items()
    }
    # For type checkers a label might be numpy's own argument `allow_pickle`.
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load_conditions(path: Path, dataset: ClipDataset) -> Conditioning:
    """Read what `save_conditions` wrote, for a dataset. Raises ValueError when the file is another one."""
    tables = load_condition_tables(path)
    parts = [LabelConditioning(dataset, tables[kind], (kind,)) for kind in KINDS if kind in tables]
    return parts[0] if len(parts) == 1 else MixedConditioning(parts[0], parts[1])


def load_condition_tables(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read what `save_conditions` wrote: by kind, each label's embeddings, float32 (n, size).

    Raises ValueError when the file is another one.
    """
    tables: dict[str, dict[str, np.ndarray]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                kind, _, label = name.partition("/")
                tables.setdefault(kind, {})[label] = arrays[name].astype(np.float32)
    # What numpy and zipfile raise on files of other kinds is of many classes.
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise ValueError(
            f"--conditions {path}: {error}, expected a file of python -m onnx_export conditions"
        ) from error
    if not tables or not tables.keys() <= set(KINDS):
        raise ValueError(f"--conditions {path} has embeddings of {', '.join(tables) or 'nothing'}, expected {KINDS}")
    return tables
