"""Train the denoiser by flow matching (Lipman et al. 2023) on crops of a dataset and their embeddings."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training.conditioning import Conditioning
from onnx_export.clipsonic.training.denoiser_dataset import (
    DenoiserDataset,
    Examples,
    InfiniteDataset,
    MelNormalisation,
    saved_normalisation,
)
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, load_ema, read_start
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, precision, run_steps, step_optimiser
from onnx_export.training.run import TrainingRun

TEACHER_INTERVAL = 100
"""Steps between copies of the averaged weights to the teacher; saves fall on such steps, so that a resumed run has the
teacher of one that was never stopped."""
VALIDATION_BATCHES = 8
UNGUIDED_SHARE = 0.33
"""Share of the clips with a condition whose guidance is 1 while the others' is distilled."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How sounds are varied where few recordings have to do."""

    length_percent: tuple[int, ...] = ()
    """Lengths of further copies of every sound, played faster or slower, in percent of their own."""
    copies_share: float = 0.45
    """Share of the clips that are cut from such a copy."""
    equaliser_db: float = 0.0
    """Deviation of a smooth random curve over the bands that is added to a log-mel."""
    gain_db: float = 0.0
    """Deviation of a random gain of the whole."""
    dropout: float = 0.0
    """Probability with which numbers of a block's output are left out."""


@dataclass(frozen=True, slots=True)
class Autoguidance:
    """Guidance away from an earlier state of the network itself (Karras et al. 2024), taught at the end of a run."""

    weak_at: float = 0.22
    """Share of the run after which the state is kept that is guided away from."""
    teach_from: float = 0.74
    """Share of the run after which guided estimates are taught; the state before is kept too."""
    unconditional_share: float = 0.5
    """Share of the weak estimates that are made without the condition, as in classifier-free guidance."""
    min_sigma: float = 0.35
    """Noise levels outside of these two are not guided (Kynkäänniemi et al. 2024)."""
    max_sigma: float = 0.97
    rate: float = 0.35
    """Learning rate that teaching begins with, as a share of the largest."""


@dataclass(frozen=True, slots=True)
class DenoiserTraining:
    """Hyperparameters of the denoiser's training."""

    steps: int = 40_000
    tokens: int = 800
    """Patches in a batch: short canvases come in larger batches."""
    learning_rate: float = 8e-4
    condition_dropout: float = 0.12
    """Share of clips without their embedding, for classifier-free guidance."""
    embedding_noise: float = 0.6
    """Largest length of the noise added to an embedding: 0.6 is a cosine of about 0.86."""
    cross_label_mix: float = 0.4
    """Largest share of some other label's embedding in one: a paraphrase lies between the labels it is like."""
    mixup_probability: float = 0.06
    """Share of clips laid over another, with the sum of both embeddings."""
    ema_decay: float = 0.998
    noise_centre: float = 1.5
    """Middle of the logit-normal noise levels. Frames that repeat each other show through much noise, so what a
    sound is gets decided near sigma 1; trained around 0.57 the model hardly followed the prompt."""
    noise_width: float = 1.6
    """Deviation of the same."""
    low_noise_share: float = 0.3
    """Share of the noise levels that are drawn around another middle: grain is decided at little noise."""
    low_noise_centre: float = -1.0
    low_noise_width: float = 1.5
    guidance_distillation_from: int = 15_500
    """First step at which guidance is distilled, so that it costs no second call when sampling."""
    distilled_guidance_max: float = 6.0
    min_sigma: float = 0.5
    """The velocity's weight 1 / sigma ** 2 stops rising below this level, for the same reason as `noise_centre`."""
    resident: bool = False
    """Whether all mels lie on the device, where batches are drawn and mixed too; else this process draws them."""
    warmup_steps: int = 400
    weight_decay: float = 0.02
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Of resident training alone."""
    autoguidance: Autoguidance = field(default_factory=Autoguidance)
    """Of resident training, in place of guidance by the average of the run itself."""


def noise_levels(n: int, training: DenoiserTraining, device: torch.device | None = None) -> torch.Tensor:
    """Draw sigma (n,) from two logit-normals, one from each n-th part, so that every batch has all levels."""
    places = (torch.randperm(n, device=device) + torch.rand(n, device=device)) / n
    share = training.low_noise_share
    is_low = places < share
    quantiles = torch.where(is_low, places / max(share, 1e-9), (places - share) / max(1 - share, 1e-9))
    normal = torch.special.ndtri(quantiles.clamp(1e-4, 1 - 1e-4))
    low = normal * training.low_noise_width + training.low_noise_centre
    return torch.sigmoid(torch.where(is_low, low, normal * training.noise_width + training.noise_centre))


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean spectrograms (batch, n_mels, frames), normalised, with their conditions."""

    clean: torch.Tensor
    embedding: torch.Tensor
    """(batch, n_embedding), unit length or zeros."""
    seconds: torch.Tensor
    """Lengths (batch,)."""
    guidance: torch.Tensor
    """Classifier-free guidance (batch,) that the estimate shall have; 1 for none."""


Shift: TypeAlias = Callable[[torch.Tensor, torch.Tensor, Batch], torch.Tensor]
"""Noised spectrograms, their sigma and their batch to how far guidance moves the estimates, shaped like these."""


def flow_loss(model: Denoiser, batch: Batch, training: DenoiserTraining, guidance: Shift | None = None) -> torch.Tensor:
    """Return the squared error of the velocity; noise levels are logit-normal (Esser et al. 2024).

    With `guidance`, the target goes as far beyond the clean spectrogram as guidance would take a teacher's estimate:
    what is learnt is the guided estimate itself (model guidance, Tang et al. 2025).
    """
    clean = batch.clean
    sigma = noise_levels(len(clean), training, clean.device)
    level = sigma[:, None, None]
    noised = (1 - level) * clean + level * torch.randn_like(clean)
    with precision(clean.device):
        target = clean if guidance is None else clean + guidance(noised, sigma, batch)
        estimate = model(noised, sigma, batch.embedding, batch.seconds, batch.guidance)
    # Velocity error is the error of the clean estimate over sigma; bounded where sigma is small.
    return (((estimate.float() - target) ** 2).mean(dim=(1, 2)) / sigma.clamp_min(training.min_sigma) ** 2).mean()


@torch.no_grad()
def guidance_shift(ema_teacher: Denoiser, noised: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return (guidance - 1) * (estimate with the condition - estimate without), shaped like `noised`.

    It is computed where it is not 0: where guidance is above 1.
    """
    shift = torch.zeros_like(noised)
    rows = torch.nonzero(batch.guidance > 1)[:, 0]
    if len(rows) == 0:
        return shift
    embedding = batch.embedding[rows]
    noised_twice, sigma_twice, seconds_twice = (torch.cat([part[rows]] * 2) for part in (noised, sigma, batch.seconds))
    embeddings = torch.cat([embedding, torch.zeros_like(embedding)])
    ones = torch.ones_like(sigma_twice)
    estimates = ema_teacher(noised_twice, sigma_twice, embeddings, seconds_twice, ones).float()
    conditional, unconditional = estimates.chunk(2)
    shift[rows] = (batch.guidance[rows] - 1)[:, None, None] * (conditional - unconditional)
    return shift


def draw_guidance(embedding: torch.Tensor, maximum: float) -> torch.Tensor:
    """Draw guidance (batch,): 1 for a third of the rows and for those without a condition, else up to `maximum`."""
    is_guided = (torch.rand(len(embedding)) > UNGUIDED_SHARE) & (embedding.abs().sum(dim=1) > 0).cpu()
    return torch.where(is_guided, 1 + (maximum - 1) * torch.rand(len(embedding)), 1.0).to(embedding.device)


def train_denoiser(
    conditioning: Conditioning, size: DenoiserSize, training: DenoiserTraining, run: TrainingRun, embedding: str
) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    Args:
        conditioning: The clips to train on, with their embeddings.
        size: Shape of the network.
        training: Hyperparameters.
        run: A new run may begin with the `backbone` of another one, whose conditions are forgotten: it knows how
            sounds continue, and nothing of what they are called.
        embedding: Name of the space of the conditions, stored with the weights.
    """
    seed = run.start_seed()
    model, norm = start_denoiser(conditioning, size, run)
    model.to(run.device).train()
    ema = EMA(model, training.ema_decay)
    optimiser = torch.optim.AdamW(
        parameter_groups(model, training.weight_decay), lr=training.learning_rate, betas=(0.9, 0.99)
    )
    metadata = CheckpointMetadata(embedding, conditioning.kinds, size.heads, seed)
    checkpoint = Checkpoint(run.path, {"model": model, "average": ema, "optimiser": optimiser}, metadata)
    examples = DenoiserDataset(conditioning, norm, training, size.patch)
    batches = InfiniteDataset(examples, seed, read_start(run.path))
    loader = iter(DataLoader(batches, batch_size=None, num_workers=run.workers if run.workers > 1 else 0))
    ema_teacher = Denoiser(size).to(run.device).requires_grad_(requires_grad=False)

    def do_step(step: int, _: np.random.Generator) -> dict[str, torch.Tensor]:
        is_distilling = step >= training.guidance_distillation_from
        if is_distilling and (step % TEACHER_INTERVAL == 0 or step == checkpoint.start):
            ema_teacher.load_state_dict(ema.state)
        maximum = training.distilled_guidance_max if is_distilling else 1.0
        batch = _batch(next(loader), maximum, run.device)
        with device_attention(run.device):
            loss = flow_loss(model, batch, training, partial(guidance_shift, ema_teacher) if is_distilling else None)
            value = step_optimiser(optimiser, loss, model.parameters())
        ema.update(model)
        return {"loss": value}

    held_out = DenoiserDataset(conditioning, norm, training, size.patch, "valid")

    def validate(rng: np.random.Generator) -> dict[str, float]:
        with evaluating(model), device_attention(run.device):
            batches = (_batch(held_out.draw(rng), 1.0, run.device) for _ in range(VALIDATION_BATCHES))
            return {"loss": float(np.mean([float(flow_loss(model, batch, training)) for batch in batches]))}

    schedule = Schedule(training.steps, training.learning_rate, warmup=training.warmup_steps, budget_s=run.budget_s)
    run_steps(checkpoint, [optimiser], schedule, do_step, validate if len(held_out) else None, run.intervals)


def start_denoiser(
    conditioning: Conditioning, size: DenoiserSize, run: TrainingRun
) -> tuple[Denoiser, MelNormalisation]:
    """Return a network that holds the normalisation it is trained with, and that normalisation."""
    model = Denoiser(size)
    norm = saved_normalisation(run.path) or MelNormalisation.measure(conditioning.dataset)
    if run.backbone and not run.path.exists():
        norm = saved_normalisation(run.backbone) or norm
        load_ema(run.backbone, model)
        model.forget_conditions()
    norm.store(model)
    return model, norm


def _batch(examples: Examples, guidance_max: float, device: torch.device) -> Batch:
    clean, embedding, seconds = (part.to(device) for part in examples)
    return Batch(clean, embedding, seconds, draw_guidance(embedding, guidance_max))


def device_attention(device: torch.device) -> AbstractContextManager[None]:
    """Return a context of the attention that is fastest on the device."""
    # On a CPU, plain matrix products are a sixth faster than the fused attention at these lengths.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Return the groups of parameters: weight decay is for matrices only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2 and min(p.shape) > 6]
    others = [p for p in model.parameters() if not (p.ndim >= 2 and min(p.shape) > 6)]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
