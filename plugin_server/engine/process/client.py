"""The engine as the daemon sees it: a process that is started, given one run at a time, and started again when it dies.

The code inside the process is in `entry.py` and `worker.py`; both sides speak in the messages of `engine/messages.py`.
"""

import logging
import multiprocessing
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing

from plugin_server.engine.interface import ignore_progress
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
from plugin_server.engine.process.entry import serve_engine, signals_held_back
from plugin_server.engine.process.events import DiedIdle, EngineDied, EngineStopped, Event, error_of
from plugin_server.errors import Cancelled, ClipsonicError, EngineCrashed, EngineFailed, UnknownModel, short_repr

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
"""How long a model may take to load."""
HEARTBEAT_S = 0.25
"""Interval of the reports while a model loads; each of them may end the waiting."""


class EngineClient:
    """An engine in a process of its own, an `Engine`. `run` is called by one thread at a time, everything else by any.

    A listening thread takes the replies, so that a crash is noticed and the process restarted also when nobody waits.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._context = multiprocessing.get_context("spawn")
        self._changed = threading.Condition(threading.RLock())
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._requested_model: str | None = None
        self._stopped = False
        self._events: deque[Event] = deque()
        self._run_number = 0
        self._run_is_open = False
        """True from a Run to its last reply."""
        self.loaded: LoadedModel | None = None
        """The model that the process holds; None while it starts or loads."""
        self.load_error: ClipsonicError | None = None
        """The reason why the last requested model could not be loaded."""

    @property
    def state(self) -> str:
        """Return 'ready', 'starting', 'failed' when the last requested model could not be loaded, or 'unloaded'."""
        with self._changed:
            if self.load_error:
                return "failed"
            return "ready" if self.loaded else "starting" if self._process else "unloaded"

    @property
    def pid(self) -> int | None:
        """Return the process id, None when none runs."""
        process = self._process
        return process.pid if process else None

    def start(self, model: str) -> None:
        """Start the process and let it load `model`, without waiting for either. Raises EngineFailed."""
        with self._changed:
            self._stopped = False
            self._spawn()
            self._request_load(model)

    def load(self, model: str, report: ProgressCallback = ignore_progress) -> LoadedModel:
        """Wait until the engine holds `model`, 60 s at most; `report` is called during the wait.

        Raises UnknownModel, BundleDamaged, EngineFailed or EngineCrashed; Cancelled once the engine was stopped, or
        when `report` raises it: then the waiting ends at once, and the process goes on loading.
        """
        until = time.monotonic() + START_TIMEOUT_S
        with self._changed:
            self._begin_loading(model)
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._load_is_over(model), HEARTBEAT_S):
                    return self._load_outcome(model)
            if time.monotonic() > until:
                raise EngineFailed(f"{model} is still being loaded after {START_TIMEOUT_S:g} s; ask again later")
            # Not with the lock held: the callback may take locks of its own.
            report(0.0, "loading")

    def unload(self, model: str) -> None:
        """End the process that holds `model`, which gives back all of its memory, the GPU's too.

        The next run starts one again. Raises UnknownModel when another model is held, or none.
        """
        with self._changed:
            held = self._requested_model if self._process and not self.load_error else None
            if held != model:
                raise UnknownModel(f"model: got {short_repr(model)}, but {held or 'no model'} is loaded")
            process = self._clear()
        _kill(process)

    def _begin_loading(self, model: str) -> None:
        if self._stopped:
            return
        if self._process is None:
            self._spawn()
        if self._requested_model != model or self.load_error:
            self._request_load(model)

    def _load_is_over(self, model: str) -> bool:
        return bool(self.loaded or self.load_error or self._stopped or self._requested_model != model)

    def _load_outcome(self, model: str) -> LoadedModel:
        if self._stopped:
            raise Cancelled("the engine was stopped")
        if self.load_error:
            raise self.load_error
        if self._requested_model != model or self.loaded is None:
            raise EngineFailed(f"{model} was not loaded, since the engine was asked for something else meanwhile")
        return self.loaded

    def run(
        self, model: str, items: Sequence[Params], report: ProgressCallback
    ) -> Generator[GenerationResult, None, None]:
        """Yield the result of each item in order, as it comes, while the process goes on with the next.

        `report` gets the progress of the whole run. A generator that is closed, or whose `report` raises, cancels what
        is left of the run and waits for its end, or the next one would wait behind it; so use `contextlib.closing`
        where a loop over it may end early.

        Raises what `load` raises, and Cancelled.
        """
        try:
            yield from self._run_once(model, tuple(items), report)
        except DiedIdle:
            # It died idle, a moment before it was noticed: this run is not to blame and loses nothing.
            yield from self._run_once(model, tuple(items), report)

    def run_one(self, model: str, item: Params, report: ProgressCallback = ignore_progress) -> GenerationResult:
        """Return the result of a run of one item. Raises what `run` raises."""
        with closing(self.run(model, (item,), report)) as results:
            (result,) = results
        return result

    def _run_once(
        self, model: str, items: tuple[Params, ...], report: ProgressCallback
    ) -> Generator[GenerationResult, None, None]:
        self.load(model, report)
        with self._changed:
            if self._stopped:
                raise Cancelled("the engine was stopped")
            self._run_number = number = self._run_number + 1
            self._events.clear()
            if self._process is None:
                raise DiedIdle("the engine process died")
            self._run_is_open = True
            self._send(Run(number, items))
        try:
            yield from self._results(len(items), report)
        finally:
            self._close_run(number)

    def cancel(self) -> None:
        """Stop the run that goes on, if one does."""
        with self._changed:
            self._send(Cancel(self._run_number))

    def stop(self) -> None:
        """End the process for good; at once, also in the middle of a run. Only `start` begins anew."""
        with self._changed:
            self._stopped = True
            process = self._clear()
            self._events.append(EngineStopped())
            self._changed.notify_all()
        _kill(process)

    def _clear(self) -> multiprocessing.process.BaseProcess | None:
        process, self._process = self._process, None
        self._requested_model = self.loaded = None
        return process

    def _spawn(self) -> None:
        """Raises EngineFailed when the system refuses another process."""
        try:
            pipe, theirs = self._context.Pipe()
            process = self._context.Process(
                target=serve_engine, args=(theirs, self._options), name="clipsonic-engine", daemon=True
            )
            with signals_held_back():
                process.start()
        except OSError as error:
            raise EngineFailed(f"the engine process cannot be started: {error}") from error
        theirs.close()
        self._pipe, self._process = pipe, process
        self._requested_model = self.loaded = self.load_error = None
        threading.Thread(target=self._listen, args=(pipe, process), name="engine", daemon=True).start()

    def _request_load(self, model: str) -> None:
        self._requested_model, self.loaded, self.load_error = model, None, None
        self._send(Load(model))

    def _send(self, request: Request) -> None:
        try:
            if self._pipe:
                self._pipe.send(request)
        except (OSError, ValueError) as error:
            # The listening thread finds the same, and restarts the process.
            log.debug("engine: %s", error)

    def _listen(self, pipe: Connection, process: multiprocessing.process.BaseProcess) -> None:
        try:
            while True:
                reply: Reply = pipe.recv()
                with self._changed:
                    # One that was ended may have sent something before.
                    if process is self._process:
                        self._handle_message(reply)
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
                self._restart(process)
                self._changed.notify_all()
        pipe.close()

    def _handle_message(self, reply: Reply) -> None:
        match reply:
            case ModelLoaded(loaded):
                if loaded.model == self._requested_model:
                    self.loaded = loaded
            case LoadFailed(model, code, message):
                if model == self._requested_model:
                    self.load_error = error_of(code, message)
            case _:
                if reply.number == self._run_number:
                    self._events.append(reply)

    def _restart(self, process: multiprocessing.process.BaseProcess) -> None:
        """Start again with the same model, so that the next run finds it ready."""
        died = f"the engine process died (exit code {process.exitcode})"
        log.warning("%s", died)
        model, error = self._requested_model if self.loaded else None, self.load_error
        self._clear()
        # One that died before it had loaded would die again: it is started on demand only.
        if model is None:
            self.load_error = error or EngineCrashed(f"{died} while it loaded the model")
            self._events.append(EngineDied(f"{died}; the next job starts it again"))
            return
        try:
            self._spawn()
            self._request_load(model)
            self._events.append(EngineDied(f"{died}; it is being started again"))
        except ClipsonicError as error:
            self.load_error = error
            self._events.append(EngineDied(f"{died}, and {error}"))

    def _results(self, n_items: int, report: ProgressCallback) -> Generator[GenerationResult, None, None]:
        """Yield the results of the run just sent, and report its progress on the way."""
        has_begun = False
        while True:
            match self._next_event():
                case Progress(item=item, fraction=fraction, stage=stage):
                    report((item + fraction) / n_items, stage)
                case ItemFinished(result=result):
                    yield result
                case RunFinished():
                    return
                case RunFailed(code=code, message=message):
                    raise error_of(code, message)
                case EngineDied(message):
                    raise (EngineCrashed if has_begun else DiedIdle)(message)
                case EngineStopped():
                    raise Cancelled("the engine was stopped")
            has_begun = True

    def _close_run(self, number: int) -> None:
        """Cancel what is left of a run, and wait for its end. Raises EngineCrashed."""
        if number != self._run_number or not self._run_is_open:
            return
        self.cancel()
        while self._run_is_open:
            event = self._next_event()
            if isinstance(event, EngineDied):
                raise EngineCrashed(event.message)

    def _next_event(self) -> Event:
        with self._changed:
            self._changed.wait_for(lambda: self._events)
            event = self._events.popleft()
        if not isinstance(event, (Progress, ItemFinished)):
            self._run_is_open = False
        return event


def _kill(process: multiprocessing.process.BaseProcess | None) -> None:
    if process:
        process.kill()
        process.join(5)
