"""One clip from start to end: a daemon in a process of its own, a client that talks OSC with it, a picture."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from plugin_server.audio.wav import read_clip
from plugin_server.client import Client
from plugin_server.errors import ClipsonicError
from plugin_server.terminal import ProgressBar, draw_spectrogram

START_TIMEOUT_S = 60.0


def run_demo(prompt: str, seconds: float | None, folder: Path | None) -> None:
    """Start a daemon on a free port, ask it for `prompt`, show progress and the clip, stop it.

    The last line printed is 'clip: ' and the path. Raises ClipsonicError when there is no clip.
    """
    command = [sys.executable, "-m", "plugin_server", "serve", "--osc-port", "0"]
    command += ["--folder", str(folder)] if folder else []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as daemon:
        try:
            path = _ask(_port(daemon), prompt, seconds)
        finally:
            daemon.terminate()
    clip = read_clip(path)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(draw_spectrogram(clip, colour=colour))
    print(f"clip: {path}")


def _port(daemon: subprocess.Popen) -> int:
    """Port that the daemon says it listens on, once it is ready."""
    port = None
    for line in daemon.stdout:
        print(line, end="", flush=True)
        if found := re.search(r"listens for OSC on \S+:(\d+)", line):
            port = int(found[1])
        if line.startswith("ready"):
            return port
    raise ClipsonicError("the daemon ended before it was ready")


def _ask(port: int, prompt: str, seconds: float | None) -> Path:
    print(f'sending /generate "{prompt}"' + (f" {seconds:g}" if seconds else ""), flush=True)
    bar, began, path = ProgressBar(sys.stdout), time.monotonic(), None
    with Client(port) as client:
        for message in client.generate(prompt, seconds, timeout_s=START_TIMEOUT_S):
            if message.address == "/progress":
                bar.show(float(message.arguments[1]), str(message.arguments[2]))
            elif message.address == "/clip":
                path = Path(str(message.arguments[2]))
            elif message.address == "/fail":
                raise ClipsonicError(str(message.arguments[2]))
    bar.end()
    if path is None:
        raise ClipsonicError("the daemon said /done and sent no clip")
    print(f"done after {time.monotonic() - began:.2f} s")
    return path
