"""Lines on standard error: whose, how long, how many."""

import logging
import subprocess
import sys
import threading

import pytest

from plugin_server.logs import MAX_RECORDS, MAX_TEXT, LogHandler


@pytest.fixture
def lines() -> list[str]:
    return []


def logger(name: str, lines: list[str], **options: object) -> logging.Logger:
    """Return a logger of this name that writes to `lines` alone."""
    logger = logging.Logger(name, logging.DEBUG)
    logger.addHandler(LogHandler(write=lines.append, **options))
    return logger


def test_what_steers_a_terminal_is_not_written(lines):
    logger("plugin_server.x", lines).warning("got %s and %r", "\x1b[2Ja\nb\u202ec\x07", "\x1b\n")
    assert lines == ["WARNING plugin_server.x: got  [2Ja b c  and '\\x1b\\n'"]


def test_a_long_argument_is_cut_and_does_not_hide_the_next(lines):
    logger("plugin_server.x", lines).warning("%s: %s after %d", "a" * 100_000, "the reason", 3)
    assert lines[0].endswith("aaa...: the reason after 3") and len(lines[0]) < MAX_TEXT + 60


def test_a_kind_is_written_so_often_and_the_rest_is_counted(lines):
    log = logger("plugin_server.x", lines)
    for i in range(MAX_RECORDS + 7):
        log.warning("packet %d", i)
    log.warning("something else")
    assert len(lines) == MAX_RECORDS + 1
    log.handlers[0].tell_left_out()
    assert lines[-1] == "WARNING plugin_server.x: packet %d: 7 more within 60 s"


def test_the_count_is_told_by_itself(lines):
    is_told = threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        if "more within" in line:
            is_told.set()

    log = logging.Logger("plugin_server.x")
    log.addHandler(LogHandler(period_s=0.05, write=write))
    for _ in range(MAX_RECORDS + 1):
        log.warning("again")
    assert is_told.wait(5)
    log.warning("again")
    assert lines[-1] == "WARNING plugin_server.x: again"


def test_texts_that_others_built_do_not_fill_the_counts(lines):
    log = logger("asyncio", lines)
    for i in range(1000):
        log.error(f"got {i}")
    assert len(lines) == MAX_RECORDS


@pytest.mark.parametrize("name", ["root", "uvicorn.error", "websockets.server", "pythonosc.dispatcher", "py.warnings"])
def test_those_who_speak_of_what_was_received_are_not_heard(lines, name):
    logger(name, lines).error("Unhandled parameter type: x")
    assert lines == []
    logger(name, lines, is_verbose=True).error("Unhandled parameter type: %s", "x\n")
    assert len(lines) == 1


def failing(log: logging.Logger, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("it failed")


def test_a_fault_of_others_is_one_line(lines):
    log = logger("asyncio", lines)
    log.warning("socket.send() raised exception.")
    failing(log, "x\n" * 10_000)
    assert len(lines) == 1
    assert lines[0].startswith("ERROR asyncio: it failed: ValueError(") and len(lines[0]) < MAX_TEXT + 20


def test_an_own_fault_has_one_traceback_a_minute(lines):
    log = logger("plugin_server.x", lines)
    failing(log, "\x1b[31m" + "x" * 5000)
    failing(log, "again")
    assert lines[0] == "ERROR plugin_server.x: it failed" == lines[-1]
    assert sum("Traceback" in line for line in lines) == 1
    assert all(len(line) <= MAX_TEXT + 4 and line.isprintable() for line in lines)


def test_a_thread_that_dies_says_so_in_the_log():
    code = (
        "import threading; from plugin_server.logs import set_up_logging; set_up_logging()\n"
        "def fail(): raise ValueError('\\x1b[2J')\n"
        "thread = threading.Thread(target=fail, name='worker'); thread.start(); thread.join()"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert said.startswith("ERROR plugin_server.logs: thread worker\n") and "\x1b" not in said
