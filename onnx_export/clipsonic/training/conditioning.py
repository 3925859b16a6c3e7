"""What the denoiser is conditioned on while it is taught: words, pictures, or either at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Conditioning(Protocol):
    """Gives each clip of a set its embedding, another one each time."""

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of what they are: 'text', 'image' or both."""
        ...

    def has(self, index: int) -> bool:
        """True when the clip has one at all."""
        ...

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """One of those of a clip that is covered, float32 (size,), unit length."""
        ...


@dataclass(frozen=True, slots=True)
class LabelConditioning:
    """Embeddings of a clip's label: of its wordings, or of pictures of what makes the sound, as if it were filmed."""

    labels: Sequence[str]
    """Of each clip."""
    embeddings: Mapping[str, np.ndarray]
    """Label to float32 (n, size)."""
    kinds: tuple[str, ...] = ("text",)

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return next(iter(self.embeddings.values())).shape[1]

    def has(self, index: int) -> bool:
        """True when its label has an embedding."""
        return self.labels[index] in self.embeddings

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """One of its label's."""
        return rng.choice(self.embeddings[self.labels[index]])


class Frames(Protocol):
    """Clips of videos, whose frames were seen."""

    def frames(self, index: int) -> np.ndarray:
        """Embeddings of a clip's own frames, float32 (n, size)."""
        ...


@dataclass(frozen=True, slots=True)
class FrameConditioning:
    """Embeddings of a video's own frames, one at a time (Dong et al. 2023)."""

    videos: Frames
    size: int
    kinds: tuple[str, ...] = ("image",)

    def has(self, index: int) -> bool:
        """Always: a clip without a frame is none."""
        return True

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """One frame's."""
        return rng.choice(self.videos.frames(index)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class MixedConditioning:
    """One of two kinds at random, where a clip has both."""

    first: Conditioning
    second: Conditioning
    share: float = 0.5
    """Of the second."""

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return self.first.size

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of both."""
        return tuple(dict.fromkeys(self.first.kinds + self.second.kinds))

    def has(self, index: int) -> bool:
        """True when one of them does."""
        return self.first.has(index) or self.second.has(index)

    def sample(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Of either."""
        if not self.first.has(index):
            return self.second.sample(index, rng)
        if self.second.has(index) and rng.random() < self.share:
            return self.second.sample(index, rng)
        return self.first.sample(index, rng)
