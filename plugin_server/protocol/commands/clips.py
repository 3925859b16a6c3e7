"""The addresses below `/clip/`, which work in the library's thread.

A file system may be slow, and another process may hold the index.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from plugin_server.errors import BadArgument
from plugin_server.protocol.access import check_images
from plugin_server.protocol.arguments import (
    as_clip,
    as_switch,
    as_whole,
    as_words,
    at_most,
    check_attribute,
    check_range,
    exactly,
    split_attributes,
)
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.generate_arguments import parse_attributes
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import ON_OFF, Argument, Range, Row, request_arguments
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.records import ClipRecord, Page
from plugin_server.studio.library.undo import UndoStep
from plugin_server.studio.requests import NAMED_ATTRIBUTES, SEED_LIMIT, Generate
from plugin_server.studio.reuse import change_request, request_like
from plugin_server.studio.seeds import other_seed

PAGE_LENGTHS = Range(1, 200)
"""Clips that are sent at once: each is a packet, and a patch's socket holds some hundreds."""
PAGE_STARTS = Range(0, SEED_LIMIT)
PAGE_ATTRIBUTES = (
    Argument("count", "i", PAGE_LENGTHS, optional=True),
    Argument("from", "i", PAGE_STARTS, optional=True),
)
ROWS = (
    Row(
        "/clip/list",
        "the newest clips, 20 of them; from 0 on",
        # OSCQuery has never shown their ranges, PAGE_LENGTHS and PAGE_STARTS.
        (Argument("how many", "i", optional=True), Argument("from", "i", optional=True)),
        replies=("/clip.list", "/clip.info", "/done"),
        is_read_only=True,
    ),
    Row(
        "/clip/search",
        "clips with all these words, or their beginnings, in prompt, tags or name; starred is such a word; -word "
        "leaves out the clips that have it",
        (Argument("words"),),
        PAGE_ATTRIBUTES,
        replies=("/clip.list", "/clip.info", "/done"),
        is_read_only=True,
    ),
    Row(
        "/clip/info",
        "one clip: its id, its file's name or path, or last",
        (Argument("clip"),),
        replies=("/clip.info", "/done"),
        is_read_only=True,
    ),
    Row(
        "/clip/star",
        "give a clip a star, or take it away",
        (Argument("clip"), Argument("switch", "i", ON_OFF, optional=True, shows_range=True)),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/tag",
        "add words to a clip's tags; -word takes one away",
        (Argument("clip"), Argument("words")),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/delete",
        "put a clip's file into the system's trash",
        (Argument("clip"),),
        replies=("/clip.info", "/done"),
    ),
    Row(
        "/clip/undo",
        "one step back: a request's takes, a deletion, a star, a tag",
        replies=("/clip.info", "/done"),
    ),
    Row("/clip/redo", "the step that was undone last, again", replies=("/clip.info", "/done")),
    Row(
        "/clip/again",
        "the same request with another seed; attributes change it",
        (Argument("clip"), Argument("seed", "i", optional=True)),
        request_arguments(NAMED_ATTRIBUTES),
        replies=("/queued", "/progress", "/clip", "/done"),
    ),
    Row("/clip/scan", "compare the library with the sample folder now"),
)
"""Rows of the address table that this file answers."""

DEFAULT_COUNT = 20
"""Clips that are sent at once where nothing else is said."""
MAX_TEXT = 500
"""Characters of a prompt and of tags that are sent, so that a packet stays small; the file has all."""

Submit = Callable[[Peer, Generate], None]
"""Checks a request and queues it for a peer, from any thread."""


class ClipCommands:
    """Handlers of all addresses below `/clip/`."""

    def __init__(self, library: Library, thread: CommandThread, submit: Submit, tempo: Callable[[], float]) -> None:
        """`tempo` returns the beats a minute of bars for which none are known."""
        self._library, self._thread, self._submit, self._tempo = library, thread, submit, tempo

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {
            "/clip/list": self._in_thread(self._list),
            "/clip/search": self._in_thread(self._search),
            "/clip/info": self._in_thread(self._info),
            "/clip/star": self._in_thread(self._star),
            "/clip/tag": self._in_thread(self._tag),
            "/clip/delete": self._in_thread(self._delete),
            "/clip/undo": self._in_thread(self._undo),
            "/clip/redo": self._in_thread(self._redo),
            "/clip/again": self._again,
            "/clip/scan": self._in_thread(self._scan),
        }

    def _in_thread(self, command: Callable[[Sequence[Atom]], list[Reply]]) -> Handler:
        return lambda _peer, arguments: self._thread.run(lambda: command(arguments))

    def _list(self, arguments: Sequence[Atom]) -> list[Reply]:
        at_most(2, "how many, and from where", arguments)
        how_many, where = [*arguments, None, None][:2]
        count, first = _count(DEFAULT_COUNT if how_many is None else how_many), _first(0 if where is None else where)
        return _page("/clip/list", self._library.newest(count, first), first)

    def _search(self, arguments: Sequence[Atom]) -> list[Reply]:
        positional, attributes = split_attributes(arguments)
        for name, atoms in attributes.items():
            check_attribute(name, (attribute.name for attribute in PAGE_ATTRIBUTES))
            if len(atoms) != 1:
                raise BadArgument(f"{name}: got {len(atoms)} values, expected one")
        count, first = _count(*attributes.get("count", [DEFAULT_COUNT])), _first(*attributes.get("from", [0]))
        words = as_words("words", positional)
        return _page("/clip/search", self._library.search(words, count, first), first)

    def _info(self, arguments: Sequence[Atom]) -> list[Reply]:
        (clip,) = exactly(1, "a clip", arguments)
        return _one("/clip/info", self._library.find(as_clip(clip)))

    def _star(self, arguments: Sequence[Atom]) -> list[Reply]:
        at_most(2, "a clip, and 0 or 1", arguments)
        clip, *switch = _at_least_one("clip", arguments)
        star = as_switch("star", switch[0]) if switch else True
        return _one("/clip/star", self._library.star(as_clip(clip), starred=star))

    def _tag(self, arguments: Sequence[Atom]) -> list[Reply]:
        clip, *words = _at_least_one("clip", arguments)
        return _one("/clip/tag", self._library.tag(as_clip(clip), as_words("tags", words)))

    def _delete(self, arguments: Sequence[Atom]) -> list[Reply]:
        (clip,) = exactly(1, "a clip", arguments)
        return _one("/clip/delete", self._library.delete(as_clip(clip)))

    def _undo(self, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        return _step("/clip/undo", self._library.undo())

    def _redo(self, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        return _step("/clip/redo", self._library.redo())

    def _again(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        check_images(arguments, peer)
        return self._thread.run(lambda: self._submit_again(peer, arguments))

    def _submit_again(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        positional, attributes = split_attributes(arguments)
        at_most(2, "a clip, and a seed", positional)
        clip, *seed = _at_least_one("clip", positional)
        if seed and "seed" in attributes:
            raise BadArgument("seed: got it twice, expected it once")
        changes = parse_attributes(attributes | ({"seed": seed} if seed else {}))
        path = self._library.find_file(as_clip(clip)).path
        request, _ = request_like(path, changes.get("images", ()))
        if changes.get("seed") is None:
            changes["seed"] = other_seed(request.seed)
        self._submit(peer, change_request(request, changes, self._tempo()))
        return []

    def _scan(self, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        scanned = self._library.scan()
        return [("/done", "/clip/scan", scanned.new, scanned.moved, scanned.missing)]


def _clip_info(clip: ClipRecord) -> Reply:
    created_at = datetime.fromtimestamp(clip.file.created_at).isoformat(" ", "seconds")
    # An int of OSC has 32 bits; a file that was tampered with may name more.
    seed, take = min(clip.file.seed, SEED_LIMIT), min(clip.file.take, SEED_LIMIT)
    texts = (clip.file.prompt[:MAX_TEXT], clip.tags[:MAX_TEXT])
    head = (clip.id[:64], str(clip.path), float(clip.file.seconds), int(clip.is_starred), clip.state.value)
    return ("/clip.info", *head, seed, take, clip.file.model[:64], created_at, *texts)


def _page(address: str, page: Page, first: int) -> list[Reply]:
    infos = [_clip_info(clip) for clip in page.clips]
    return [("/clip.list", len(infos), page.total, first), *infos, ("/done", address, len(infos))]


def _one(address: str, clip: ClipRecord) -> list[Reply]:
    return [_clip_info(clip), ("/done", address, clip.id[:64])]


def _step(address: str, step: UndoStep) -> list[Reply]:
    return [*(_clip_info(clip) for clip in step.clips), ("/done", address, step.kind, len(step.clips))]


def _count(atom: Atom) -> int:
    return check_range("count", as_whole("count", atom), PAGE_LENGTHS)


def _first(atom: Atom) -> int:
    return check_range("from", as_whole("from", atom), PAGE_STARTS)


def _at_least_one(name: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    if not arguments:
        raise BadArgument(f"{name}: got nothing, expected 'last', or a clip's id, name or path")
    return arguments
