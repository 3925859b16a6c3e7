"""The first code of the engine process. Small, since it runs before anything heavy is imported."""

import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from plugin_server.engine.messages import EngineOptions, LoadFailed
from plugin_server.errors import EngineFailed

NICENESS = 10
BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def serve_engine(pipe: Connection, options: EngineOptions) -> None:
    """Answer the requests on `pipe` until the daemon is gone: the body of the process."""
    # Ctrl-C in a terminal reaches every process, perhaps while this one still imports; the daemon alone decides when
    # the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _yield_to_others()
    try:
        from plugin_server.engine.process.worker import EngineWorker
    except Exception as error:
        # A broken onnxruntime, as a rule: an answer for whoever waits for the model, and no traceback.
        load = pipe.recv()
        pipe.send(LoadFailed(load.model, EngineFailed.code, f"the engine cannot be imported: {error}"))
        return
    EngineWorker(pipe, options).serve()


def _yield_to_others() -> None:
    """Run behind the daemon, which may be playing, and behind the host."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS)
    else:
        with suppress(OSError):
            os.nice(NICENESS)
