"""Settings of a training run of the separator, as a TOML file has them: one dataclass a table."""

from dataclasses import dataclass, field

from onnx_export.clipsep.separator import SeparatorSize
from onnx_export.clipsep.training import SeparatorTraining


@dataclass(frozen=True, slots=True)
class SeparatorConfig:
    """The separator and its training."""

    separator: SeparatorSize = field(default_factory=SeparatorSize)
    training: SeparatorTraining = field(default_factory=SeparatorTraining)
