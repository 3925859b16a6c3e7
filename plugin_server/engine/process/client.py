"""The engine as the daemon sees it: a process that is started, handed one order at a time, and started again when
it dies. What runs inside is in `entry.py` and `process.py`; both sides speak in tuples whose first element names the
message."""

import logging
import multiprocessing
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from plugin_server.engine.messages import EngineOptions, GenerationParams, ProgressCallback
from plugin_server.engine.process.entry import serve_engine
from plugin_server.engine.rendering import ModelOutput
from plugin_server.errors import (
    BadFile,
    BundleDamaged,
    Cancelled,
    ClipsonicError,
    EngineCrashed,
    EngineFailed,
    UnknownModel,
    shown,
)

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
"""How long a model may take to load."""
HEARTBEAT_S = 0.25
"""How often whoever waits for a model is told so, and can stop waiting."""
ERRORS = {error.code: error for error in (BadFile, BundleDamaged, Cancelled, EngineFailed, UnknownModel)}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What an engine says of the bundle it holds."""

    model: str
    checksum: str
    provider: str
    sample_rate: int


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """What an engine gives back for an order."""

    made: ModelOutput
    sample_rate: int
    model: str
    checksum: str
    """Of the bundle that made it."""
    seconds_spent: float
    """Time that the model itself took."""


class _NeverBegun(EngineCrashed):
    """The process died before it had said a word about the order."""


def _ignore(fraction: float, stage: str) -> None:
    """A report that nobody reads."""


class Engine:
    """An engine process. `run` is called by one thread at a time, everything else by any.

    A listening thread takes what the process says, so that a crash is noticed and mended also when nobody waits.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._context = multiprocessing.get_context("spawn")
        self._changed = threading.Condition(threading.RLock())
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._asked: str | None = None
        self._stopped = False
        self._answers: deque[tuple[Any, ...]] = deque()
        self._count = 0
        self.loaded: LoadedModel | None = None
        """What the process holds; None while it starts or loads."""
        self.load_error: ClipsonicError | None = None
        """Why the last model asked for could not be loaded."""

    @property
    def state(self) -> str:
        """'ready', 'starting', 'failed' when the last model asked for could not be loaded, or 'unloaded'."""
        with self._changed:
            if self.load_error:
                return "failed"
            return "ready" if self.loaded else "starting" if self._process else "unloaded"

    @property
    def pid(self) -> int | None:
        """Process id, None when none runs."""
        process = self._process
        return process.pid if process else None

    def start(self, model: str) -> None:
        """Start the process and let it load `model`, without waiting for either. Raises EngineFailed."""
        with self._changed:
            self._stopped = False
            self._spawn()
            self._ask(model)

    def load(self, model: str, report: ProgressCallback = _ignore) -> LoadedModel:
        """Wait until the engine holds `model`, 60 s at most; `report` hears of the wait.

        Raises UnknownModel, BundleDamaged, EngineFailed or EngineCrashed; Cancelled once the engine was stopped, or
        when `report` raises it: then the waiting ends at once, and the process goes on loading.
        """
        until = time.monotonic() + START_TIMEOUT_S
        with self._changed:
            self._begin_loading(model)
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._settled(model), HEARTBEAT_S):
                    return self._outcome(model)
            if time.monotonic() > until:
                raise EngineFailed(f"{model} is still being loaded after {START_TIMEOUT_S:g} s; ask again later")
            # Not with the lock held: what is told may take locks of its own.
            report(0.0, "loading")

    def unload(self, model: str) -> None:
        """End the process that holds `model`, which gives back all of its memory, the GPU's too; the next order
        starts one again. Raises UnknownModel when another model is held, or none."""
        with self._changed:
            held = self._asked if self._process and not self.load_error else None
            if held != model:
                raise UnknownModel(f"model: got {shown(model)}, but {held or 'no model'} is loaded")
            process = self._forget()
        _kill(process)

    def _begin_loading(self, model: str) -> None:
        if self._stopped:
            return
        if self._process is None:
            self._spawn()
        if self._asked != model or self.load_error:
            self._ask(model)

    def _settled(self, model: str) -> bool:
        return bool(self.loaded or self.load_error or self._stopped or self._asked != model)

    def _outcome(self, model: str) -> LoadedModel:
        if self._stopped:
            raise Cancelled("the engine was stopped")
        if self.load_error:
            raise self.load_error
        if self._asked != model or self.loaded is None:
            raise EngineFailed(f"{model} was not loaded, since the engine was asked for something else meanwhile")
        return self.loaded

    def run(self, model: str, order: GenerationParams, report: ProgressCallback) -> GenerationResult:
        """Samples for one order. Raises what `load` raises, and Cancelled, also when `report` raises it."""
        try:
            return self._run_once(model, order, report)
        except _NeverBegun:
            # It died idle, a moment before it was noticed: this order is not to blame and loses nothing.
            return self._run_once(model, order, report)

    def _run_once(self, model: str, order: GenerationParams, report: ProgressCallback) -> GenerationResult:
        self.load(model, report)
        with self._changed:
            if self._stopped:
                raise Cancelled("the engine was stopped")
            self._count += 1
            self._answers.clear()
            if self._process is None:
                raise _NeverBegun("the engine process died")
            self._send("run", self._count, order)
        return self._await_take(report)

    def cancel(self) -> None:
        """Stop the order that runs now, if one does."""
        with self._changed:
            self._send("cancel", self._count)

    def stop(self) -> None:
        """End the process for good; at once, also in the middle of an order. Only `start` begins anew."""
        with self._changed:
            self._stopped = True
            process = self._forget()
            self._answers.append(("stopped",))
            self._changed.notify_all()
        _kill(process)

    def _forget(self) -> multiprocessing.process.BaseProcess | None:
        process, self._process = self._process, None
        self._asked = self.loaded = None
        return process

    def _spawn(self) -> None:
        """Raises EngineFailed when the system refuses another process."""
        try:
            pipe, theirs = self._context.Pipe()
            process = self._context.Process(
                target=serve_engine, args=(theirs, self._options), name="clipsonic-engine", daemon=True
            )
            process.start()
        except OSError as error:
            raise EngineFailed(f"the engine process cannot be started: {error}") from error
        theirs.close()
        self._pipe, self._process = pipe, process
        self._asked = self.loaded = self.load_error = None
        threading.Thread(target=self._listen, args=(pipe, process), name="engine", daemon=True).start()

    def _ask(self, model: str) -> None:
        self._asked, self.loaded, self.load_error = model, None, None
        self._send("load", model)

    def _send(self, *message: object) -> None:
        try:
            if self._pipe:
                self._pipe.send(message)
        except (OSError, ValueError) as error:
            # The listening thread finds the same, and mends it.
            log.debug("engine: %s", error)

    def _listen(self, pipe: Connection, process: multiprocessing.process.BaseProcess) -> None:
        try:
            while True:
                message = pipe.recv()
                with self._changed:
                    # One that was told to end may have said something before it did.
                    if process is self._process:
                        self._take_in(message)
                        self._changed.notify_all()
        except (EOFError, OSError) as error:
            log.debug("engine: %r", error)
        except Exception:
            # What follows in the pipe cannot be trusted either.
            log.exception("the engine process said what cannot be understood, and is ended")
            process.kill()
        process.join(5)
        with self._changed:
            if process is self._process:
                self._mend(process)
                self._changed.notify_all()
        pipe.close()

    def _take_in(self, message: tuple[Any, ...]) -> None:
        if message[0] == "loaded":
            if message[1].model == self._asked:
                self.loaded = message[1]
        elif message[0] == "not loaded":
            if message[1] == self._asked:
                self.load_error = _error(*message[2:])
        else:
            self._answers.append(message)

    def _mend(self, process: multiprocessing.process.BaseProcess) -> None:
        """Start again with the same model, so that the next order finds it ready."""
        died = f"the engine process died (exit code {process.exitcode})"
        log.warning("%s", died)
        model, error = self._asked if self.loaded else None, self.load_error
        self._forget()
        # One that died before it had loaded would die again: it is started on demand only.
        if model is None:
            self.load_error = error or EngineCrashed(f"{died} while it loaded the model")
            self._answers.append(("crashed", f"{died}; the next job starts it again"))
            return
        try:
            self._spawn()
            self._ask(model)
            self._answers.append(("crashed", f"{died}; it is being started again"))
        except ClipsonicError as error:
            self.load_error = error
            self._answers.append(("crashed", f"{died}, and {error}"))

    def _await_take(self, report: ProgressCallback) -> GenerationResult:
        """The answer to the order just sent, progress reported on the way."""
        refused: Cancelled | None = None
        begun = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._answers)
                kind, *rest = self._answers.popleft()
            if kind == "stopped":
                raise Cancelled("the engine was stopped")
            if kind == "crashed":
                raise (EngineCrashed if begun else _NeverBegun)(*rest)
            begun = True
            if kind == "progress" and not refused:
                try:
                    report(*rest)
                except Cancelled as error:
                    # Its answer is still waited for, or the next order would run beside it.
                    refused = error
                    self.cancel()
            elif kind == "failed":
                raise _error(*rest)
            elif kind == "made":
                if refused:
                    raise refused
                take: GenerationResult = rest[0]
                return take


def _error(code: str, message: str) -> ClipsonicError:
    return ERRORS.get(code, EngineFailed)(message)


def _kill(process: multiprocessing.process.BaseProcess | None) -> None:
    if process:
        process.kill()
        process.join(5)
