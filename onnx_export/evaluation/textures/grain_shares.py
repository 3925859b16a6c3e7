"""The grain of textures: how much of a recording's the denoiser keeps under noise, and how much made clips have.

The first needs no sampling. A denoiser that loses grain at little noise cannot be made to give it by any sampler.
"""

from collections.abc import Sequence

import numpy as np

from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.clip_sets import CLIP_SECONDS, FIRST_TAKE_SEED, generate
from onnx_export.evaluation.distances import ConfidenceInterval, bootstrap_mean
from onnx_export.evaluation.grain import grain
from plugin_server.audio.spectral import log_mel
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation

TEXTURE_LABELS = ("rain", "wind", "sea waves", "applause", "stream", "waterfall")
KEPT_SIGMAS = (0.7, 0.5, 0.3, 0.15, 0.05, 0.02)
SPLIT = "valid"
MAX_RECORDINGS = 4
"""Recordings of one label that are measured."""


def texture_grain(model: Clipsonic, cache: SoundDataset) -> dict[str, dict[str, ConfidenceInterval]]:
    """Return the grain of estimates at each noise level, 'kept', and that of 'made' clips; recordings have 1.

    The result is empty when the validation split has no texture.
    """
    recordings = texture_recordings(cache)
    if not recordings:
        return {}
    by_label = {label: [cache.mel(i).astype(np.float32).T for i in indices] for label, indices in recordings.items()}
    kept = [(label, mel) for label, mels in by_label.items() for mel in mels]
    return {
        "kept at noise level": {f"{sigma:g}": bootstrap_mean(kept_grain(model, kept, sigma)) for sigma in KEPT_SIGMAS},
        "made": {"samples": bootstrap_mean([made_grain(model, label, mels) for label, mels in by_label.items()])},
    }


def texture_recordings(cache: SoundDataset) -> dict[str, list[int]]:
    """Return the indices of a few recordings of each texture in the validation split; labels without any are left out.

    A recording that stands in pieces in the corpus counts once.
    """
    by_label: dict[str, dict[str, int]] = {}
    for i in cache.indices(SPLIT):
        sound = cache.sounds[i]
        if sound.label in TEXTURE_LABELS:
            by_label.setdefault(sound.label, {}).setdefault(sound.recording_id, i)
    return {label: list(indices.values())[:MAX_RECORDINGS] for label, indices in by_label.items()}


def kept_grain(model: Clipsonic, recordings: Sequence[tuple[str, np.ndarray]], sigma: float) -> list[float]:
    """Return the share of each recording's grain that is left in the estimate from noise level `sigma`.

    Args:
        model: The bundle whose denoiser is measured, at guidance 1.
        recordings: Labels, which are the prompts, and log-mels (n_mels, frames).
        sigma: Noise level, 0 to 1.
    """
    rng = np.random.default_rng(0)
    shares = []
    for label, mel in recordings:
        n_frames = round(CLIP_SECONDS * model.sample_rate / model.card.mel.hop)
        whole = mel[:, : min(mel.shape[1], n_frames) // model.card.frame_multiple * model.card.frame_multiple]
        noise = rng.standard_normal(whole.shape).astype(np.float32)
        real = grain(whole)
        if real:
            shares.append(grain(_estimate(model, label, whole, noise, sigma)) / real)
    return shares


def made_grain(model: Clipsonic, label: str, recordings: Sequence[np.ndarray]) -> float:
    """Return the grain of a clip that is made of a label, as a share of its recordings' (n_mels, frames)."""
    wave = generate(model, label, CLIP_SECONDS, FIRST_TAKE_SEED)
    return grain(log_mel(wave, model.card.mel)) / float(np.mean([grain(mel) for mel in recordings]))


def _estimate(model: Clipsonic, prompt: str, mel: np.ndarray, noise: np.ndarray, sigma: float) -> np.ndarray:
    """Return the denoiser's log-mel (n_mels, frames) of a noised one, without band statistics."""
    card = model.card
    mean, std = (np.array(numbers, np.float32)[:, None] for numbers in (card.mel_mean, card.mel_std))
    noised = (1 - sigma) * (mel - mean) / std + sigma * noise
    feeds = {
        "noised": noised[None].astype(np.float32),
        "sigma": np.full(1, sigma, np.float32),
        "embedding": model.embed_text(prompt, Cancellation()),
        "seconds": np.full(1, mel.shape[1] * card.mel.hop / card.mel.sample_rate, np.float32),
        "guidance": np.ones(1, np.float32),
    }
    inputs = {tensor.name: feeds[tensor.name] for tensor in card.graphs["denoiser"].inputs}
    estimate: np.ndarray = model.denoiser.run(inputs, Cancellation())[0][0]
    return estimate * std + mean
