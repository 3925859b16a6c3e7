"""Live output over OSC: /play, /stop, /volume, /tempo, /link and /device/*. Answers once the player has done it."""

from collections.abc import Awaitable, Sequence
from typing import Any

from plugin_server.audio.playback.player import BEATS, Cue, Player
from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import (
    as_number,
    as_switch,
    as_text,
    as_words,
    at_most,
    check_attribute,
    check_range,
    only_number,
    split_attributes,
)
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import ON_OFF, Argument, Range, Row
from plugin_server.studio.library.library import Library
from plugin_server.studio.words import without_quotes

VOLUMES = Range(0.0, 1.0)
TEMPOS = Range(20.0, 999.0)
LOOP_POINTS = Range(0.0, 3600.0)
"""Seconds of the two numbers after /play's @loop."""
PLAY_ATTRIBUTES = (
    Argument("gain", "f", Range(0.0, 4.0), optional=True),
    Argument("pan", "f", Range(-1.0, 1.0), optional=True),
    Argument("rate", "f", Range(0.0625, 16.0), optional=True),
    Argument("attack", "f", Range(0.0, 30.0), optional=True),
    Argument("release", "f", Range(0.0, 30.0), optional=True),
    # 0 or 1, or two points of the clip.
    Argument("loop", "f", LOOP_POINTS, optional=True),
    Argument("at", "s", Range(choices=("now", *BEATS)), optional=True),
    Argument("choke", optional=True),
)
ATTRIBUTES = {attribute.name: attribute for attribute in PLAY_ATTRIBUTES}
ROWS = (
    Row(
        "/play",
        "sound a clip: its id, its path in the clip folder, or the last one; @at beat or bar waits for /tempo",
        (Argument("clip", words=("last",), optional=True),),
        PLAY_ATTRIBUTES,
    ),
    Row("/stop", "fade a clip out, or all", (Argument("clip", words=("all",), optional=True),)),
    Row("/volume", "master volume", (Argument("volume", "f", VOLUMES, shows_range=True),)),
    Row("/tempo", "beats a minute of @at", (Argument("bpm", "f", TEMPOS, optional=True),)),
    Row(
        "/link",
        "take part in Ableton Link's session, whose tempo and beat then count",
        (Argument("switch", "i", ON_OFF, optional=True, shows_range=True),),
    ),
    Row("/device/list", "sound outputs", replies=("/device", "/done")),
    Row("/device/set", "play on this output", (Argument("name"),)),
)
"""Rows of the address table that this file answers."""


class PlaybackCommands:
    """Handlers of the addresses that sound. Each reads its arguments on the loop and works in the player's thread."""

    def __init__(self, player: Player, thread: CommandThread, library: Library) -> None:
        """`thread` is the player's."""
        self._player, self._thread, self._library = player, thread, library

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        return {
            "/play": self._play,
            "/stop": self._stop,
            "/volume": self._volume,
            "/tempo": self._tempo,
            "/link": self._link,
            "/device/list": self._list_devices,
            "/device/set": self._set_device,
        }

    def play(self, cue: Cue) -> Awaitable[None]:
        """Give a clip to the player at once. Raises, when awaited, BadFile or DeviceUnavailable."""
        return self._thread.run(lambda: self._player.play(cue))

    def _play(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        name, values = parse_play(arguments)

        def work() -> list[Reply]:
            path = self._library.find_file(name).path
            self._player.play(Cue(path, **values))
            return [("/done", "/play", name, str(path))]

        return self._thread.run(work)

    def _stop(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        name = _only("clip", arguments, "all")

        def work() -> list[Reply]:
            self._player.stop(None if name == "all" else self._library.find_file(name).path)
            return [("/done", "/stop", name)]

        return self._thread.run(work)

    def _volume(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        volume = only_number("volume", arguments, VOLUMES)

        def work() -> list[Reply]:
            self._player.set_volume(volume)
            return [("/done", "/volume", volume)]

        return self._thread.run(work)

    def _tempo(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        bpm = only_number("tempo", arguments, TEMPOS) if arguments else None

        def work() -> list[Reply]:
            if bpm is not None:
                self._player.set_tempo(bpm)
            return [("/done", "/tempo", float(self._player.bpm))]

        return self._thread.run(work)

    def _link(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        switch = as_switch("link", at_most(1, "0 or 1, or nothing", arguments)[0]) if arguments else None

        def work() -> list[Reply]:
            is_joined, n_peers, bpm = self._player.link(join=switch)
            return [("/done", "/link", int(is_joined), n_peers, float(bpm))]

        return self._thread.run(work)

    def _list_devices(self, _peer: Peer, _arguments: Sequence[Atom]) -> Answer:
        return self._thread.run(self._device_rows)

    def _device_rows(self) -> list[Reply]:
        rows: list[Reply] = [
            ("/device", name, n_channels, sample_rate, int(in_use))
            for name, n_channels, sample_rate, in_use in self._player.devices()
        ]
        return [*rows, ("/done", "/device/list", len(rows))]

    def _set_device(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        name = _only("device", arguments)
        return self._thread.run(lambda: [("/done", "/device/set", self._player.set_device(name))])


def parse_play(arguments: Sequence[Atom]) -> tuple[str, dict[str, Any]]:
    """Return the clip and the checked attributes of `/play`, by the names of `Cue`. Raises BadArgument."""
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
    value = as_number(name, atoms[0]) if attribute.tag == "f" else as_words(name, atoms)
    return check_range(name, value, attribute.range) if isinstance(attribute.range, Range) else value


def _only(name: str, arguments: Sequence[Atom], default: str | None = None) -> str:
    """Join words without quotes, which belong together as those of a prompt do. Raises BadArgument."""
    if not arguments and default is None:
        raise BadArgument(f"{name}: got nothing, expected a name")
    # Some programs send the quotes, too. Else as it is: spaces and accents may be those of a file's name.
    return without_quotes(" ".join(as_text(name, atom) for atom in arguments)) or str(default or "")
