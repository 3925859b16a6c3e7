"""One file a model family, all with the same face, listed by the name that cards use."""

from collections.abc import Callable
from typing import Protocol

from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families import clipsonic
from plugin_server.engine.messages import GenerationParams, ModelOutput, ProgressCallback
from plugin_server.engine.sessions import Cancellation, SessionOptions


class Model(Protocol):
    """A loaded bundle."""

    @property
    def provider(self) -> str:
        """Of onnxruntime, which runs the heaviest graph."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hertz of what `run` gives."""
        ...

    def run(self, order: GenerationParams, report: ProgressCallback, cancellation: Cancellation) -> ModelOutput:
        """The sound of an order. Raises Cancelled or EngineFailed."""
        ...


LOADERS: dict[str, Callable[[Bundle, SessionOptions], Model]] = {"clipsonic": clipsonic.load}
