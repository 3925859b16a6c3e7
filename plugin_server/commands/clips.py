"""`clipsonic clips`: the library, with or without a daemon that runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_server.commands.file_manager import open_file, reveal_file
from plugin_server.commands.flags import Commands, settings_of
from plugin_server.commands.terminal import plain, table_lines
from plugin_server.errors import BadArgument

if TYPE_CHECKING:
    from plugin_server.studio.library.library import Library, Page
    from plugin_server.studio.library.records import ClipRecord
    from plugin_server.studio.library.undo import UndoStep

MAX_COUNT = 100_000
ACTIONS = {
    "info": "all that is known of one",
    "open": "play or edit it with the system's program for it",
    "reveal": "show its file in the Finder, Explorer or file manager",
    "star": "give it a star",
    "unstar": "take its star away",
    "tag": "add words to it",
    "delete": "put its file into the system's trash",
}
"""Help of the actions on one clip."""
STEP_RESULTS = {
    "generate": ("not made", "made"),
    "delete": ("not deleted", "deleted"),
    "star": ("star as before", "star as after"),
    "tag": ("tags as before", "tags as after"),
}
"""Result of undoing and of redoing a step of each kind."""


def add_parser(commands: Commands) -> None:
    """Add the command `clips` and its actions to the parser of `clipsonic`."""
    parser = commands.add_parser("clips", help="list, search and mark the clips that were made")
    folder = argparse.ArgumentParser(add_help=False)
    # Without a default, so that the flag means the same before and after the action.
    folder.add_argument("--folder", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="sample folder")
    count = argparse.ArgumentParser(add_help=False, parents=[folder])
    count.add_argument(
        "-n", "--count", type=int, default=argparse.SUPPRESS, metavar="N", help="how many at most (default: 20)"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="sample folder")
    parser.add_argument("-n", "--count", type=int, default=20, metavar="N", help="how many at most (default: 20)")
    parser.set_defaults(run=run, action="list", words=[], clip="", remove=False)
    actions = parser.add_subparsers(title="instead of listing the newest", metavar="ACTION")
    search = actions.add_parser("search", parents=[count], help="those with these words in prompt, tags or name")
    search.add_argument("words", nargs="+", metavar="WORD", help="its beginning is enough; starred is a word too")
    search.set_defaults(action="search")
    for name, text in ACTIONS.items():
        action = actions.add_parser(name, parents=[folder], help=text)
        action.add_argument("clip", metavar="CLIP", help="its id, its file's name or path, or last")
        action.set_defaults(action=name)
        if name == "tag":
            action.add_argument("words", nargs="+", metavar="WORD", help="words to add")
            action.add_argument("--remove", action="store_true", help="take the words away instead")
    for name, text in {"undo": "one step back", "redo": "what was undone last, again"}.items():
        actions.add_parser(name, parents=[folder], help=text).set_defaults(action=name)


def run(options: argparse.Namespace) -> None:
    """Do one action and print its result.

    Raises BadArgument, UnknownClip, and what the library raises.
    """
    from plugin_server.server import build_library

    settings = settings_of(options)
    if not 1 <= options.count <= MAX_COUNT:
        raise BadArgument(f"count: got {options.count}, expected 1 to {MAX_COUNT}")
    clip = options.clip
    if clip and Path(clip).is_file():
        # As a shell names files: from where the person is.
        clip = str(Path(clip).absolute())
    words = [f"-{word}" for word in options.words] if options.remove else options.words
    with closing(build_library(settings)) as library:
        # No daemon may have looked for a while.
        library.scan()
        for line in _actions(library, clip, " ".join(words), options.count)[options.action]():
            print(line)


def _actions(library: Library, clip: str, words: str, count: int) -> dict[str, Callable[[], Iterable[str]]]:
    return {
        "list": lambda: _table(library.newest(count), library.folder),
        "search": lambda: _table(library.search(words, count), library.folder),
        "info": lambda: _details(library.find(clip)),
        "open": lambda: [open_file(library.find_file(clip).path)],
        "reveal": lambda: [reveal_file(library.find_file(clip).path)],
        "star": lambda: _details(library.star(clip)),
        "unstar": lambda: _details(library.star(clip, starred=False)),
        "tag": lambda: _details(library.tag(clip, words)),
        "delete": lambda: [f"in the trash: {library.delete(clip).path} (clipsonic clips undo brings it back)"],
        "undo": lambda: _step(library.undo(), 0),
        "redo": lambda: _step(library.redo(), 1),
    }


def _table(page: Page, folder: Path) -> Iterable[str]:
    """Return lines whose columns are as wide as their cells; the prompt gets the rest of the line."""
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
    from plugin_server.studio.library.records import ClipState

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
    return [f"{STEP_RESULTS[step.kind][side]}: {clip.path.name}" for clip in step.clips]
