"""The code inside the engine process: it owns the sessions and answers requests until its pipe closes."""

import logging
import os
import threading
import time
from collections import deque
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from plugin_server.engine.bundles.registry import BundleRegistry, verify_bundle
from plugin_server.engine.families import LOADERS, Model
from plugin_server.engine.messages import (
    Cancel,
    EngineOptions,
    GenerationResult,
    ItemFinished,
    Load,
    LoadedModel,
    LoadFailed,
    ModelLoaded,
    Params,
    Progress,
    ProgressCallback,
    Reply,
    Request,
    Run,
    RunFailed,
    RunFinished,
)
from plugin_server.engine.sessions import Cancellation, SessionOptions, check_provider, choose_provider
from plugin_server.errors import BundleDamaged, ClipsonicError, EngineFailed

log = logging.getLogger(__name__)


class EngineWorker:
    """The engine process: a reading thread takes requests, so that a cancel arrives while the main thread is busy."""

    def __init__(self, pipe: Connection, options: EngineOptions) -> None:
        self._pipe, self._options = pipe, options
        self._bundles = BundleRegistry(options.bundle_folders)
        self._loaded: tuple[Model, LoadedModel] | None = None
        self._queue: deque[Load | Run] = deque()
        self._arrived = threading.Condition()
        self._running: tuple[int, Cancellation] | None = None
        self._cancelled_up_to = 0
        """Highest number of a run that was cancelled; runs are counted upwards."""

    def serve(self) -> None:
        """Answer until the daemon is gone; never returns."""
        threading.Thread(target=self._read, daemon=True, name="pipe").start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._queue)
                request = self._queue.popleft()
            match request:
                case Load(model):
                    self._send(self._answer_load(model))
                case Run():
                    self._send(self._answer_run(request))

    def _answer_load(self, model: str) -> ModelLoaded | LoadFailed:
        try:
            return ModelLoaded(self._load(model))
        except Exception as error:
            return LoadFailed(model, *_code_and_message(error))

    def _answer_run(self, run: Run) -> RunFinished | RunFailed:
        """Send the result of each item as soon as it is there, and return the last reply."""
        try:
            self._run(run)
            return RunFinished(run.number)
        except Exception as error:
            return RunFailed(run.number, *_code_and_message(error))

    def _read(self) -> None:
        while True:
            try:
                request: Request = self._pipe.recv()
            except (EOFError, OSError):
                # The daemon is gone, perhaps in the middle of a run: nobody wants the result.
                os._exit(0)
            with self._arrived:
                match request:
                    case Cancel(number):
                        self._cancel(number)
                    case Load() | Run():
                        self._queue.append(request)
                        self._arrived.notify()

    def _cancel(self, number: int) -> None:
        self._cancelled_up_to = max(self._cancelled_up_to, number)
        if self._running and self._running[0] <= number:
            self._running[1].cancel()

    def _load(self, model: str) -> LoadedModel:
        bundle = self._bundles.find(model)
        verify_bundle(bundle)
        if bundle.card.family not in LOADERS:
            raise BundleDamaged(f"{model}: family {bundle.card.family!r} is not served by this version")
        options = SessionOptions(choose_provider(self._options.device), self._options.threads)
        # One model at a time: the last one's memory is given back before the next is read.
        self._loaded = None
        network = LOADERS[bundle.card.family](bundle, options)
        check_provider(self._options.device, options.provider, network.provider)
        about = LoadedModel(model, bundle.checksum(), network.provider, network.sample_rate)
        self._loaded = network, about
        return about

    def _run(self, run: Run) -> None:
        if self._loaded is None:
            raise EngineFailed("the engine holds no model: it died, and could not load the model again")
        cancellation = Cancellation()
        with self._arrived:
            self._running = (run.number, cancellation)
            if run.number <= self._cancelled_up_to:
                cancellation.cancel()
        try:
            for index, params in enumerate(run.items):
                result = self._generate(params, partial(self._send_progress, run.number, index), cancellation)
                self._send(ItemFinished(run.number, index, result))
        finally:
            with self._arrived:
                self._running = None

    def _generate(self, params: Params, report: ProgressCallback, cancellation: Cancellation) -> GenerationResult:
        assert self._loaded
        model, about = self._loaded
        began = time.perf_counter()
        output = model.run(params, report, cancellation)
        if not np.isfinite(output.samples).all():
            raise EngineFailed("the model gave numbers that are no sound")
        spent = time.perf_counter() - began
        return GenerationResult(output, about.sample_rate, about.model, about.checksum, spent)

    def _send_progress(self, number: int, item: int, fraction: float, stage: str) -> None:
        self._send(Progress(number, item, fraction, stage))

    def _send(self, reply: Reply) -> None:
        try:
            self._pipe.send(reply)
        except OSError:
            # The daemon is gone, which the reading thread is about to see.
            os._exit(0)


def _code_and_message(error: Exception) -> tuple[str, str]:
    """Return an error as it crosses the pipe: the code of its class and a sentence."""
    match error:
        case ClipsonicError():
            return error.code, str(error)
        case MemoryError():
            return EngineFailed.code, "out of memory; ask for fewer seconds"
        case _:
            log.error("engine", exc_info=error)
            return EngineFailed.code, f"the model failed: {error!r}"
