"""Requests to stop a daemon: Ctrl-C, SIGTERM, a terminal that closes; from the first instant to the last."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""What asks a process to end, on this system."""
LONGEST_STOP_S = 4.0
"""Seconds after which the process ends whatever it is at."""
INTERRUPTED = 130
"""Exit status of a command that was interrupted, as shells have it."""


class StopSignals:
    """Stops a daemon in order at the first signal, at once at a second Ctrl-C, and in a few seconds in any case.

    Before the daemon runs there is nothing to stop, and a signal ends the process at once: an interrupt while others'
    binary modules are imported may crash them.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], object] | None = None
        """Called at the first signal, in the main thread between any two instructions; None before the daemon runs."""
        self.is_stopping = False

    def install(self) -> None:
        """Handle the signals from now on; to be called by the main thread.

        SIGINT too where it is ignored, as in what a script starts in the background; SIGHUP not, since `nohup` is how
        people ask for that.
        """
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN or number.name != "SIGHUP":
                signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.stop is None:
            end_process(INTERRUPTED if number == signal.SIGINT else 0)
        if not self.is_stopping:
            self.is_stopping = True
            clock = threading.Timer(LONGEST_STOP_S, end_process)
            clock.daemon = True
            clock.start()
            self.stop()
        elif number == signal.SIGINT:
            # Others may come twice for one request: to the process, and to its group.
            end_process(INTERRUPTED)


def end_process(status: int = 0) -> NoReturn:
    """End this process and those it started, at once: threads that hang are not waited for."""
    try:
        # Where it was not imported, nothing was started.
        if multiprocessing := sys.modules.get("multiprocessing"):
            children = multiprocessing.active_children()
            for child in children:
                child.kill()
            for child in children:
                child.join(0.5)
    finally:
        os._exit(status)
