"""Node programs that are spoken to in JSON lines: each line a message and its atoms."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.journeys.conftest import need


@contextmanager
def talking(*command: str, **environment: str) -> Iterator[subprocess.Popen]:
    """A Node program until the block ends, and for a minute at most."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    node = need("node", "nodejs")
    with subprocess.Popen([node, *command], text=True, env=os.environ | environment, **pipes) as process:
        clock = threading.Timer(60, process.kill)
        clock.start()
        try:
            yield process
        finally:
            clock.cancel()
            process.stdin.close()
            process.wait(10)


def tell(process: subprocess.Popen, *atoms: str | float) -> None:
    """Send one message."""
    process.stdin.write(json.dumps(atoms) + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen, *until: str | float) -> list[list]:
    """What comes, up to and with the first message that begins with `until`."""
    heard = []
    for line in process.stdout:
        heard.append(json.loads(line))
        if heard[-1][: len(until)] == list(until):
            return heard
    raise AssertionError(f"no {until} came, but {heard}")
