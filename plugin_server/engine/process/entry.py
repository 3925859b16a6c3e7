"""The first code of the engine process. Small, since it runs before anything heavy is imported."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from plugin_server.engine.messages import EngineOptions, LoadFailed
from plugin_server.errors import EngineFailed
from plugin_server.logs import set_up_logging
from plugin_server.stop_signals import STOP_SIGNALS

NICENESS = 10
BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def serve_engine(pipe: Connection, options: EngineOptions) -> None:
    """Answer the requests on `pipe` until the daemon is gone: the body of the process."""
    ignore_signals()
    set_up_logging()
    _yield_to_others()
    # The daemon may go at any moment, and nobody waits for an answer then.
    with suppress(EOFError, OSError):
        try:
            from plugin_server.engine.process.worker import EngineWorker
        except Exception as error:
            # A broken onnxruntime, as a rule: an answer for whoever waits for the model, and no traceback.
            load = pipe.recv()
            pipe.send(LoadFailed(load.model, EngineFailed.code, f"the engine cannot be imported: {error}"))
            return
        EngineWorker(pipe, options).serve()


def ignore_signals() -> None:
    """Ignore every request to stop.

    Ctrl-C in a terminal, its closing and a service manager's stop reach every process, but the daemon alone decides
    when the engine ends, after it has told those who wait.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Have a process that is started in the block begin with these signals blocked, since it cannot ignore them yet."""
    if sys.platform == "win32":
        yield
        return
    # Python's helper process is started first: it lets these signals through again when it is.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _yield_to_others() -> None:
    """Run behind the daemon, which may be playing, and behind the host."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS)
    else:
        with suppress(OSError):
            os.nice(NICENESS)
