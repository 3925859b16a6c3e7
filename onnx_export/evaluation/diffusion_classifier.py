"""The diffusion classifier, which asks whether the right label explains a noised sound best.

It is that of Li et al. (*Your diffusion model is secretly a zero-shot classifier*, ICCV 2023). It shows what a denoiser
has learnt of labels. Training clips that it cannot tell mean too little training; training clips far above the others
mean too little data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.distances import ConfidenceInterval, bootstrap_mean
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation


@dataclass(frozen=True, slots=True)
class ClassifierTest:
    """Which clips are classified, and under how much noise."""

    split: str
    """'train', 'valid' or 'test'."""
    sigma: float
    """Noise level, 0 to 1."""
    n_clips: int
    """At most so many clips are drawn."""
    seconds: float = 2.5
    """Length of the beginning of each clip that is classified; shorter clips are left out."""


@dataclass(frozen=True, slots=True)
class ClassifierAccuracy:
    """Shares of clips of one split whose label is the first, and among the first five, at one noise level."""

    split: str
    sigma: float
    top_1: ConfidenceInterval
    top_5: ConfidenceInterval

    def __str__(self) -> str:
        """Return one line of text with both shares and the number of clips."""
        return f"{self.split}, noise {self.sigma:g}: top-1 {self.top_1}, top-5 {self.top_5}, {self.top_1.n} clips"


def classify(model: Clipsonic, cache: SoundDataset, labels: Sequence[str], test: ClassifierTest) -> ClassifierAccuracy:
    """Classify the beginnings of clips that are drawn at random among those of `labels` that last so long.

    Raises:
        ValueError: When there are none.
    """
    mel, multiple = model.card.mel, model.card.frame_multiple
    frames = mel.n_frames(round(test.seconds * mel.sample_rate)) // multiple * multiple
    indices = [i for i in cache.indices(test.split) if cache.sounds[i].label in labels and len(cache.mel(i)) >= frames]
    if not indices:
        raise ValueError(f"split: {test.split} has no clip of {test.seconds:g} s of the known labels")
    rng = np.random.default_rng(0)
    drawn = rng.choice(indices, min(test.n_clips, len(indices)), replace=False)
    embeddings = np.concatenate([model.embed_text(label, Cancellation()) for label in labels])
    ranks = []
    for i in drawn:
        errors = _errors(model, cache.mel(int(i))[:frames].astype(np.float32).T, embeddings, test.sigma, rng)
        ranks.append(int((errors < errors[labels.index(cache.sounds[int(i)].label)]).sum()))
    top_1, top_5 = (bootstrap_mean([rank < k for rank in ranks]) for k in (1, 5))
    return ClassifierAccuracy(test.split, test.sigma, top_1, top_5)


def _errors(
    model: Clipsonic, log_mel: np.ndarray, embeddings: np.ndarray, sigma: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the mean squared error (n_labels,) under each label, of one noised mel (n_mels, frames)."""
    card, n = model.card, len(embeddings)
    mean, std = (np.array(numbers, np.float32)[:, None] for numbers in (card.mel_mean, card.mel_std))
    clean = (log_mel - mean) / std
    noised = (1 - sigma) * clean + sigma * rng.standard_normal(clean.shape)
    feeds = {
        "noised": np.repeat(noised.astype(np.float32)[None], n, axis=0),
        "sigma": np.full(n, sigma, np.float32),
        "embedding": embeddings,
        "seconds": np.full(n, log_mel.shape[1] * card.mel.hop / card.mel.sample_rate, np.float32),
        "guidance": np.ones(n, np.float32),
    }
    inputs = {tensor.name: feeds[tensor.name] for tensor in card.graphs["denoiser"].inputs}
    return ((model.denoiser.run(inputs, Cancellation())[0] - clean) ** 2).mean(axis=(1, 2))
