"""The model families: one file each, all with the same face, listed by the name that cards use."""

from collections.abc import Callable
from typing import Protocol

from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families import clipsonic
from plugin_server.engine.messages import GenerationParams, ModelOutput, ProgressCallback
from plugin_server.engine.sessions import Cancellation, SessionOptions


class Model(Protocol):
    """A bundle that is loaded and ready to run."""

    @property
    def provider(self) -> str:
        """Return the name of onnxruntime's provider that runs the heaviest graph."""
        ...

    @property
    def sample_rate(self) -> int:
        """Return the sample rate of what `run` gives, in hertz."""
        ...

    def run(self, params: GenerationParams, report: ProgressCallback, cancellation: Cancellation) -> ModelOutput:
        """Return the model's output for its parameters. Raises Cancelled or EngineFailed."""
        ...


LOADERS: dict[str, Callable[[Bundle, SessionOptions], Model]] = {"clipsonic": clipsonic.load}
