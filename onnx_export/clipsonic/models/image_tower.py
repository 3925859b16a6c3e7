"""The image tower, pictures to the joint embedding: an open_clip vision model in a small configuration.

Official CLIP image towers are open_clip vision models too, so they take the same road to ONNX.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from onnx_export.torchvision_ops import declare_missing_operators
from plugin_server.engine.bundles.card import ImageSpec

IMAGENET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""efficientnet-lite0-57934424.pth (Tan and Le 2019, Apache-2.0), as a registry carries it."""


@dataclass(frozen=True, slots=True)
class ImageTowerSize:
    """Shape of the network, in open_clip's terms."""

    trunk: str = "tf_efficientnet_lite0"
    """A timm model, as open_clip's `timm_model_name`."""
    picture: ImageSpec = field(default_factory=lambda: ImageSpec(160, (0.5,) * 3, (0.5,) * 3))
    n_embedding: int = 384
    frozen_stages: int = 3
    """First stages of the trunk that are not trained: edges and textures, at three quarters of the cost."""
    zero_shot_share: float = 0.5
    """Length of a sure guess beside the trained branch's unit vector. Of 0.3, 0.5, 0.7 and 1 the best for photos of
    other kinds than those trained on, at hardly any loss for these."""
    centre_share: float = 0.5
    """Share of the mean embedding that is subtracted. Of 0, 0.5, 0.7, 0.85 and 1 the best for photos of either kind."""


class ImageTower(nn.Module):
    """Normalised pictures (batch, 3, size, size) to unit vectors (batch, n_embedding).

    Two branches on one stem: the one that is trained here, and the trunk as published, whose probabilities of
    ImageNet's classes become the mean embedding of their names (ConSE, Norouzi et al. 2014). The first knows our few
    thousand pictures, the second a million others.
    """

    centre: torch.Tensor

    def __init__(self, size: ImageTowerSize):
        super().__init__()
        self._operators = declare_missing_operators()
        from open_clip.timm_model import TimmModel

        self.size = size
        self.vision = TimmModel(
            size.trunk, size.n_embedding, size.picture.size, pool="avg", proj="linear", proj_bias=True
        )
        # The attribute has the name of its weights in checkpoints.
        self.guess = ZeroShotHead(size)
        self.register_buffer("centre", torch.zeros(size.n_embedding))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, n_embedding) of normalised pictures (batch, 3, size, size)."""
        stem = self.stem(pictures)
        own = nn.functional.normalize(self.vision.head(self.features(stem)).float(), dim=-1)
        both = nn.functional.normalize(own + self.size.zero_shot_share * self.guess(stem), dim=-1)
        return nn.functional.normalize(both - self.centre, dim=-1)

    def centre_on(self, embeddings: torch.Tensor) -> None:
        """Subtract from now on a share of the mean of pictures' embeddings (n, n_embedding).

        A picture of which little is known lies at the mean, near the words that happen to lie there too, and would be
        taken for them.
        """
        self.centre.copy_(self.size.centre_share * embeddings.mean(dim=0))

    def stem(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the features (batch, channels, height, width) that both branches begin with."""
        trunk = self.vision.trunk
        return trunk.blocks[: self.size.frozen_stages](trunk.bn1(trunk.conv_stem(pictures)))

    def features(self, stem: torch.Tensor) -> torch.Tensor:
        """Return the features (batch, 1280) of the branch that is trained, before its head."""
        trunk = self.vision.trunk
        return trunk.forward_head(trunk.bn2(trunk.conv_head(trunk.blocks[self.size.frozen_stages :](stem))))

    def start_from(self, teacher: "ImageNetTeacher", class_embeddings: torch.Tensor) -> None:
        """Begin with the teacher's trunk, and with embeddings (classes, n_embedding) of its classes' names."""
        weights = teacher.network.state_dict()
        self.vision.trunk.load_state_dict({name: weights[name] for name in self.vision.trunk.state_dict()})
        self.guess.start_from(teacher, class_embeddings)

    def trained_parameters(self) -> list[dict[str, list[nn.Parameter]]]:
        """Return the two groups of parameters that are trained: the head's, then the trunk's behind the stem.

        All others have no gradients from now on.
        """
        trunk = self.vision.trunk
        self.requires_grad_(requires_grad=False)
        groups = [[self.vision.head], [trunk.blocks[self.size.frozen_stages :], trunk.conv_head, trunk.bn2]]
        for part in (part for group in groups for part in group):
            part.requires_grad_(requires_grad=True)
        return [{"params": [p for part in group for p in part.parameters()]} for group in groups]


class ZeroShotHead(nn.Module):
    """The published trunk behind the stem: features of the stem to the mean embedding of its guesses.

    It is (batch, n_embedding), the shorter the less sure they are.
    """

    places: torch.Tensor
    """Embeddings (classes, n_embedding) of the classes' names; called so in checkpoints."""

    def __init__(self, size: ImageTowerSize):
        super().__init__()
        import timm

        # timm's networks have their parts only at run time.
        network: Any = timm.create_model(size.trunk, pretrained=False)
        self.frozen_stages = size.frozen_stages
        self.blocks = network.blocks[size.frozen_stages :]
        self.conv_head, self.bn2 = network.conv_head, network.bn2
        self.pool, self.classifier = network.global_pool, network.classifier
        self.register_buffer("places", torch.zeros(network.num_classes, size.n_embedding))

    def forward(self, stem: torch.Tensor) -> torch.Tensor:
        """Return the mean embedding (batch, n_embedding) of the classes, weighted by their probabilities."""
        features = self.pool(self.bn2(self.conv_head(self.blocks(stem))))
        return self.classifier(features).float().softmax(dim=-1) @ self.places

    def start_from(self, teacher: "ImageNetTeacher", class_embeddings: torch.Tensor) -> None:
        """Take the teacher's weights, and embeddings (classes, n_embedding) of its classes' names."""
        for name in ("conv_head", "bn2", "classifier"):
            getattr(self, name).load_state_dict(getattr(teacher.network, name).state_dict())
        self.blocks.load_state_dict(teacher.network.blocks[self.frozen_stages :].state_dict())
        self.places.copy_(class_embeddings)


class ImageNetTeacher(nn.Module):
    """EfficientNet-Lite0 as published: probabilities of ImageNet's classes, and their names."""

    network: Any
    """timm's networks have their parts only at run time."""

    def __init__(self, path: Path):
        """Read efficientnet-lite0-57934424.pth. Raises ValueError when it is another file."""
        super().__init__()
        self._operators = declare_missing_operators()
        import timm

        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        if checksum != IMAGENET_SHA256:
            raise ValueError(f"{path} has sha256 {checksum}, expected {IMAGENET_SHA256}")
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.network = network.eval().requires_grad_(requires_grad=False)
        # The file's names are those of another implementation; order and shapes are the same.
        values = torch.load(path, map_location="cpu", weights_only=True).values()
        self.network.load_state_dict(dict(zip(self.network.state_dict(), values, strict=True)))

    @staticmethod
    def class_names() -> list[str]:
        """Return the names of ImageNet's 1000 classes with synonyms, 'seashore, coast, ...', in the network's order."""
        from timm.data.imagenet_info import ImageNetInfo

        info = ImageNetInfo()
        return [info.index_to_description(i).lower() for i in range(info.num_classes())]

    @torch.no_grad()
    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (batch, 1000) of the classes for pictures (batch, 3, size, size)."""
        return self.network(pictures).float().softmax(dim=-1)

    def name(self, features: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (batch, 1000) of the classes for features (batch, 1280)."""
        return self.network.classifier(features).softmax(dim=-1)

    @property
    def directions(self) -> torch.Tensor:
        """The unit vectors (1000, 1280) along which features go when a class gets likelier."""
        return nn.functional.normalize(self.network.classifier.weight, dim=-1)


def to_network(pictures: list[np.ndarray], spec: ImageSpec) -> torch.Tensor:
    """Return the tower's input (batch, 3, size, size) for pixels, uint8 (size, size, 3) each."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(numbers)[None, :, None, None] for numbers in (spec.mean, spec.std))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def embed_views(tower: ImageTower, pixels: np.ndarray, n_views: int) -> np.ndarray:
    """Return unit vectors, float32 (n_views, n_embedding), of views of one picture uint8 (height, width, 3).

    The first view is the whole, the others are crops of half its area and more, every other one mirrored; they are the
    same each time.
    """
    height, width = pixels.shape[:2]
    rng = np.random.default_rng(height * 10_007 + width)
    views = [pixels]
    for i in range(1, n_views):
        share = np.sqrt(rng.uniform(0.5, 1.0))
        h, w = round(height * share), round(width * share)
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        crop = pixels[top : top + h, left : left + w]
        views.append(crop[:, ::-1] if i % 2 else crop)
    return embed_pictures(tower, views)


@torch.no_grad()
def embed_pictures(tower: ImageTower, pictures: list[np.ndarray], batch: int = 64) -> np.ndarray:
    """Return unit vectors, float32 (n, n_embedding), of pictures uint8 (height, width, 3) of any size."""
    from plugin_server.engine.inputs.images import fit

    spec = tower.size.picture
    parts = [
        tower(to_network([fit(p, spec) for p in pictures[i : i + batch]], spec)).numpy()
        for i in range(0, len(pictures), batch)
    ]
    return np.concatenate(parts)
