"""Train the denoiser by flow matching (Lipman et al. 2023) on crops of the corpus and their wordings' embeddings."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training.conditioning import Conditioning
from onnx_export.data.sounds import Clips
from onnx_export.training.checkpoint import Checkpoint, load_ema
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, precision, run_steps, step_optimiser
from plugin_server.audio.spectral import LOG_FLOOR, MelSettings
from plugin_server.engine.bundles.card import Card

log = logging.getLogger(__name__)

CANVASES_S = (0.75, 1.5, 3.0, 5.0, 7.5, 10.0, 20.0, 30.0)
ENOUGH_CLIPS = 5000
"""For a mean and a deviation of each mel band."""
GUIDE_EVERY = 100
"""Steps between copies of the averaged weights to the guide."""
CANVAS_ODDS = (0.10, 0.25, 0.28, 0.24, 0.05, 0.06, 0.01, 0.01)


@dataclass(frozen=True, slots=True)
class DenoiserTraining:
    """How the denoiser is taught."""

    steps: int = 40_000
    tokens: int = 800
    """Patches in a batch: short canvases come in larger batches."""
    learning_rate: float = 8e-4
    drop_condition: float = 0.12
    """Share of clips without their embedding, for classifier-free guidance."""
    spread: float = 0.6
    """Largest length of the noise added to an embedding: 0.6 is a cosine of about 0.86."""
    stray: float = 0.4
    """Largest share of some other label's embedding in one: a paraphrase lies between the labels it is like."""
    mix: float = 0.06
    """Share of clips laid over another, with the sum of both embeddings."""
    average_decay: float = 0.998
    noise_centre: float = 1.5
    """Middle of the logit-normal noise levels. Frames that repeat each other show through much noise, so what a
    sound is gets decided near sigma 1; taught around 0.57 the model hardly followed the prompt."""
    noise_width: float = 1.6
    """Deviation of the same: wide enough that grain, decided at little noise, is taught too."""
    guide_from: int = 15_500
    """First step at which guidance is taught, so that it costs no second call when sampling."""
    most_guidance: float = 6.0
    least_sigma: float = 0.5
    """The velocity's weight 1 / sigma ** 2 stops rising below this level, for the same reason."""


@dataclass(frozen=True, slots=True)
class MelNormalisation:
    """Mean and deviation of every mel band over the training split, float32 (n_mels,)."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def measure(cls, cache: Clips) -> "MelNormalisation":
        """From every tenth frame of the training split, or of some thousand clips of it, silence left out."""
        indices = cache.indices("train")
        some = indices[:: -(-len(indices) // ENOUGH_CLIPS)]
        frames = np.concatenate([cache.mel(i)[::10] for i in some]).astype(np.float32)
        frames = frames[frames.max(axis=1) > -8]
        return cls(frames.mean(axis=0), frames.std(axis=0))

    @classmethod
    def of_card(cls, card: Card) -> "MelNormalisation":
        """What a bundle was taught with."""
        return cls(np.array(card.mel_mean, np.float32), np.array(card.mel_std, np.float32))

    def store(self, model: Denoiser) -> None:
        """Put into the buffers of a denoiser."""
        for buffer, numbers in ((model.mel_mean, self.mean), (model.mel_std, self.std)):
            buffer.copy_(torch.from_numpy(numbers))


def saved_normalisation(path: Path) -> MelNormalisation | None:
    """What a checkpoint was taught with, None where there is none: its numbers mean nothing else."""
    if not path.exists():
        return None
    weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
    return MelNormalisation(weights["mel_mean"].numpy().copy(), weights["mel_std"].numpy().copy())


class DenoiserDataset:
    """Batches of (normalised mel, embedding, seconds), rare labels seen nearly as often as common ones."""

    def __init__(
        self,
        cache: Clips,
        conditions: Conditioning,
        mel: MelSettings,
        norm: MelNormalisation,
        training: DenoiserTraining,
        size: DenoiserSize,
    ):
        """Clips that have no condition are left out."""
        self.cache, self.conditions, self.mel, self.norm = cache, conditions, mel, norm
        self.training, self.patch = training, size.patch
        self.rng = np.random.default_rng()
        self.indices = np.array([i for i in cache.indices("train") if conditions.has(i)])
        self.odds = self._balance([cache.sounds[i].label for i in self.indices])

    def _balance(self, labels: Sequence[str]) -> np.ndarray:
        """A label is drawn in its length to the power of 0.3, a sound within it in its own length (at most 10 s)."""
        seconds = np.array([min(10.0, len(self.cache.mel(i)) / 86) for i in self.indices])
        totals: dict[str, float] = defaultdict(float)
        for label, length in zip(labels, seconds, strict=True):
            totals[label] += length
        odds = np.array([s / totals[label] ** 0.7 for s, label in zip(seconds, labels, strict=True)])
        return odds / odds.sum()

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One batch of one canvas length: (batch, n_mels, frames), (batch, n_embedding), (batch,)."""
        canvas_s = self.rng.choice(CANVASES_S, p=CANVAS_ODDS) * self.rng.uniform(0.8, 1.0)
        n_tokens = max(2, round(canvas_s * self.mel.sample_rate / self.mel.hop / self.patch))
        frames = n_tokens * self.patch
        batch = max(1, self.training.tokens // n_tokens)
        chosen = self.rng.choice(self.indices, batch, p=self.odds)
        made = [self._example(i, frames) for i in chosen]
        seconds = frames * self.mel.hop / self.mel.sample_rate
        mels, embeddings = (torch.from_numpy(np.stack(parts)) for parts in zip(*made, strict=True))
        return mels, embeddings, torch.full((batch,), seconds)

    def _example(self, index: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        mel, embedding = self._canvas(index, frames), self._condition(index)
        if self.rng.random() < self.training.mix:
            other = self.rng.choice(self.indices, p=self.odds)
            # Magnitudes of sounds that know nothing of each other add in power.
            mel = 0.5 * np.logaddexp(2 * mel, 2 * self._canvas(other, frames))
            embedding = embedding + self._condition(other)
        embedding = embedding / np.linalg.norm(embedding)
        embedding = self._spread(embedding) * (self.rng.random() >= self.training.drop_condition)
        normal = (mel - self.norm.mean) / self.norm.std
        return np.ascontiguousarray(normal.T, np.float32), embedding.astype(np.float32)

    def _condition(self, index: int) -> np.ndarray:
        return self.conditions.sample(index, self.rng)

    def _spread(self, embedding: np.ndarray) -> np.ndarray:
        """Moved at random, so that the network learns a neighbourhood and not a point."""
        noise = self.rng.standard_normal(len(embedding))
        stray = self.rng.uniform(0, self.training.stray) * self._condition(self.rng.choice(self.indices))
        moved = embedding + stray + noise / np.linalg.norm(noise) * self.rng.uniform(0, self.training.spread)
        return moved / np.linalg.norm(moved)

    def _canvas(self, index: int, frames: int) -> np.ndarray:
        """Log-mel (frames, n_mels): a crop, or the whole sound alone or again and again, silence around it."""
        mel = self.cache.mel(index).astype(np.float32)
        if len(mel) >= frames:
            start = self.rng.integers(0, len(mel) - frames + 1) if self.rng.random() < 0.7 else 0
            return mel[start : start + frames]
        canvas = np.full((frames, mel.shape[1]), np.log(LOG_FLOOR), np.float32)
        # A sound of its own under a second is a one-shot: mostly alone, so that silence follows it.
        again = self.rng.random() < (0.25 if len(mel) < 86 else 0.6)
        start = 0 if self.rng.random() < 0.7 else int(self.rng.integers(0, frames - len(mel) + 1))
        while start < frames:
            piece = mel[: frames - start]
            canvas[start : start + len(piece)] = piece
            if not again:
                break
            start += len(mel) + int(self.rng.exponential(0.25) * 86)
        return canvas


class InfiniteDataset(IterableDataset):
    """Batches of examples, one after another."""

    def __init__(self, examples: DenoiserDataset):
        self.examples = examples

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        # Processes begin as copies of one, and would all draw the same.
        self.examples.rng = np.random.default_rng()
        while True:
            yield self.examples.draw()


def noise_levels(n: int, training: DenoiserTraining) -> torch.Tensor:
    """Sigma (n,), one drawn from each n-th part of the logit-normal, so that every batch sees all levels."""
    places = (torch.randperm(n) + torch.rand(n)) / n
    return torch.sigmoid(
        torch.special.ndtri(places.clamp(1e-4, 1 - 1e-4)) * training.noise_width + training.noise_centre
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean spectrograms (batch, n_mels, frames) with their embeddings, lengths and guidance."""

    clean: torch.Tensor
    embedding: torch.Tensor
    seconds: torch.Tensor
    guidance: torch.Tensor


def flow_loss(model: Denoiser, batch: Batch, training: DenoiserTraining, guide: Denoiser | None = None) -> torch.Tensor:
    """Squared error of the velocity; noise levels are logit-normal (Esser et al. 2024).

    With a `guide`, the target goes as far beyond the clean spectrogram as classifier-free guidance would take the
    guide's estimate: what is learnt is the guided estimate itself (model guidance, Tang et al. 2025).
    """
    clean = batch.clean
    sigma = noise_levels(len(clean), training).to(clean.device)
    level = sigma[:, None, None]
    noised = (1 - level) * clean + level * torch.randn_like(clean)
    with precision(clean.device):
        target = clean if guide is None else clean + guidance_shift(guide, noised, sigma, batch)
        estimate = model(noised, sigma, batch.embedding, batch.seconds, batch.guidance)
    # Velocity error is the error of the clean estimate over sigma; bounded where sigma is small.
    return (((estimate.float() - target) ** 2).mean(dim=(1, 2)) / sigma.clamp_min(training.least_sigma) ** 2).mean()


@torch.no_grad()
def guidance_shift(guide: Denoiser, noised: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
    """(guidance - 1) * (estimate with the condition - estimate without), like `noised`; computed where it is not 0."""
    shift = torch.zeros_like(noised)
    rows = torch.nonzero(batch.guidance > 1)[:, 0]
    if len(rows) == 0:
        return shift
    embedding = batch.embedding[rows]
    twice = [torch.cat([part[rows]] * 2) for part in (noised, sigma, batch.seconds)]
    both = torch.cat([embedding, torch.zeros_like(embedding)])
    wanted, plain = guide(twice[0], twice[1], both, twice[2], torch.ones_like(twice[1])).float().chunk(2)
    shift[rows] = (batch.guidance[rows] - 1)[:, None, None] * (wanted - plain)
    return shift


def draw_guidance(embedding: torch.Tensor, most: float) -> torch.Tensor:
    """Guidance (batch,): 1 for a third of the rows and for those without a condition, else up to `most`."""
    classifier_free_guidance = (torch.rand(len(embedding)) > 0.33) & (embedding.abs().sum(dim=1) > 0).cpu()
    return torch.where(classifier_free_guidance, 1 + (most - 1) * torch.rand(len(embedding)), 1.0).to(embedding.device)


def train_denoiser(
    cache: Clips,
    conditions: Conditioning,
    mel: MelSettings,
    size: DenoiserSize,
    training: DenoiserTraining,
    path: Path,
    device: torch.device,
    embedding: str,
    backbone: Path | None = None,
    workers: int = 1,
) -> None:
    """Train until `training.steps`, going on from `path` where it exists.

    `embedding` names the space of the conditions, and is kept with the weights. A new run may begin with the
    `backbone` of another one, whose conditions are forgotten: it knows how sounds go on, and nothing of what they are
    called. `workers` processes draw batches ahead; one is this process itself, between its steps.
    """
    model = Denoiser(size)
    norm = saved_normalisation(path) or MelNormalisation.measure(cache)
    if backbone and not path.exists():
        norm = saved_normalisation(backbone) or norm
        load_ema(backbone, model)
        model.forget_conditions()
    norm.store(model)
    model.to(device).train()
    average = EMA(model, training.average_decay)
    optimiser = torch.optim.AdamW(_groups(model), lr=training.learning_rate, betas=(0.9, 0.99))
    examples = DenoiserDataset(cache, conditions, mel, norm, training, size)
    # What the weights' shapes do not tell.
    notes = {"embedding": embedding, "conditions": ",".join(conditions.kinds), "heads": str(size.heads)}
    checkpoint = Checkpoint(path, {"model": model, "average": average, "optimiser": optimiser}, notes)

    batches = iter(DataLoader(InfiniteDataset(examples), batch_size=None, num_workers=workers if workers > 1 else 0))
    guide = Denoiser(size).to(device).requires_grad_(False)

    def do_step(step: int) -> dict[str, float]:
        clean, embedding, seconds = (part.to(device) for part in next(batches))
        guiding = step >= training.guide_from
        if guiding and (step % GUIDE_EVERY == 0 or step == checkpoint.start):
            guide.load_state_dict(average.state)
        guidance = draw_guidance(embedding, training.most_guidance if guiding else 1.0)
        batch = Batch(clean, embedding, seconds, guidance)
        # On a CPU, plain matrix products are a sixth faster than the fused attention at these lengths.
        with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
            loss = flow_loss(model, batch, training, guide if guiding else None)
            value = step_optimiser(optimiser, loss, model.parameters())
        average.update(model)
        return {"loss": value}

    schedule = Schedule(training.steps, training.learning_rate, warmup=400)
    run_steps(checkpoint, [optimiser], schedule, do_step)


def _groups(model: nn.Module) -> list[dict]:
    """Weight decay for matrices only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2 and min(p.shape) > 6]
    others = [p for p in model.parameters() if not (p.ndim >= 2 and min(p.shape) > 6)]
    return [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
