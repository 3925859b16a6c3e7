"""One clip from start to end: a daemon in a process of its own, a client that talks OSC with it, a picture."""

import os
import sys
import time
from pathlib import Path

from plugin_server.audio.formats.files import read_clip
from plugin_server.client import Client, number_of
from plugin_server.commands.daemon_process import start_daemon
from plugin_server.commands.terminal import ProgressBar, draw_spectrogram
from plugin_server.errors import ClipsonicError

SILENCE_S = 60.0
"""How long a daemon may say nothing."""


def run_demo(prompt: str, seconds: float | None, folder: Path | None) -> None:
    """Start a daemon on a free port, ask it for `prompt`, show progress and the clip, stop it.

    The last line printed is 'clip: ' and the path. Raises ClipsonicError when there is no clip.
    """
    flags = ["--folder", str(folder)] if folder else []
    with start_daemon(flags, lambda line: print(line, flush=True)) as daemon:
        port = daemon.port()
        daemon.wait_until_ready()
        path = _ask(port, prompt, seconds)
    clip = read_clip(path)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(draw_spectrogram(clip, colour=colour))
    print(f"clip: {path}")


def _ask(port: int, prompt: str, seconds: float | None) -> Path:
    print(f'sending /generate "{prompt}"' + (f" {seconds:g}" if seconds else ""), flush=True)
    bar, began = ProgressBar(sys.stdout), time.monotonic()
    try:
        path = _follow(port, prompt, seconds, bar)
    except TimeoutError as error:
        raise ClipsonicError(f"the daemon said nothing for {SILENCE_S:g} s") from error
    finally:
        bar.end()
    print(f"done after {time.monotonic() - began:.2f} s")
    return path


def _follow(port: int, prompt: str, seconds: float | None, bar: ProgressBar) -> Path:
    path = None
    with Client(port) as client:
        for message in client.generate(prompt, seconds, timeout_s=SILENCE_S):
            if message.address == "/progress":
                bar.show(number_of(message.arguments[1]), str(message.arguments[2]))
            elif message.address == "/clip":
                path = Path(str(message.arguments[2]))
            elif message.address == "/fail":
                raise ClipsonicError(str(message.arguments[2]))
    if path is None:
        raise ClipsonicError("the daemon said /done and sent no clip")
    return path
