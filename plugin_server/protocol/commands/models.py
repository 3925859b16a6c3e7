"""The addresses below `/model/`: list, load and unload bundles."""

import asyncio
from collections.abc import Iterable, Sequence

from plugin_server.audio.names import same_name
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.interface import Engine
from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import as_words
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import Argument, LiveRange, Row
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.requests import LoadModel, UnloadModel

ROWS = (
    Row("/model/list", "installed models", replies=("/model", "/done"), is_read_only=True),
    Row(
        "/model/load",
        "have a model ready before it is asked for a clip",
        (Argument("name", range=LiveRange.MODELS),),
        replies=("/queued", "/progress", "/done"),
    ),
    Row(
        "/model/unload",
        "give the memory of a model back",
        (Argument("name", range=LiveRange.MODELS),),
        replies=("/queued", "/done"),
    ),
)
"""Rows of the address table that this file answers."""


class ModelCommands:
    """Handlers of all addresses below `/model/`."""

    def __init__(self, bundles: BundleRegistry, engine: Engine, generator: ClipGenerator, events: JobEvents) -> None:
        self._bundles, self._engine, self._generator, self._events = bundles, engine, generator, events

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {"/model/list": self._list, "/model/load": self._load, "/model/unload": self._unload}

    async def _list(self, _peer: Peer, _arguments: Sequence[Atom]) -> Iterable[Reply]:
        bundles, loaded = await asyncio.to_thread(self._bundles.bundles), self._engine.loaded
        replies: list[Reply] = []
        for name, bundle in sorted(bundles.items()):
            card = bundle.card
            is_loaded = int(loaded is not None and loaded.model == name)
            replies.append(("/model", name, card.family, card.verb, card.version, card.embedding.name, is_loaded))
        return [*replies, ("/done", "/model/list", len(bundles))]

    async def _load(self, peer: Peer, arguments: Sequence[Atom]) -> Iterable[Reply]:
        name = _read_name(arguments)
        # As with clips: a model that is not there is refused at once.
        card = await asyncio.to_thread(self._generator.card, name)
        self._events.submit(peer, LoadModel(card.name))
        return ()

    def _unload(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        name = _read_name(arguments)
        self._events.submit(peer, UnloadModel(same_name(name, self._bundles.known()) or name))
        return ()


def _read_name(arguments: Sequence[Atom]) -> str:
    if len(arguments) != 1:
        raise BadArgument(f"model: got {len(arguments)} arguments, expected one name")
    return as_words("model", arguments)
