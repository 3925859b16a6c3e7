"""Teach the image tower to put a picture where the text tower puts its label and caption."""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
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
from onnx_export.training.checkpoint import Checkpoint
from onnx_export.training.ema import EMA
from onnx_export.training.loop import Schedule, precision, run_steps, step_optimiser

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageTraining:
    """How the tower is taught."""

    steps: int = 900
    batch: int = 64
    learning_rate: float = 1e-3
    """Of the projection."""
    trunk_scale: float = 0.15
    """The trunk, which knows pictures already, learns this much slower."""
    temperature: float = 15.0
    contrast_weight: float = 0.3
    synonym: float = 0.8
    """Pictures whose texts are at least so alike are no negatives of each other."""
    teacher_weight: float = 0.4
    """Of the cosine to where the teacher's guesses lie (ConSE, Norouzi et al. 2014): it knows more than our labels."""
    direction_weight: float = 0.5
    """Of the same for features moved towards one of the teacher's classes, which no picture of ours may show."""
    group_share: float = 2.0
    """Of the sounding group in a picture's place, beside one each of its label and its caption."""


@dataclass(frozen=True, slots=True)
class TargetEmbeddings:
    """Where texts lie, unit vectors (n, n_embedding)."""

    pictures: np.ndarray
    classes: np.ndarray
    """Of the teacher's classes."""

    @classmethod
    def find(cls, pictures: Sequence[Picture], tower: TextTower, group_share: float) -> "TargetEmbeddings":
        """By label, caption and sounding group of each picture, and by the first name and all names of each class."""
        found = embed_texts(tower, [p.label.lower() for p in pictures])
        found = found + embed_texts(tower, [p.caption.lower() for p in pictures])
        groups = sorted({p.group for p in pictures if p.group})
        placed = dict(zip(groups, embed_texts(tower, groups), strict=True))
        for row, picture in zip(found, pictures, strict=True):
            if picture.group:
                row += group_share * placed[picture.group]
        names = ImageNetTeacher.class_names()
        classes = embed_texts(tower, names) + embed_texts(tower, [name.split(",")[0] for name in names])
        return cls(unit(found), unit(classes))


class Augmentations:
    """Batches of pictures as a video's frames might show them: cut, turned, darkened, blurred, over one another."""

    def __init__(self, pictures: Sequence[Picture], size: int):
        self.size = size
        self.rng = np.random.default_rng()
        self.pixels = [read_rgb(picture.path) for picture in pictures]
        self.cut_outs = np.array([picture.kind != "photo" for picture in pictures])
        self.photos = np.flatnonzero(~self.cut_outs)
        # A label with many pictures shall not outweigh one with few, nor a drawing the photos.
        counts: dict[str, int] = {}
        for picture in pictures:
            name = picture.group or picture.label
            counts[name] = counts.get(name, 0) + 1
        odds = np.array([counts[p.group or p.label] ** -0.4 * (1.0 if p.kind == "photo" else 0.6) for p in pictures])
        self.odds = odds / odds.sum()

    def draw(self, batch: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Places of the pictures (batch,) and their views, uint8 (size, size, 3)."""
        chosen = self.rng.choice(len(self.pixels), batch, p=self.odds)
        return chosen, [self._view(i) for i in chosen]

    def _view(self, index: int) -> np.ndarray:
        picture = self._crop(self.pixels[index])
        if self.cut_outs[index] and len(self.photos) and self.rng.random() < 0.5:
            picture = self._paste(picture)
        if self.rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            if self.rng.random() < 0.5:
                picture = change(picture).enhance(self.rng.uniform(0.5, 1.35))
        if self.rng.random() < 0.15:
            picture = picture.filter(ImageFilter.GaussianBlur(self.rng.uniform(0.5, 2)))
        if self.rng.random() < 0.1:
            picture = picture.convert("L").convert("RGB")
        return np.asarray(picture)

    def _crop(self, pixels: np.ndarray) -> Image.Image:
        """A part with 35 to 100 % of the largest square, somewhat stretched."""
        height, width = pixels.shape[:2]
        side = min(height, width) * np.sqrt(self.rng.uniform(0.35, 1.0))
        stretch = np.exp(self.rng.uniform(-0.25, 0.25))
        w, h = min(width, side * stretch), min(height, side / stretch)
        left, top = self.rng.uniform(0, width - w), self.rng.uniform(0, height - h)
        box = (left, top, left + w, top + h)
        return Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)

    def _paste(self, picture: Image.Image) -> Image.Image:
        """A thing on white laid on a photo: what is nearly white lets the photo through."""
        scene = self._crop(self.pixels[self.rng.choice(self.photos)])
        white = np.asarray(picture).min(axis=2) > 243
        mask = Image.fromarray(np.where(white, 0, 255).astype(np.uint8))
        scene.paste(picture, mask=mask)
        return scene


def tower_loss(
    made: torch.Tensor, wanted: torch.Tensor, guessed: torch.Tensor, training: ImageTraining
) -> torch.Tensor:
    """Cosine to the texts and to the teacher's guess, and contrast with the batch (Radford et al. 2021).

    `made`, `wanted` and `guessed` are unit vectors (batch, n_embedding).
    """
    angle = (1 - (made * wanted).sum(-1)).mean() + training.teacher_weight * (1 - (made * guessed).sum(-1)).mean()
    own = torch.eye(len(made), dtype=torch.bool, device=made.device)
    synonyms = (wanted @ wanted.T > training.synonym) & ~own
    logits = (training.temperature * made @ wanted.T).masked_fill(synonyms, -1e4)
    place = torch.arange(len(made), device=made.device)
    contrast = functional.cross_entropy(logits, place) + functional.cross_entropy(logits.T, place)
    return 2 * angle + training.contrast_weight * contrast


def direction_loss(
    tower: ImageTower, teacher: ImageNetTeacher, features: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """One minus the cosine to the teacher's guess, for features (batch, 1280) moved towards classes of its own."""
    drawn = torch.randint(len(classes), (len(features),), device=features.device)
    share = torch.rand(len(features), 2, device=features.device)
    far = features.norm(dim=1, keepdim=True) * (0.15 + 0.5 * share[:, :1])
    moved = (features * share[:, 1:] + far * teacher.directions[drawn]).clamp(0, 6)
    wanted = functional.normalize(teacher.name(moved) @ classes, dim=-1)
    made = functional.normalize(tower.vision.head(moved), dim=-1)
    return (1 - (made * wanted).sum(-1)).mean()


def train_image(
    pictures: Sequence[Picture],
    texts: TextTower,
    teacher: ImageNetTeacher,
    size: ImageTowerSize,
    training: ImageTraining,
    path: Path,
    device: torch.device,
) -> None:
    """Train until `training.steps`, going on from `path` where it exists."""
    tower = ImageTower(size)
    places = TargetEmbeddings.find(pictures, texts, training.group_share)
    tower.start_from(teacher, torch.from_numpy(places.classes))
    wanted, classes = (torch.from_numpy(part).float().to(device) for part in (places.pictures, places.classes))
    # Statistics of a few thousand pictures are worse than those of the million behind the trunk: they stay.
    tower.eval()
    for network in (tower, teacher):
        # torch documents this form of the call, and its types leave it out.
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = EMA(tower, 0.995)
    head, trunk = tower.taught()
    groups = [head | {"weight_decay": 0.05}, trunk | {"weight_decay": 0.02, "scale": training.trunk_scale}]
    optimiser = torch.optim.AdamW(groups, lr=training.learning_rate, betas=(0.9, 0.98))
    views = Augmentations(pictures, size.picture.size)
    checkpoint = Checkpoint(path, {"model": tower, "average": average, "optimiser": optimiser})

    def do_step(step: int) -> dict[str, float]:
        chosen, seen = views.draw(training.batch)
        inputs = to_network(seen, size.picture).to(device)
        # Depth-wise convolutions in bfloat16 are slower on a CPU, not quicker.
        with nullcontext() if device.type == "cpu" else precision(device):
            features = tower.features(tower.stem(inputs))
            made = functional.normalize(tower.vision.head(features).float(), dim=-1)
            guessed = functional.normalize(teacher.likely(inputs) @ classes, dim=-1)
        target = wanted[torch.from_numpy(chosen).to(device)]
        loss = tower_loss(made, target, guessed, training)
        moved = direction_loss(tower, teacher, features.detach().float(), classes)
        step_optimiser(optimiser, loss + training.direction_weight * moved, [*head["params"], *trunk["params"]])
        average.update(tower)
        cosine = float((made.detach() * target).sum(-1).mean())
        return {"loss": float(loss.detach()), "cosine": cosine}

    run_steps(
        checkpoint, [optimiser], Schedule(training.steps, training.learning_rate), do_step, log_every=20, save_every=150
    )
    settled = ImageTower(size).eval()
    settled.load_state_dict(average.state)
    settled.centre.zero_()
    settled.centre_on(torch.from_numpy(embed_pictures(settled, [read_rgb(picture.path) for picture in pictures])))
    for centre in (tower.centre, average.state["centre"]):
        centre.copy_(settled.centre)
    checkpoint.save(training.steps)
