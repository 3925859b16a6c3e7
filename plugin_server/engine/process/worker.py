"""What runs inside the engine process: it owns the sessions and answers messages until its pipe closes."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from plugin_server.engine.bundles.registry import BundleRegistry, verify_bundle
from plugin_server.engine.families import LOADERS, Model
from plugin_server.engine.messages import EngineOptions, GenerationParams
from plugin_server.engine.process.client import GenerationResult, LoadedModel
from plugin_server.engine.sessions import Cancellation, SessionOptions, check_provider, choose_provider
from plugin_server.errors import BundleDamaged, ClipsonicError, EngineFailed

log = logging.getLogger(__name__)


class EngineProcess:
    """A reading thread takes messages, so that a cancel is heard while the main thread runs a model."""

    def __init__(self, pipe: Connection, options: EngineOptions) -> None:
        self._pipe, self._options = pipe, options
        self._bundles = BundleRegistry(options.bundle_folders)
        self._held: tuple[Model, LoadedModel] | None = None
        self._work: deque[tuple[Any, ...]] = deque()
        self._arrived = threading.Condition()
        self._running: tuple[int, Cancellation] | None = None
        self._cancelled = 0
        """Highest count of an order that was cancelled; orders are counted upwards."""

    def serve(self) -> None:
        """Answer until the daemon is gone; never returns."""
        threading.Thread(target=self._read, daemon=True, name="pipe").start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._work)
                kind, *rest = self._work.popleft()
            if kind == "load":
                self._answer(("not loaded", rest[0]), self._load, *rest)
            else:
                self._answer(("failed",), self._run, *rest)

    def _answer(self, failed: tuple[str, ...], work: Callable[..., tuple[str, object]], *arguments: object) -> None:
        try:
            self._pipe.send(work(*arguments))
        except ClipsonicError as error:
            self._pipe.send((*failed, error.code, str(error)))
        except MemoryError:
            self._pipe.send((*failed, EngineFailed.code, "out of memory; ask for fewer seconds"))
        except Exception as error:
            log.exception("engine")
            self._pipe.send((*failed, EngineFailed.code, f"the model failed: {error!r}"))

    def _read(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                # The daemon is gone, perhaps in the middle of a run: nobody wants what is being made.
                os._exit(0)
            with self._arrived:
                if message[0] == "cancel":
                    self._cancel(message[1])
                else:
                    self._work.append(message)
                    self._arrived.notify()

    def _cancel(self, count: int) -> None:
        self._cancelled = max(self._cancelled, count)
        if self._running and self._running[0] <= count:
            self._running[1].cancel()

    def _load(self, model: str) -> tuple[str, LoadedModel]:
        bundle = self._bundles.find(model)
        verify_bundle(bundle)
        if bundle.card.family not in LOADERS:
            raise BundleDamaged(f"{model}: family {bundle.card.family!r} is not served by this version")
        options = SessionOptions(choose_provider(self._options.device), self._options.threads)
        # One model at a time: the last one's memory is given back before the next is read.
        self._held = None
        loaded = LOADERS[bundle.card.family](bundle, options)
        check_provider(self._options.device, options.provider, loaded.provider)
        self._held = loaded, LoadedModel(model, bundle.checksum(), loaded.provider, loaded.sample_rate)
        return "loaded", self._held[1]

    def _run(self, count: int, order: GenerationParams) -> tuple[str, GenerationResult]:
        if self._held is None:
            raise EngineFailed("the engine holds no model: it died, and could not load the model again")
        model, about = self._held
        cancellation = Cancellation()
        with self._arrived:
            self._running = (count, cancellation)
            if count <= self._cancelled:
                cancellation.cancel()
        began = time.perf_counter()
        try:
            made = model.run(order, self._progress, cancellation)
        finally:
            with self._arrived:
                self._running = None
        if not np.isfinite(made.samples).all():
            raise EngineFailed("the model gave numbers that are no sound")
        spent = time.perf_counter() - began
        return "made", GenerationResult(made, about.sample_rate, about.model, about.checksum, spent)

    def _progress(self, fraction: float, stage: str) -> None:
        self._pipe.send(("progress", fraction, stage))
