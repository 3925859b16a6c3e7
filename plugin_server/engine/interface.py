"""The engine's face: all that the daemon asks of one, wherever it runs."""

from collections.abc import Generator, Sequence
from typing import Protocol

from plugin_server.engine.messages import GenerationResult, LoadedModel, Params, ProgressCallback
from plugin_server.errors import ClipsonicError


def ignore_progress(_fraction: float, _stage: str) -> None:
    """Do nothing with a report of progress."""


class Engine(Protocol):
    """An engine. `run` is called by one thread at a time, everything else by any.

    `EngineClient` is the one that runs in a process of its own on this machine.
    """

    @property
    def state(self) -> str:
        """Return 'ready', 'starting', 'failed' when the last model asked for could not be loaded, or 'unloaded'."""
        ...

    @property
    def loaded(self) -> LoadedModel | None:
        """Return what the engine holds; None while it starts or loads."""
        ...

    @property
    def load_error(self) -> ClipsonicError | None:
        """Return why the last model asked for could not be loaded."""
        ...

    def start(self, model: str) -> None:
        """Start the engine and let it load `model`, without waiting for either. Raises EngineFailed."""
        ...

    def load(self, model: str, report: ProgressCallback = ignore_progress) -> LoadedModel:
        """Wait until the engine holds `model`. Raises what is wrong with the model or the engine, and Cancelled."""
        ...

    def unload(self, model: str) -> None:
        """Give back the memory that `model` takes. Raises UnknownModel when it is not loaded."""
        ...

    def run(
        self, model: str, items: Sequence[Params], report: ProgressCallback
    ) -> Generator[GenerationResult, None, None]:
        """Yield the result of each item in order, as it comes; closing the generator cancels what is left.

        `report` gets the progress of the whole run. Raises what `load` raises, and Cancelled.
        """
        ...

    def cancel(self) -> None:
        """Stop the run that goes on, if one does."""
        ...

    def stop(self) -> None:
        """End the engine for good; at once, also in the middle of a run. Only `start` begins anew."""
        ...
