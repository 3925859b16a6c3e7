"""What `clipsonic clips` does: the library, with or without a daemon that runs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from plugin_server.commands.terminal import plain, table_lines
from plugin_server.errors import BadArgument, ClipsonicError
from plugin_server.server import build_library
from plugin_server.settings import Settings
from plugin_server.studio.library.library import Library, Page
from plugin_server.studio.library.records import ClipRecord, ClipState
from plugin_server.studio.library.undo import UndoStep

MAX_COUNT = 100_000
DONE = {
    "generate": ("not made", "made"),
    "delete": ("not deleted", "deleted"),
    "star": ("star as before", "star as after"),
    "tag": ("tags as before", "tags as after"),
}
"""What undoing and redoing a step of each kind comes to."""


def run_clips(settings: Settings, action: str, clip: str, words: Sequence[str], count: int) -> None:
    """Do one action and print what came of it.

    Raises BadArgument, UnknownClip, and what the library raises.
    """
    if not 1 <= count <= MAX_COUNT:
        raise BadArgument(f"count: got {count}, expected 1 to {MAX_COUNT}")
    if clip and Path(clip).is_file():
        # As a shell names files: from where the person is.
        clip = str(Path(clip).absolute())
    with closing(build_library(settings)) as library:
        # No daemon may have looked for a while.
        library.scan()
        for line in _actions(library, clip, " ".join(words), count)[action]():
            print(line)


def _actions(library: Library, clip: str, words: str, count: int) -> dict[str, Callable[[], Iterable[str]]]:
    return {
        "list": lambda: _table(library.newest(count), library.folder),
        "search": lambda: _table(library.search(words, count), library.folder),
        "info": lambda: _details(library.find(clip)),
        "open": lambda: _launch(library.find_file(clip).path),
        "reveal": lambda: _reveal(library.find_file(clip).path),
        "star": lambda: _details(library.star(clip)),
        "unstar": lambda: _details(library.star(clip, starred=False)),
        "tag": lambda: _details(library.tag(clip, words)),
        "delete": lambda: [f"in the trash: {library.delete(clip).path} (clipsonic clips undo brings it back)"],
        "undo": lambda: _step(library.undo(), 0),
        "redo": lambda: _step(library.redo(), 1),
    }


def _table(page: Page, folder: Path) -> Iterable[str]:
    """Columns as wide as what they hold; the prompt gets the rest of the line."""
    if not page.clips:
        return [f"no clips in {folder}"]
    lines = table_lines([_columns(clip) for clip in page.clips])
    more = page.total - len(page.clips)
    return [*lines, f"{page.total} clips in {folder}" + (f"; the other {more} with --count" if more else "")]


def _columns(clip: ClipRecord) -> tuple[str, ...]:
    made = datetime.fromtimestamp(clip.file.created_at).strftime("%Y-%m-%d %H:%M")
    about = f"{clip.file.prompt}  [{clip.tags}]" if clip.tags else clip.file.prompt
    return ("★" if clip.is_starred else " ", clip.id, made, f"{clip.file.seconds:g} s", plain(about))


def _details(clip: ClipRecord) -> Iterable[str]:
    fields = {
        "clip": clip.id,
        "file": str(clip.path) if clip.state == ClipState.PRESENT else f"{clip.path} ({clip.state})",
        "prompt": plain(clip.file.prompt),
        "tags": clip.tags,
        "star": "★" if clip.is_starred else "",
        "length": f"{clip.file.seconds:g} s",
        "made": datetime.fromtimestamp(clip.file.created_at).strftime("%Y-%m-%d %H:%M:%S"),
        "seed": f"{clip.file.seed}, take {clip.file.take}",
        "model": clip.file.model,
    }
    return [f"{name:7} {value}" for name, value in fields.items() if value]


def _step(step: UndoStep, side: int) -> Iterable[str]:
    return [f"{DONE[step.kind][side]}: {clip.path.name}" for clip in step.clips]


def _launch(path: Path) -> Iterable[str]:
    if sys.platform == "win32":
        os.startfile(path)
    else:
        _call(["open" if sys.platform == "darwin" else "xdg-open", str(path)])
    return [str(path)]


def _reveal(path: Path) -> Iterable[str]:
    """Windows and macOS mark the file in its folder; elsewhere the folder is opened."""
    if sys.platform == "win32":
        # Explorer ends with 1 when all is well, and wants its quotes where Python would not set them.
        subprocess.run(f'explorer /select,"{path}"', check=False)
    elif sys.platform == "darwin":
        _call(["open", "-R", str(path)])
    else:
        _call(["xdg-open", str(path.parent)])
    return [str(path)]


def _call(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ClipsonicError(f"{command[0]} cannot be started: {error.strerror}") from error
    if ended.returncode:
        reason = ended.stderr.strip() or "it did not say why"
        raise ClipsonicError(f"{command[0]} could not open {command[-1]}: {reason}")
