"""The joint embedding of clipsonic-mini, and the wordings that are embedded in it.

A sentence encoder puts a paraphrase of a sound at a cosine of about 0.5 to the sound's label: right in order,
but far from every point a small denoiser has seen. So each sentence is drawn towards the known sounds it is most
similar to (in the spirit of ConSE, Norouzi et al. 2014), and the text tower is trained on these drawn vectors. Words
for one sound come close together, 'rain and thunder' stays between rain and thunder, and a prompt about no known
sound lands by the nearest ones.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_export.data.sounds import Sound

TEMPLATES = (
    "{}", "the sound of {}", "{} sound", "sound effect of {}", "a recording of {}", "{} sound effect",
    "we hear {}", "{} in the background", "sample of {}", "field recording, {}", "{} noise", "some {}",
)  # fmt: skip
"""Sentences that a label or a caption is put into."""
MAX_CAPTIONS = 40


@dataclass(frozen=True, slots=True)
class SoundSpace:
    """The embedding named 'clipsonic-mini-384': unit vectors of 384 numbers."""

    anchors: np.ndarray
    """Float32 (n_labels, 384): the mean sentence embedding of each label's own wordings, unit length."""
    temperature: float = 0.05
    pull: float = 1.0
    """Share of the known sounds beside the sentence itself."""

    def project(self, sentences: np.ndarray) -> np.ndarray:
        """Return sentence embeddings (n, 384) drawn towards the anchors, unit length."""
        logits = sentences @ self.anchors.T / self.temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        known = (weights / weights.sum(axis=1, keepdims=True)) @ self.anchors
        return unit(sentences + self.pull * unit(known))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return each row scaled to length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-8)


def label_wordings(sounds: Sequence[Sound]) -> dict[str, list[str]]:
    """Return each label's own texts: the label, its captions, and both in templates."""
    names: dict[str, list[str]] = defaultdict(list)
    for sound in sounds:
        for text in (sound.label, sound.caption):
            if text.lower() not in names[sound.label]:
                names[sound.label].append(text.lower())
    return {
        label: list(dict.fromkeys(template.format(text) for text in texts for template in TEMPLATES))
        for label, texts in names.items()
    }


def caption_wordings(
    labels: Sequence[str],
    anchors: np.ndarray,
    captions: Sequence[str],
    embeddings: np.ndarray,
    min_cosine: float = 0.5,
) -> dict[str, list[str]]:
    """Return each label's captions of other recordings, the nearest first.

    A caption belongs to its nearest label, when its cosine is at least `min_cosine`; a label gets the nearest
    MAX_CAPTIONS. `embeddings` (n, size) are those of the captions, `anchors` (n_labels, size) those of the labels.
    """
    cosines = embeddings @ anchors.T
    nearest = cosines.argmax(axis=1)
    wordings: dict[str, list[str]] = defaultdict(list)
    for row in np.argsort(-cosines.max(axis=1)):
        label = labels[nearest[row]]
        if cosines[row, nearest[row]] >= min_cosine and len(wordings[label]) < MAX_CAPTIONS:
            wordings[label].append(captions[row])
    return dict(wordings)
