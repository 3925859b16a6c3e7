"""`clipsonic demo`: one clip from start to end, by a daemon in a process of its own and a client that talks OSC."""

import argparse
import os
import sys
import time
from pathlib import Path

from plugin_server.commands.flags import Commands, settings_of
from plugin_server.commands.terminal import ProgressBar
from plugin_server.daemon_process import start_daemon
from plugin_server.errors import ClipsonicError
from plugin_server.settings import bundle_folders
from plugin_server.studio.paths import named_path

SILENCE_S = 60.0
"""Longest time between two messages of the daemon, in seconds."""


def add_parser(commands: Commands) -> None:
    """Add the command `demo` to the parser of `clipsonic`."""
    parser = commands.add_parser("demo", help="start a daemon, send it one prompt over OSC, show the clip")
    parser.add_argument("prompt", nargs="*", help="words for the sound (default: sea waves)")
    parser.add_argument("--seconds", type=float, help="length of the clip")
    parser.add_argument("--folder", type=named_path, metavar="DIR", help="sample folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make and show one clip. Raises BadSettings, UnknownModel, BundleDamaged, or ClipsonicError without a clip."""
    from plugin_server.commands.generate import read_words
    from plugin_server.engine.bundles.registry import BundleRegistry

    model = settings_of(options).model
    prompt, seconds = " ".join(options.prompt) or "sea waves", options.seconds
    if options.prompt and seconds is None:
        registry = BundleRegistry(bundle_folders())
        prompt, seconds = read_words(options.prompt, lambda: registry.find(model).card.lengths)
    run_demo(prompt, seconds, options.folder)


def run_demo(prompt: str, seconds: float | None, folder: Path | None) -> None:
    """Start a daemon on a free port, ask it for `prompt`, show progress and the clip, stop it.

    The last line printed is 'clip: ' and the path. Raises ClipsonicError when there is no clip.
    """
    from plugin_server.audio.formats.files import read_clip
    from plugin_server.audio.text_spectrogram import draw_spectrogram

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
    from plugin_server.client import Client, number_of

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
