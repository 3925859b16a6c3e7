"""Train the image tower to put a picture where the text tower puts its label and caption."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsonic.models.image_tower import (
    ImageNetTeacher,
    ImageTower,
    ImageTowerSize,
    embed_pictures,
    to_network,
)
from onnx_export.clipsonic.models.text_tower import TextTower, embed_texts
from onnx_export.clipsonic.training.embedding_space import unit
from onnx_export.data.images import Picture, read_rgb
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, Stateful
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, evaluating, precision, run_steps, step_optimiser
from onnx_export.training.run import Intervals, TrainingRun

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class ImageTraining:
    """Hyperparameters of the image tower's training."""

    steps: int = 900
    batch: int = 64
    learning_rate: float = 1e-3
    """Learning rate of the projection."""
    trunk_scale: float = 0.15
    """The trunk, which knows pictures already, learns this much slower."""
    temperature: float = 15.0
    contrastive_weight: float = 0.3
    synonym_threshold: float = 0.8
    """Pictures whose texts have at least this cosine are no negatives of each other."""
    teacher_weight: float = 0.4
    """Weight of the cosine to the teacher's zero-shot embedding (ConSE, Norouzi et al. 2014): it knows more than our
    labels."""
    direction_weight: float = 0.5
    """Weight of the same for features moved towards one of the teacher's classes, which no picture of ours may show."""
    group_weight: float = 2.0
    """Weight of the sounding group in a picture's target, beside one each of its label and its caption."""


@dataclass(frozen=True, slots=True)
class TargetEmbeddings:
    """Embeddings of texts that the tower is trained towards, unit vectors (n, n_embedding)."""

    pictures: np.ndarray
    """One row a picture."""
    classes: np.ndarray
    """One row for each of the teacher's classes."""

    @classmethod
    def compute(cls, pictures: Sequence[Picture], tower: TextTower, group_weight: float) -> "TargetEmbeddings":
        """Embed label, caption and sounding group of each picture, and the first name and all names of each class."""
        targets = embed_texts(tower, [p.label.lower() for p in pictures])
        targets = targets + embed_texts(tower, [p.caption.lower() for p in pictures])
        groups = sorted({p.group for p in pictures if p.group})
        group_embeddings = dict(zip(groups, embed_texts(tower, groups), strict=True)) if groups else {}
        for row, picture in zip(targets, pictures, strict=True):
            if picture.group:
                row += group_weight * group_embeddings[picture.group]
        names = ImageNetTeacher.class_names()
        classes = embed_texts(tower, names) + embed_texts(tower, [name.split(",")[0] for name in names])
        return cls(unit(targets), unit(classes))


class Augmentations:
    """Batches of pictures as a video's frames might show them: cut, turned, darkened, blurred, over one another."""

    def __init__(self, pictures: Sequence[Picture], size: int):
        """Read the pictures; views have `size` pixels a side."""
        self.size = size
        self.pixels = [read_rgb(picture.path) for picture in pictures]
        self.is_cut_out = np.array([picture.kind != "photo" for picture in pictures])
        self.photos = np.flatnonzero(~self.is_cut_out)
        # A label with many pictures shall not outweigh one with few, nor a drawing the photos.
        counts = Counter(p.group or p.label for p in pictures)
        odds = np.array([counts[p.group or p.label] ** -0.4 * (1.0 if p.kind == "photo" else 0.6) for p in pictures])
        self.odds = odds / odds.sum()

    def draw(self, batch: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        """Draw indices of pictures (batch,) and a view of each, uint8 (size, size, 3)."""
        chosen = rng.choice(len(self.pixels), batch, p=self.odds)
        return chosen, [self._view(i, rng) for i in chosen]

    def _view(self, index: int, rng: np.random.Generator) -> np.ndarray:
        from PIL import Image, ImageEnhance, ImageFilter

        picture = self._crop(self.pixels[index], rng)
        if self.is_cut_out[index] and len(self.photos) and rng.random() < 0.5:
            picture = self._paste(picture, rng)
        if rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for enhancement in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            if rng.random() < 0.5:
                picture = enhancement(picture).enhance(rng.uniform(0.5, 1.35))
        if rng.random() < 0.15:
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
        if rng.random() < 0.1:
            picture = picture.convert("L").convert("RGB")
        return np.asarray(picture)

    def _crop(self, pixels: np.ndarray, rng: np.random.Generator) -> "Image.Image":
        """Return a part with 35 to 100 % of the largest square, somewhat stretched."""
        from PIL import Image

        height, width = pixels.shape[:2]
        side = min(height, width) * np.sqrt(rng.uniform(0.35, 1.0))
        stretch = np.exp(rng.uniform(-0.25, 0.25))
        w, h = min(width, side * stretch), min(height, side / stretch)
        left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = (left, top, left + w, top + h)
        return Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)

    def _paste(self, picture: "Image.Image", rng: np.random.Generator) -> "Image.Image":
        """Lay a picture on white over a photo: pixels that are nearly white let the photo through."""
        from PIL import Image

        scene = self._crop(self.pixels[rng.choice(self.photos)], rng)
        white = np.asarray(picture).min(axis=2) > 243
        mask = Image.fromarray(np.where(white, 0, 255).astype(np.uint8))
        scene.paste(picture, mask=mask)
        return scene


def tower_losses(
    outputs: torch.Tensor, targets: torch.Tensor, guesses: torch.Tensor, training: ImageTraining
) -> dict[str, torch.Tensor]:
    """Return the distances to the texts and to the teacher's guesses, and the contrast with the batch.

    The last is CLIP's loss (Radford et al. 2021). All three arguments are unit vectors (batch, n_embedding).
    """
    own = torch.eye(len(outputs), dtype=torch.bool, device=outputs.device)
    synonyms = (targets @ targets.T > training.synonym_threshold) & ~own
    logits = (training.temperature * outputs @ targets.T).masked_fill(synonyms, -1e4)
    index = torch.arange(len(outputs), device=outputs.device)
    return {
        "text": (1 - (outputs * targets).sum(-1)).mean(),
        "teacher": (1 - (outputs * guesses).sum(-1)).mean(),
        "contrastive": functional.cross_entropy(logits, index) + functional.cross_entropy(logits.T, index),
    }


def total_loss(losses: dict[str, torch.Tensor], training: ImageTraining) -> torch.Tensor:
    """Return the weighted sum of `tower_losses`."""
    distance = losses["text"] + training.teacher_weight * losses["teacher"]
    return 2 * distance + training.contrastive_weight * losses["contrastive"]


def direction_loss(
    tower: ImageTower, teacher: ImageNetTeacher, features: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Return one minus the cosine to the teacher's guess, for features moved towards classes of the teacher's own.

    `features` are (batch, 1280), `classes` the embeddings (1000, n_embedding) of the classes' names.
    """
    drawn = torch.randint(len(classes), (len(features),), device=features.device)
    share = torch.rand(len(features), 2, device=features.device)
    length = features.norm(dim=1, keepdim=True) * (0.15 + 0.5 * share[:, :1])
    moved = (features * share[:, 1:] + length * teacher.directions[drawn]).clamp(0, 6)
    targets = functional.normalize(teacher.name(moved) @ classes, dim=-1)
    outputs = functional.normalize(tower.vision.head(moved), dim=-1)
    return (1 - (outputs * targets).sum(-1)).mean()


@dataclass(frozen=True, slots=True)
class ImageTeachers:
    """The networks that the image tower learns from."""

    texts: TextTower
    imagenet: ImageNetTeacher


class ImageTrainer:
    """The image tower with its teachers, targets and optimiser: one step, and one validation."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        held_out: Sequence[Picture],
        teachers: ImageTeachers,
        size: ImageTowerSize,
        training: ImageTraining,
        device: torch.device,
    ):
        """Begin with the teacher's trunk, and with the text tower's embeddings of its classes' names."""
        self.pictures, self.held_out, self.teachers = list(pictures), list(held_out), teachers
        self.size, self.training, self.device = size, training, device
        self.tower = ImageTower(size)
        targets = TargetEmbeddings.compute([*pictures, *held_out], teachers.texts, training.group_weight)
        self.tower.start_from(teachers.imagenet, torch.from_numpy(targets.classes))
        self.targets, self.classes = (
            torch.from_numpy(part).float().to(device) for part in (targets.pictures, targets.classes)
        )
        # Statistics of a few thousand pictures are worse than those of the million behind the trunk: they stay.
        self.tower.eval()
        for network in (self.tower, teachers.imagenet):
            # torch documents this form of the call, and its types leave it out.
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = EMA(self.tower, 0.995)
        self.head, self.trunk = self.tower.trained_parameters()
        head, trunk = {"weight_decay": 0.05}, {"weight_decay": 0.02, "scale": training.trunk_scale}
        groups = [self.head | head, self.trunk | trunk]
        self.optimiser = torch.optim.AdamW(groups, lr=training.learning_rate, betas=(0.9, 0.98))
        self.views = Augmentations(self.pictures, size.picture.size)

    def do_step(self, _: int, rng: np.random.Generator) -> dict[str, float]:
        """Train on one batch of views."""
        chosen, views = self.views.draw(self.training.batch, rng)
        features, losses = self._forward(views, self.targets[torch.from_numpy(chosen).to(self.device)])
        direction = direction_loss(self.tower, self.teachers.imagenet, features.detach().float(), self.classes)
        loss = total_loss(losses, self.training)
        parameters = [*self.head["params"], *self.trunk["params"]]
        step_optimiser(self.optimiser, loss + self.training.direction_weight * direction, parameters)
        self.ema.update(self.tower)
        return _numbers(losses | {"loss": loss, "direction": direction})

    def validate(self, _: np.random.Generator) -> dict[str, float]:
        """Return the losses on whole pictures that are not trained on, as many as a batch."""
        from plugin_server.engine.inputs.images import fit

        pictures = self.held_out[: self.training.batch]
        views = [fit(read_rgb(picture.path), self.size.picture) for picture in pictures]
        first = len(self.pictures)
        with evaluating(self.tower):
            losses = self._forward(views, self.targets[first : first + len(pictures)])[1]
        return _numbers(losses | {"loss": total_loss(losses, self.training)})

    def _forward(self, views: list[np.ndarray], targets: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the features of the views before the tower's head, and the losses."""
        inputs = to_network(views, self.size.picture).to(self.device)
        # Depth-wise convolutions in bfloat16 are slower on a CPU, not quicker.
        with nullcontext() if self.device.type == "cpu" else precision(self.device):
            features = self.tower.features(self.tower.stem(inputs))
            outputs = functional.normalize(self.tower.vision.head(features).float(), dim=-1)
            guesses = functional.normalize(self.teachers.imagenet.probabilities(inputs) @ self.classes, dim=-1)
        return features, tower_losses(outputs, targets, guesses, self.training)

    def centre(self) -> None:
        """Set the centre of the averaged weights, and of the tower, to that of the pictures' embeddings."""
        averaged = ImageTower(self.size).eval()
        averaged.load_state_dict(self.ema.state)
        averaged.centre.zero_()
        embeddings = embed_pictures(averaged, [read_rgb(picture.path) for picture in self.pictures])
        averaged.centre_on(torch.from_numpy(embeddings))
        for centre in (self.tower.centre, self.ema.state["centre"]):
            centre.copy_(averaged.centre)


def _numbers(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    numbers = {name: float(loss.detach()) for name, loss in losses.items()}
    return numbers | {"cosine": 1 - numbers["text"]}


def train_image(
    pictures: Sequence[Picture],
    teachers: ImageTeachers,
    size: ImageTowerSize,
    training: ImageTraining,
    run: TrainingRun,
    held_out: Sequence[Picture] = (),
) -> None:
    """Train until `training.steps`, continuing from the run's checkpoint where it exists.

    Validation is on the pictures `held_out`.
    """
    seed = run.start_seed()
    trainer = ImageTrainer(pictures, held_out, teachers, size, training, run.device)
    parts: dict[str, Stateful] = {"model": trainer.tower, "average": trainer.ema, "optimiser": trainer.optimiser}
    checkpoint = Checkpoint(run.path, parts, CheckpointMetadata(seed=seed))
    schedule = Schedule(training.steps, training.learning_rate, budget_s=run.budget_s)
    intervals = run.intervals or Intervals(log=20, validate=150, save=150)
    validate = trainer.validate if held_out else None
    run_steps(checkpoint, [trainer.optimiser], schedule, trainer.do_step, validate, intervals)
    trainer.centre()
    checkpoint.save(training.steps)
