"""What the addresses below `/clip/` do.

A file system may be slow, and another process may hold the index: so all of it is done in one thread, beside the loop,
and answered in the order in which it was asked.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from plugin_server.errors import BadArgument, ClipsonicError, QueueFull
from plugin_server.protocol.osc import as_switch, as_text, as_whole, split_attributes
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.subscribers import Peer
from plugin_server.studio.entries import Entry
from plugin_server.studio.history import Step
from plugin_server.studio.library import Library, Page
from plugin_server.studio.requests import SEED_LIMIT, Generate
from plugin_server.studio.studio import request_like

log = logging.getLogger(__name__)

USUAL_COUNT, MAX_COUNT = 20, 200
"""Clips that are told at once: each is a packet, and a patch's socket holds some hundreds."""
MAX_WAITING = 256
"""Commands that may wait for the library."""
MAX_TEXT = 500
"""Characters of a prompt and of tags that are sent, so that a packet stays small; the file has all."""

Reply = tuple[str | int | float, ...]
"""Address and arguments."""
Submit = Callable[[Peer, Generate], None]
"""Queues a request for a peer, from any thread."""


class Answers(Protocol):
    """The way back to who asked."""

    def later(self, work: Callable[[], None]) -> None: ...

    def reply(self, peer: Peer, address: str, *arguments: str | int | float) -> None: ...

    def fail(self, peer: Peer, address: str, error: ClipsonicError) -> None: ...


class ClipCommands:
    """Handlers of all addresses below `/clip/`."""

    def __init__(self, library: Library, submit: Submit, answers: Answers) -> None:
        self._library, self._submit, self._answers = library, submit, answers
        self._thread = ThreadPoolExecutor(1, "clips")
        self._waiting = 0

    def handlers(self) -> dict[str, Callable[[Peer, Sequence[Atom]], None]]:
        """By address; to be called on the loop."""
        works = {
            "/clip/list": self._list,
            "/clip/search": self._search,
            "/clip/info": self._info,
            "/clip/star": self._star,
            "/clip/tag": self._tag,
            "/clip/delete": self._delete,
            "/clip/undo": self._undo,
            "/clip/redo": self._redo,
            "/clip/again": self._again,
            "/clip/scan": self._scan,
        }
        return {address: self._handler(address, work) for address, work in works.items()}

    def stop(self) -> None:
        """Do what waits, then nothing more."""
        self._thread.shutdown()

    def _handler(
        self, address: str, work: Callable[[Peer, Sequence[Atom]], list[Reply]]
    ) -> Callable[[Peer, Sequence[Atom]], None]:
        def handle(peer: Peer, arguments: Sequence[Atom]) -> None:
            if self._waiting >= MAX_WAITING:
                raise QueueFull(f"{MAX_WAITING} commands wait for the library already; try again later")
            self._waiting += 1
            try:
                self._thread.submit(self._do, peer, address, lambda: work(peer, arguments))
            except RuntimeError as error:
                self._waiting -= 1
                raise ClipsonicError("the daemon is being stopped") from error

        return handle

    def _do(self, peer: Peer, address: str, work: Callable[[], list[Reply]]) -> None:
        """In the thread: work, and let the loop tell what came of it."""
        try:
            replies = work()
        except ClipsonicError as error:
            self._answers.later(lambda error=error: self._refuse(peer, address, error))
        except Exception as error:
            log.exception("%s", address)
            told = ClipsonicError(f"something unforeseen went wrong: {error!r}")
            self._answers.later(lambda: self._refuse(peer, address, told))
        else:
            self._answers.later(lambda: self._tell(peer, replies))

    def _refuse(self, peer: Peer, address: str, error: ClipsonicError) -> None:
        self._waiting -= 1
        self._answers.fail(peer, address, error)

    def _tell(self, peer: Peer, replies: list[Reply]) -> None:
        self._waiting -= 1
        for address, *arguments in replies:
            self._answers.reply(peer, address, *arguments)

    def _list(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        _at_most(2, "how many, and from where", arguments)
        count, first = (*arguments, *(USUAL_COUNT, 0)[len(arguments) :])
        count, first = _count(count), _first(first)
        return _page("/clip/list", self._library.newest(count, first), first)

    def _search(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        positional, attributes = split_attributes(arguments)
        for name, atoms in attributes.items():
            if name not in ("count", "from"):
                raise BadArgument(f"attribute: got @{name[:40]}, expected one of @count @from")
            if len(atoms) != 1:
                raise BadArgument(f"{name}: got {len(atoms)} values, expected one")
        count, first = _count(*attributes.get("count", [USUAL_COUNT])), _first(*attributes.get("from", [0]))
        words = " ".join(as_text("words", atom) for atom in positional)
        return _page("/clip/search", self._library.search(words, count, first), first)

    def _info(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        (clip,) = _exactly(1, "a clip", arguments)
        return _one("/clip/info", self._library.find(as_text("clip", clip)))

    def _star(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        _at_most(2, "a clip, and 0 or 1", arguments)
        clip, *switch = _at_least_one("clip", arguments)
        star = as_switch("star", switch[0]) if switch else True
        return _one("/clip/star", self._library.star(as_text("clip", clip), star))

    def _tag(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        clip, *words = _at_least_one("clip", arguments)
        return _one("/clip/tag", self._library.tag(as_text("clip", clip), " ".join(as_text("tags", w) for w in words)))

    def _delete(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        (clip,) = _exactly(1, "a clip", arguments)
        return _one("/clip/delete", self._library.delete(as_text("clip", clip)))

    def _undo(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        _exactly(0, "nothing", arguments)
        return _step("/clip/undo", self._library.undo())

    def _redo(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        _exactly(0, "nothing", arguments)
        return _step("/clip/redo", self._library.redo())

    def _again(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        _at_most(2, "a clip, and a seed", arguments)
        clip, *seed = _at_least_one("clip", arguments)
        request, _ = request_like(self._library.find_file(as_text("clip", clip)).path)
        request = replace(request, seed=as_whole("seed", seed[0]) if seed else other_seed(request.seed))
        self._submit(peer, request)
        return []

    def _scan(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        _exactly(0, "nothing", arguments)
        scanned = self._library.scan()
        return [("/done", "/clip/scan", scanned.new, scanned.moved, scanned.gone)]


def other_seed(seed: int | None) -> int:
    """Any seed but this one."""
    drawn = secrets.randbelow(SEED_LIMIT)
    return drawn + 1 if seed is not None and drawn >= seed else drawn


def _info_of(entry: Entry) -> Reply:
    made = datetime.fromtimestamp(entry.made).isoformat(" ", "seconds")
    # An int of OSC has 32 bits; a file that was tampered with may name more.
    seed, take = min(entry.seed, SEED_LIMIT), min(entry.take, SEED_LIMIT)
    text = (entry.prompt[:MAX_TEXT], entry.tags[:MAX_TEXT])
    head = (entry.id[:64], str(entry.path), float(entry.seconds), int(entry.star), entry.state)
    return ("/clip.info", *head, seed, take, entry.model[:64], made, *text)


def _page(address: str, page: Page, first: int) -> list[Reply]:
    infos = [_info_of(entry) for entry in page.entries]
    return [("/clip.list", len(infos), page.total, first), *infos, ("/done", address, len(infos))]


def _one(address: str, entry: Entry) -> list[Reply]:
    return [_info_of(entry), ("/done", address, entry.id[:64])]


def _step(address: str, step: Step) -> list[Reply]:
    return [*(_info_of(entry) for entry in step.entries), ("/done", address, step.kind, len(step.entries))]


def _count(atom: Atom) -> int:
    return _between("count", as_whole("count", atom), 1, MAX_COUNT)


def _first(atom: Atom) -> int:
    return _between("from", as_whole("from", atom), 0, SEED_LIMIT)


def _between(name: str, number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise BadArgument(f"{name}: got {number}, expected {low} to {high}")
    return number


def _exactly(count: int, what: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    if len(arguments) != count:
        raise BadArgument(f"arguments: got {len(arguments)}, expected {what}")
    return arguments


def _at_most(count: int, what: str, arguments: Sequence[Atom]) -> None:
    if len(arguments) > count:
        raise BadArgument(f"arguments: got {len(arguments)}, expected {what}")


def _at_least_one(name: str, arguments: Sequence[Atom]) -> Sequence[Atom]:
    if not arguments:
        raise BadArgument(f"{name}: got nothing, expected 'last', or a clip's id, name or path")
    return arguments
