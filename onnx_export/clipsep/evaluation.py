"""Figures of a separator on mixtures of recordings that it was not trained on.

Two sounds of different labels, 4 s, each at most 5 dB louder than the other, short ones struck again; the same mixtures
each time. The scale-invariant ratio (Le Roux et al. 2019) is that of zero-mean signals in the time domain.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from onnx_export.clipsep.mixtures import EmbeddingTable, Mixtures, MixtureSampler, MixtureTraining
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.clipsonic.models.inverse_stft import inverse_stft
from plugin_server.audio.spectral import MelSettings

EXAM = MixtureTraining(
    batch=10, frames=352, third=0.0, hard=0.0, gain_db=2.5, speed=0.0, room=0.0, equalised=0.0, absent=1.0,
    pictures=0.0, averaged=0.0, query_noise=0.0,
)  # fmt: skip
"""How the mixtures of the evaluation are drawn: no augmentation, and the third query is for an absent sound."""
SEED = 2023
CLIP_DB = (-10.0, 30.0)
"""Bounds of the clipped mean: some disasters rule the plain one."""

Separate = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Magnitudes, levels and queries to masks and logits of presence, as `Separator` has it."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """How much better the sounds asked for are than the mixture, over all of them, in decibels."""

    mean: float
    median: float
    clipped_mean: float
    better: float
    """Share of the sounds that are better than the mixture."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Improvement":
        """Summarise the improvements of single sounds."""
        array = np.array(values)
        return cls(
            float(array.mean()), float(np.median(array)), float(array.clip(*CLIP_DB).mean()), float((array > 0).mean())
        )


@dataclass(frozen=True, slots=True)
class SeparationFigures:
    """Figures of a separator: improvements by the way of asking, and what becomes of sounds that are not there."""

    improvements: Mapping[str, Improvement]
    """By the way of asking: 'label', 'both named', 'paraphrase', 'picture', 'ideal mask'."""
    absent_db: float
    """Median power of the answer to a query for a sound that is not there, below the mixture's, in decibels."""
    presence_auc: float
    """Probability that a sound that is there has a higher presence than one that is not."""


def si_sdr(estimate: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return the scale-invariant signal-to-distortion ratio (...,) in decibels of samples (..., n)."""
    estimate, reference = (x - x.mean(dim=-1, keepdim=True) for x in (estimate, reference))
    power = reference.square().sum(dim=-1, keepdim=True).clamp_min(1e-12)
    scaled = (estimate * reference).sum(dim=-1, keepdim=True) / power * reference
    distortion = (estimate - scaled).square().sum(dim=-1).clamp_min(1e-12)
    return 10 * torch.log10(scaled.square().sum(dim=-1).clamp_min(1e-12) / distortion)


def area_under_curve(present: np.ndarray, absent: np.ndarray) -> float:
    """Return the probability that a number of `present` is larger than one of `absent`, ties counted as half."""
    order = np.sort(absent)
    below, not_above = (np.searchsorted(order, present, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / len(absent))


@torch.no_grad()
def evaluate_separator(
    separate: Separate,
    sampler: MixtureSampler,
    paraphrases: Mapping[str, np.ndarray],
    pictures: Mapping[str, np.ndarray],
    n_batches: int = 20,
) -> SeparationFigures:
    """Return the figures of a separator on `n_batches` batches of mixtures of a sampler made with `EXAM`.

    Args:
        separate: The network.
        sampler: Draws mixtures of the test split.
        paraphrases: A label's embeddings of wordings that were never trained on.
        pictures: A label's embeddings of pictures of its source.
        n_batches: Batches of mixtures, of `EXAM.batch` each.
    """
    torch.manual_seed(SEED)
    others = {
        name: EmbeddingTable(table, sampler.labels, sampler.device)
        for name, table in (("paraphrase", paraphrases), ("picture", pictures))
        if table
    }
    found: dict[str, list[float]] = {"label": [], "both named": [], "ideal mask": [], **{name: [] for name in others}}
    absent_db: list[float] = []
    presence: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_batches):
        batch = sampler.draw()
        masks, logits = _ask(separate, batch, batch.queries)
        before, targets = _before(batch, sampler.settings)
        own = masks[:, :2]
        found["label"] += _gain(own, batch, before, targets, sampler.settings)
        named = own / own.sum(dim=1, keepdim=True).clamp_min(1e-6)
        found["both named"] += _gain(named, batch, before, targets, sampler.settings)
        powers = batch.targets[:, :2].abs()
        found["ideal mask"] += _gain(
            powers / powers.sum(dim=1, keepdim=True).clamp_min(1e-9), batch, before, targets, sampler.settings
        )
        absent_db += _below(masks[:, 2], batch)
        for i in range(3):
            presence[int(i == 2)].extend(logits[:, i].tolist())
        for name, table in others.items():
            asked = batch.labels[:, :2]
            known = table.counts[asked] > 0
            masks, _ = _ask(separate, batch, torch.nn.functional.normalize(table.draw(asked), dim=-1))
            gains = torch.tensor(_gain(masks, batch, before, targets, sampler.settings)).reshape(asked.shape)
            found[name] += gains[known.cpu()].tolist()
    improvements = {name: Improvement.of(values) for name, values in found.items() if values}
    auc = area_under_curve(np.array(presence[0]), np.array(presence[1]))
    return SeparationFigures(improvements, float(np.median(absent_db)), auc)


def _ask(separate: Separate, batch: Mixtures, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the masks, and one logit of presence (batch, n) each."""
    magnitude = batch.mixture.abs()
    masks, logits = separate(magnitude, magnitude.square().mean(dim=(1, 2)), queries)
    return masks, logits.logsumexp(dim=2)


def _samples(spectra: torch.Tensor, settings: StftSettings) -> torch.Tensor:
    """Return samples (..., n) of complex spectra (..., n_bins, frames)."""
    flat = spectra.flatten(0, -3)
    mel = MelSettings(sample_rate=settings.sample_rate, n_fft=settings.n_fft, hop=settings.hop)
    return inverse_stft(torch.stack([flat.real, flat.imag], dim=1), mel).unflatten(0, spectra.shape[:-2])


def _before(batch: Mixtures, settings: StftSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mixture's ratio for each of the two sounds (batch, 2), and these as samples."""
    targets = _samples(batch.targets[:, :2], settings)
    mixture = _samples(batch.mixture[:, None], settings)
    return si_sdr(mixture.expand_as(targets), targets), targets


def _gain(
    masks: torch.Tensor, batch: Mixtures, before: torch.Tensor, targets: torch.Tensor, settings: StftSettings
) -> list[float]:
    """Return how much each estimate is better than the mixture, one after another."""
    estimates = _samples(masks * batch.mixture[:, None], settings)
    return (si_sdr(estimates, targets) - before).flatten().tolist()


def _below(mask: torch.Tensor, batch: Mixtures) -> list[float]:
    """Return the power (batch,) of a masked mixture against the mixture's, in decibels."""
    whole = batch.mixture.abs().square().sum(dim=(1, 2))
    left = (mask * batch.mixture).abs().square().sum(dim=(1, 2))
    return (10 * torch.log10(left.clamp_min(1e-12) / whole)).tolist()
