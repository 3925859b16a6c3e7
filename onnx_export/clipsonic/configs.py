"""Settings of each network's training: shapes and hyperparameters together, one table each in a TOML file."""

from dataclasses import dataclass, field

from onnx_export.clipsonic.models.clap import ClapSize
from onnx_export.clipsonic.models.denoiser import DenoiserSize
from onnx_export.clipsonic.models.image_tower import ImageTowerSize
from onnx_export.clipsonic.models.prior import PriorSize
from onnx_export.clipsonic.models.text_tower import TextTowerSize
from onnx_export.clipsonic.models.vocoder import VocoderSize
from onnx_export.clipsonic.training.clap import ClapTraining
from onnx_export.clipsonic.training.denoiser import DenoiserTraining
from onnx_export.clipsonic.training.image_tower import ImageTraining
from onnx_export.clipsonic.training.prior import PriorTraining
from onnx_export.clipsonic.training.text_tower import TextTraining
from onnx_export.clipsonic.training.vocoder import VocoderTraining
from plugin_server.audio.spectral import MelSettings


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Settings of the text tower."""

    text: TextTowerSize = field(default_factory=TextTowerSize)
    training: TextTraining = field(default_factory=TextTraining)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Settings of the image tower."""

    image: ImageTowerSize = field(default_factory=ImageTowerSize)
    training: ImageTraining = field(default_factory=ImageTraining)


@dataclass(frozen=True, slots=True)
class ClapConfig:
    """Settings of the contrastive model of words and sounds."""

    mel: MelSettings = field(default_factory=MelSettings)
    clap: ClapSize = field(default_factory=ClapSize)
    training: ClapTraining = field(default_factory=ClapTraining)


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """Settings of a diffusion prior."""

    prior: PriorSize = field(default_factory=PriorSize)
    training: PriorTraining = field(default_factory=PriorTraining)


@dataclass(frozen=True, slots=True)
class VocoderConfig:
    """Settings of the vocoder."""

    mel: MelSettings = field(default_factory=MelSettings)
    vocoder: VocoderSize = field(default_factory=VocoderSize)
    training: VocoderTraining = field(default_factory=VocoderTraining)


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """Settings of a denoiser that is trained on a catalogue of sounds."""

    mel: MelSettings = field(default_factory=MelSettings)
    denoiser: DenoiserSize = field(default_factory=DenoiserSize)
    """Its `n_embedding` is that of the conditioning."""
    training: DenoiserTraining = field(default_factory=DenoiserTraining)
