"""The engine as the daemon sees it: a process that is started, handed one order at a time, and started again when
it dies. What runs inside is in `process.py`; the two speak in tuples whose first element names the message."""

import logging
import multiprocessing
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from plugin_server.engine.order import Rendering, Report, TakeOrder
from plugin_server.errors import (
    BundleDamaged,
    Cancelled,
    ClipsonicError,
    EngineCrashed,
    EngineFailed,
    UnknownModel,
)

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
ERRORS = {error.code: error for error in (BundleDamaged, Cancelled, EngineFailed, UnknownModel)}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine process is started with."""

    bundle_folders: tuple[Path, ...]
    device: str = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an engine says of the bundle it holds."""

    model: str
    checksum: str
    provider: str
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Take:
    """What an engine gives back for an order."""

    made: Rendering
    sample_rate: int
    model: str
    checksum: str
    """Of the bundle that made it."""
    seconds_spent: float
    """Time that the model itself took."""


class _NeverBegun(EngineCrashed):
    """The process died before it had said a word about the order."""


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
        self._answers: deque[tuple] = deque()
        self._count = 0
        self.loaded: Loaded | None = None
        """What the process holds; None while it starts or loads."""
        self.load_error: ClipsonicError | None = None
        """Why the last model asked for could not be loaded."""

    @property
    def pid(self) -> int | None:
        """Process id, None when none runs."""
        process = self._process
        return process.pid if process else None

    def start(self, model: str) -> None:
        """Start the process and let it load `model`, without waiting for either."""
        with self._changed:
            self._spawn()
            self._ask(model)

    def load(self, model: str) -> Loaded:
        """Wait until the engine holds `model`. Raises UnknownModel, BundleDamaged, EngineFailed or EngineCrashed."""
        with self._changed:
            if self._process is None:
                self._spawn()
            if self._asked != model or self.load_error:
                self._ask(model)
            self._changed.wait_for(lambda: self.loaded or self.load_error or self._asked != model, START_TIMEOUT_S)
            if self.load_error:
                raise self.load_error
            if self.loaded is None:
                raise EngineCrashed("the engine process died while it loaded the model")
            return self.loaded

    def run(self, model: str, order: TakeOrder, report: Report) -> Take:
        """Samples for one order. Raises what `load` raises, and Cancelled, also when `report` raises it."""
        try:
            return self._run_once(model, order, report)
        except _NeverBegun:
            # It died idle, a moment before it was noticed: this order is not to blame and loses nothing.
            return self._run_once(model, order, report)

    def _run_once(self, model: str, order: TakeOrder, report: Report) -> Take:
        self.load(model)
        with self._changed:
            if self._process is None:
                raise EngineCrashed("the engine process was stopped")
            self._count += 1
            self._answers.clear()
            self._send("run", self._count, order)
        return self._await_take(report)

    def cancel(self) -> None:
        """Stop the order that runs now, if one does."""
        with self._changed:
            self._send("cancel", self._count)

    def stop(self) -> None:
        """End the process; at once, also in the middle of an order."""
        with self._changed:
            process, self._process = self._process, None
            self._asked = None
            self._answers.append(("crashed", None))
            self._changed.notify_all()
        if process:
            process.kill()
            process.join(5)

    def _spawn(self) -> None:
        pipe, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._options), name="clipsonic-engine", daemon=True
        )
        process.start()
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
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                break
            with self._changed:
                self._take_in(message)
                self._changed.notify_all()
        process.join(5)
        with self._changed:
            if process is self._process:
                self._mend(process)
                self._changed.notify_all()
        pipe.close()

    def _take_in(self, message: tuple) -> None:
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
        log.warning("the engine process died (exit code %s)", process.exitcode)
        model = self._asked if self.loaded else None
        self._answers.append(("crashed", process.exitcode))
        self._process = self._asked = self.loaded = None
        # One that died before it had loaded would die again: it is started on demand only.
        if model:
            self._spawn()
            self._ask(model)
        else:
            self.load_error = EngineCrashed(f"the engine process died while it loaded (exit code {process.exitcode})")

    def _await_take(self, report: Report) -> Take:
        """The answer to the order just sent, progress reported on the way."""
        refused: Cancelled | None = None
        begun = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._answers)
                kind, *rest = self._answers.popleft()
            if kind == "crashed":
                crash = EngineCrashed if begun else _NeverBegun
                raise crash(f"the engine process died (exit code {rest[0]}); it is being started again")
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
                return rest[0]


def _error(code: str, message: str) -> ClipsonicError:
    return ERRORS.get(code, EngineFailed)(message)


def _serve(pipe: Connection, options: EngineOptions) -> None:
    """Body of the process. Imported there only: the daemon itself never loads onnxruntime."""
    from plugin_server.engine.process import EngineProcess

    EngineProcess(pipe, options).serve()
