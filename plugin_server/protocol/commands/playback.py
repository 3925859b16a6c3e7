"""Live output over OSC: /play, /stop, /volume, /tempo and /device/*. Answers once the player has done it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from plugin_server.audio.playback.player import Cue, Player
from plugin_server.errors import BadArgument, ClipsonicError
from plugin_server.protocol.arguments import (
    as_number,
    as_switch,
    as_text,
    at_most,
    check_attribute,
    check_range,
    only_number,
    split_attributes,
)
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import LOOP_POINTS, PLAY_ATTRIBUTES, TEMPOS, VOLUMES, Range
from plugin_server.studio.library.library import Library

ATTRIBUTES = {attribute.name: attribute for attribute in PLAY_ATTRIBUTES}
T = TypeVar("T")
Reply = Callable[..., None]
Handler = Callable[[Peer, Sequence[Atom]], None]


class PlaybackCommands:
    """Handlers of the addresses that sound. Each hands its work to the player's thread and answers afterwards."""

    def __init__(
        self, player: Player, library: Library, loop: asyncio.AbstractEventLoop, reply: Reply, fail: Reply
    ) -> None:
        self._player, self._library, self._loop = player, library, loop
        self._reply, self._fail = reply, fail
        self._tasks: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Handler]:
        """By address."""
        return {
            "/play": self._play,
            "/stop": self._stop,
            "/volume": self._volume,
            "/tempo": self._tempo,
            "/link": self._link,
            "/device/list": self._list_devices,
            "/device/set": self._set_device,
        }

    def _play(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        name, values = parse_play(arguments)

        def work() -> str:
            path = self._library.find_file(name).path
            self._player.play(Cue(path, **values))
            return str(path)

        self._do(peer, "/play", work, lambda path: self._reply(peer, "/done", "/play", name, path))

    def _stop(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        name = _only("clip", arguments, "all")
        if name == "all":
            self._do(peer, "/stop", self._player.stop, lambda _: self._reply(peer, "/done", "/stop", "all"))
            return

        def work() -> None:
            self._player.stop(self._library.find_file(name).path)

        self._do(peer, "/stop", work, lambda _: self._reply(peer, "/done", "/stop", name))

    def _volume(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        volume = only_number("volume", arguments, VOLUMES)
        self._do(
            peer,
            "/volume",
            lambda: self._player.set_volume(volume),
            lambda _: self._reply(peer, "/done", "/volume", volume),
        )

    def _tempo(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        bpm = only_number("tempo", arguments, TEMPOS) if arguments else None

        def work() -> float:
            if bpm is not None:
                self._player.set_tempo(bpm)
            return self._player.bpm

        self._do(peer, "/tempo", work, lambda now: self._reply(peer, "/done", "/tempo", float(now)))

    def _link(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        switch = as_switch("link", at_most(1, "0 or 1, or nothing", arguments)[0]) if arguments else None
        self._do(
            peer,
            "/link",
            lambda: self._player.link(switch),
            lambda now: self._reply(peer, "/done", "/link", int(now[0]), now[1], float(now[2])),
        )

    def _list_devices(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        def answer(devices: list[tuple[str, int, int, bool]]) -> None:
            for name, n_channels, sample_rate, in_use in devices:
                self._reply(peer, "/device", name, n_channels, sample_rate, int(in_use))
            self._reply(peer, "/done", "/device/list", len(devices))

        self._do(peer, "/device/list", self._player.devices, answer)

    def _set_device(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        name = _only("device", arguments)
        self._do(
            peer,
            "/device/set",
            lambda: self._player.set_device(name),
            lambda opened: self._reply(peer, "/done", "/device/set", opened),
        )

    def _do(self, peer: Peer, address: str, work: Callable[[], T], answer: Callable[[T], None]) -> None:
        """Work in the player's thread, then answer, or tell what went wrong, on the loop."""

        async def follow() -> None:
            try:
                answer(await asyncio.wrap_future(self._player.submit(work)))
            except ClipsonicError as error:
                self._fail(peer, address, error)
            except Exception as error:
                self._fail(peer, address, ClipsonicError(f"something unforeseen went wrong: {error!r}"))

        task = self._loop.create_task(follow())
        # The loop holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def parse_play(arguments: Sequence[Atom]) -> tuple[str, dict[str, Any]]:
    """Clip and the checked attributes of `/play`, by the names of `Cue`. Raises BadArgument."""
    positional, attributes = split_attributes(arguments)
    values: dict[str, Any] = {}
    for name, atoms in attributes.items():
        check_attribute(name, ATTRIBUTES)
        values[name] = _attribute(name, atoms)
    return _only("clip", positional, "last"), values


def _attribute(name: str, atoms: list[Atom]) -> object:
    if name == "loop" and len(atoms) == 2:
        return tuple(only_number(name, [atom], LOOP_POINTS) for atom in atoms)
    if len(atoms) != 1:
        raise BadArgument(f"{name}: got {len(atoms)} values, expected one")
    if name == "loop":
        return as_switch(name, atoms[0])
    attribute = ATTRIBUTES[name]
    value = as_number(name, atoms[0]) if attribute.tag == "f" else as_text(name, atoms[0])
    return check_range(name, value, attribute.range) if isinstance(attribute.range, Range) else value


def _only(name: str, arguments: Sequence[Atom], default: str | None = None) -> str:
    """Words without quotes belong together, as those of a prompt do."""
    if not arguments and default is None:
        raise BadArgument(f"{name}: got nothing, expected a name")
    return " ".join(as_text(name, atom) for atom in arguments) or str(default or "")
