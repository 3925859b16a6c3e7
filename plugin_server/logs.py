"""The log on standard error: one line a record, bounded in length and in pace whoever causes it.

The only place where the text of others reaches a terminal or a log file by way of `logging`.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from plugin_server.errors import one_line

OWN = ("plugin_server", "onnx_export", "presets")
"""Packages whose records are shown from warnings on."""
UNHEARD = ("root", "pythonosc", "uvicorn", "websockets", "h11", "py")
"""Loggers that speak of nothing but what was received or decoded: python-osc uses the root logger, `warnings` that of
py."""
MAX_TEXT = 200
"""Characters of an argument of a record, of a line of a traceback, and of a whole record of another package."""
MAX_LINE = 1000
"""Characters of a record."""
MAX_FRAMES = 40
"""Lines of a traceback."""
MAX_RECORDS = 10
"""Records of one kind in a minute; only the first of them may have a traceback."""
MAX_KINDS = 256
"""Kinds that are counted apart."""
PERIOD_S = 60.0
"""Seconds after which a kind may be told again."""


def set_up_logging(*, is_verbose: bool = False) -> None:
    """Write the log to standard error, where nothing else takes it; with all that other packages log if verbose."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if is_verbose else logging.WARNING)
    if not root.handlers:
        root.addHandler(LogHandler(is_verbose=is_verbose))
    # A log that cannot be written, as to a terminal that was closed, must not cost anything else.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_error


@dataclass(slots=True)
class _Kind:
    """Records of one kind since a time."""

    since: float
    n_records: int = 0
    n_left_out: int = 0


class LogHandler(logging.Handler):
    """Writes records as lines, `MAX_RECORDS` of a kind in a minute, and how many more there were."""

    def __init__(
        self, *, is_verbose: bool = False, period_s: float = PERIOD_S, write: Callable[[str], object] | None = None
    ) -> None:
        """Write lines by `write`, to standard error by default."""
        super().__init__()
        self._is_verbose, self._period_s, self._write = is_verbose, period_s, write or _write
        self._kinds: dict[str, _Kind] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless it is another package's or one of too many."""
        try:
            is_own = record.name.split(".")[0] in OWN
            if not (is_own or self._is_verbose) and not _is_fault(record):
                return
            # Others may have built their text, with what was received in it.
            kind = self._kind(f"{record.name}: {record.msg}" if is_own else record.name)
            kind.n_records += 1
            if kind.n_records > MAX_RECORDS:
                kind.n_left_out += 1
                self._tell_later()
                return
            self._write(_line_of(record, is_own=is_own))
            if record.exc_info and kind.n_records == 1 and (is_own or self._is_verbose):
                self._write_traceback(record)
        except Exception:
            self.handleError(record)

    def tell_left_out(self) -> None:
        """Write how many records were left out, and begin to count anew."""
        self.acquire()
        try:
            self._timer = None
            for name, kind in self._kinds.items():
                if kind.n_left_out:
                    what = one_line(name, MAX_TEXT)
                    self._write(f"WARNING {what}: {kind.n_left_out} more within {self._period_s:g} s")
            self._kinds.clear()
        finally:
            self.release()

    def _kind(self, name: str) -> _Kind:
        """Return the counts of a kind of this minute; those beyond MAX_KINDS are one."""
        now = time.monotonic()
        name = name if name in self._kinds or len(self._kinds) < MAX_KINDS else "others"
        kind = self._kinds.get(name)
        if kind is None or (now - kind.since > self._period_s and not kind.n_left_out):
            kind = self._kinds[name] = _Kind(now)
        return kind

    def _tell_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._period_s, self.tell_left_out)
            self._timer.daemon = True
            self._timer.start()

    def _write_traceback(self, record: logging.LogRecord) -> None:
        text = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        lines = text.splitlines()
        for line in lines[:1] + lines[1:][-MAX_FRAMES:]:
            self._write(f"    {one_line(line, MAX_TEXT)}")


def _is_fault(record: logging.LogRecord) -> bool:
    """Return whether a record of another package tells of a fault, rather than of what was received."""
    return record.levelno >= logging.ERROR and record.name.split(".")[0] not in UNHEARD


def _line_of(record: logging.LogRecord, *, is_own: bool) -> str:
    if is_own:
        text = one_line(_message(record), MAX_LINE)
    else:
        error = record.exc_info[1] if record.exc_info else None
        text = one_line(record.getMessage() + (f": {error!r}" if error else ""), MAX_TEXT)
    return f"{record.levelname} {record.name}: {text}"


class _Bounded:
    """An argument of a record, cut so that a long one does not hide what follows it."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return one_line(str(self._value), MAX_TEXT)

    def __repr__(self) -> str:
        return one_line(repr(self._value), MAX_TEXT)


def _message(record: logging.LogRecord) -> str:
    if not isinstance(record.args, tuple) or not record.args:
        return record.getMessage()
    return str(record.msg) % tuple(each if isinstance(each, int | float) else _Bounded(each) for each in record.args)


def _write(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _log_thread_error(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is SystemExit:
        return
    name = arguments.thread.name if arguments.thread else "?"
    error = arguments.exc_value or arguments.exc_type()
    logging.getLogger(__name__).error("thread %s", name, exc_info=error)
