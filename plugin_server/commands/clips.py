"""`clipsonic clips`: the library, with or without a daemon that runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_server.commands.file_manager import open_file, reveal_file
from plugin_server.commands.flags import Commands, WordsParser, clip_named, settings_of_daemon
from plugin_server.commands.terminal import plain, table_lines
from plugin_server.errors import BadArgument, short_repr
from plugin_server.studio.paths import named_path

if TYPE_CHECKING:
    from plugin_server.studio.library.library import Library
    from plugin_server.studio.library.records import ClipRecord, Page
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
    "generate": ("taken out of the folder", "back in the folder"),
    "delete": ("back in the folder", "deleted again"),
    "star": ("star as before", "star as after"),
    "tag": ("tags as before", "tags as after"),
}
"""Result of undoing and of redoing a step of each kind."""


def add_parser(commands: Commands) -> None:
    """Add the command `clips` and its actions to the parser of `clipsonic`."""
    parser = commands.add_parser("clips", help="list, search and mark the clips that were made")
    folder = WordsParser(add_help=False)
    # Without a default, so that the flag means the same before and after the action.
    folder.add_argument("--folder", type=named_path, metavar="DIR", default=argparse.SUPPRESS, help="sample folder")
    as_json = WordsParser(add_help=False)
    as_json.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON, for programs")
    count = WordsParser(add_help=False, parents=[folder])
    count.add_argument(
        "-n", "--count", type=int, default=argparse.SUPPRESS, metavar="N", help="how many at most (default: 20)"
    )
    parser.add_argument("--folder", type=named_path, metavar="DIR", help="sample folder")
    parser.add_argument("-n", "--count", type=int, default=20, metavar="N", help="how many at most (default: 20)")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.set_defaults(run=run, action="list", words=[], clip="", remove=False)
    actions = parser.add_subparsers(title="instead of listing the newest", metavar="ACTION", parser_class=WordsParser)
    search = actions.add_parser(
        "search", parents=[count, as_json], help="those with these words in prompt, tags or name"
    )
    search.add_argument(
        "words", nargs="+", metavar="WORD", help="its beginning is enough; starred is a word too; -word: without it"
    )
    search.set_defaults(action="search")
    for name, text in ACTIONS.items():
        action = actions.add_parser(name, parents=[folder, as_json] if name == "info" else [folder], help=text)
        action.add_argument("clip", metavar="CLIP", help="its id, its file's name or path, or last")
        action.set_defaults(action=name)
        if name == "tag":
            action.add_argument("words", nargs="+", metavar="WORD", help="words to add; -word takes one away")
            action.add_argument("--remove", action="store_true", help="take these words away instead")
    for name, text in {"undo": "one step back", "redo": "what was undone last, again"}.items():
        actions.add_parser(name, parents=[folder], help=text).set_defaults(action=name)


def run(options: argparse.Namespace) -> None:
    """Do one action and print its result.

    Raises BadArgument, UnknownClip, and what the library raises.
    """
    from plugin_server.server import build_library

    settings = settings_of_daemon(options)
    if not 1 <= options.count <= MAX_COUNT:
        raise BadArgument(f"count: got {options.count}, expected 1 to {MAX_COUNT}")
    words = [f"-{word.removeprefix('-')}" for word in options.words] if options.remove else options.words
    with closing(build_library(settings)) as library:
        # No daemon may have looked for a while.
        library.scan()
        actions = _actions(library, clip_named(options.clip), " ".join(words), options.count, as_json=options.json)
        for line in actions[options.action]():
            print(line)


def _actions(
    library: Library, clip: str, words: str, count: int, *, as_json: bool
) -> dict[str, Callable[[], Iterable[str]]]:
    page, details = (_page_as_json, _details_as_json) if as_json else (_table, _details)
    return {
        "list": lambda: page(library.newest(count), library.folder),
        "search": lambda: page(library.search(words, count), library.folder, words),
        "info": lambda: details(library.find(clip)),
        "open": lambda: [open_file(library.find_file(clip).path)],
        "reveal": lambda: [reveal_file(library.find_file(clip).path)],
        "star": lambda: _details(library.star(clip)),
        "unstar": lambda: _details(library.star(clip, starred=False)),
        "tag": lambda: _details(library.tag(clip, words)),
        "delete": lambda: [f"in the trash: {library.delete(clip).path} (clipsonic clips undo brings it back)"],
        "undo": lambda: _step(library.undo(), 0),
        "redo": lambda: _step(library.redo(), 1),
    }


def _table(page: Page, folder: Path, words: str = "") -> Iterable[str]:
    """Return lines whose columns are as wide as their cells; the prompt gets the rest of the line.

    Files are named from the sample folder on, so that copies of a clip are told apart.
    """
    if not page.clips:
        return [f"no clips with {short_repr(words)} in {folder}" if words else f"no clips in {folder}"]
    lines = table_lines([_columns(clip) for clip in page.clips])
    more = page.total - len(page.clips)
    return [*lines, f"{page.total} clips in {folder}" + (f"; the other {more} with --count" if more else "")]


def _page_as_json(page: Page, folder: Path, _words: str = "") -> Iterable[str]:
    clips = [_values(clip) for clip in page.clips]
    return [json.dumps({"folder": str(folder), "total": page.total, "clips": clips}, indent=1)]


def _details_as_json(clip: ClipRecord) -> Iterable[str]:
    return [json.dumps(_values(clip), indent=1)]


def _values(clip: ClipRecord) -> dict[str, object]:
    """Return what is known of a clip, by the names that `/clip.info` has for it."""
    file = clip.file
    return {
        "id": clip.id,
        "path": str(clip.path),
        "file": file.relative_path,
        "seconds": file.seconds,
        "star": clip.is_starred,
        "state": clip.state.value,
        "seed": file.seed,
        "take": file.take,
        "model": file.model,
        "when": datetime.fromtimestamp(file.created_at).isoformat(" ", "seconds"),
        "prompt": file.prompt,
        "tags": clip.tags.split(),
    }


def _columns(clip: ClipRecord) -> tuple[str, ...]:
    made = datetime.fromtimestamp(clip.file.created_at).strftime("%Y-%m-%d %H:%M")
    about = f"{clip.file.prompt}  [{clip.tags}]" if clip.tags else clip.file.prompt
    length, file = f"{clip.file.seconds:g} s", plain(clip.file.relative_path)
    return ("★" if clip.is_starred else " ", clip.id, made, length, file, plain(about))


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
        "edited": f"from {clip.file.origin}" if clip.file.origin else "",
    }
    return [f"{name:7} {value}" for name, value in fields.items() if value]


def _step(step: UndoStep, side: int) -> Iterable[str]:
    return [f"{STEP_RESULTS[step.kind][side]}: {clip.path.name}" for clip in step.clips]
