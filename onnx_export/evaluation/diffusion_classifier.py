"""What a denoiser has learnt of labels: of sounds under noise, does the right one explain them best?

The diffusion classifier of Li et al. (*Your diffusion model is secretly a zero-shot classifier*, ICCV 2023). Training
clips that it cannot tell mean too little training; training clips far above the others mean too little data.
"""

from dataclasses import dataclass

import numpy as np

from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.distances import Value, mean_of
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation


@dataclass(frozen=True, slots=True)
class Probe:
    """Of one split at one noise level: shares of clips whose label is the first, and among the first five."""

    split: str
    sigma: float
    top_1: Value
    top_5: Value

    def __str__(self) -> str:
        return f"{self.split}, noise {self.sigma:g}: top-1 {self.top_1}, top-5 {self.top_5}, {self.top_1.n} clips"


def probe(
    model: Clipsonic,
    cache: SoundDataset,
    labels: list[str],
    split: str,
    sigma: float,
    n_clips: int,
    seconds: float = 2.5,
) -> Probe:
    """The beginnings of up to `n_clips` clips of `split`, drawn by chance among those of `labels` that last so long.

    Raises ValueError when there are none.
    """
    mel = model.card.mel
    frames = mel.n_frames(round(seconds * mel.sample_rate)) // model.card.frame_multiple * model.card.frame_multiple
    fit = [i for i in cache.indices(split) if cache.sounds[i].label in labels and len(cache.mel(i)) >= frames]
    if not fit:
        raise ValueError(f"split: {split} has no clip of {seconds:g} s of the known labels")
    rng = np.random.default_rng(0)
    chosen = rng.choice(fit, min(n_clips, len(fit)), replace=False)
    places = np.concatenate([model.embed(label, Cancellation()) for label in labels])
    ranks = []
    for i in chosen:
        errors = _errors(model, cache.mel(int(i))[:frames].astype(np.float32).T, places, sigma, rng)
        ranks.append(int((errors < errors[labels.index(cache.sounds[int(i)].label)]).sum()))
    first, among = ([rank < k for rank in ranks] for k in (1, 5))
    return Probe(split, sigma, mean_of(first), mean_of(among))


def _errors(
    model: Clipsonic, log_mel: np.ndarray, places: np.ndarray, sigma: float, rng: np.random.Generator
) -> np.ndarray:
    """Mean squared error (n_labels,) of the estimate under each label, all of one noised mel (n_mels, frames)."""
    card, n = model.card, len(places)
    mean, std = (np.array(numbers, np.float32)[:, None] for numbers in (card.mel_mean, card.mel_std))
    clean = (log_mel - mean) / std
    noised = (1 - sigma) * clean + sigma * rng.standard_normal(clean.shape)
    feeds = {
        "noised": np.repeat(noised.astype(np.float32)[None], n, axis=0),
        "sigma": np.full(n, sigma, np.float32),
        "embedding": places,
        "seconds": np.full(n, log_mel.shape[1] * card.mel.hop / card.mel.sample_rate, np.float32),
        "guidance": np.ones(n, np.float32),
    }
    taken = {tensor.name: feeds[tensor.name] for tensor in card.graphs["denoiser"].inputs}
    return ((model.denoiser.run(taken, Cancellation())[0] - clean) ** 2).mean(axis=(1, 2))
