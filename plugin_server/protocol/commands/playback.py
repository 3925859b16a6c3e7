"""Live output over OSC: /play, /stop, /volume, /tempo, /link and /device/*. Answers once the player has done it."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from plugin_server.audio.names import name_key
from plugin_server.audio.playback.live_output import DeviceChange
from plugin_server.audio.playback.player import Cue, Player
from plugin_server.errors import BadArgument, DeviceUnavailable, QueueFull, UnknownClip
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
from plugin_server.protocol.replies import MAX_SENTENCE, Answer, Handler, Replies, Reply
from plugin_server.protocol.subscribers import NOBODY, Peer
from plugin_server.protocol.table import ON_OFF, Argument, Range, Row
from plugin_server.studio.banks.launch import TIMES, read_time, slot_tag
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.library.library import Library
from plugin_server.studio.paths import plain_path
from plugin_server.studio.words import normal_words, without_quotes

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
    Argument("at", "s", Range(choices=TIMES), optional=True),
    Argument("choke", optional=True),
)
ATTRIBUTES = {attribute.name: attribute for attribute in PLAY_ATTRIBUTES}
ROWS = (
    Row(
        "/play",
        "sound a clip: its id, its path in the clip folder, or the last one; @at beat or bar waits for /tempo, a "
        "bundle for its time tag",
        (Argument("clip", words=("last",), optional=True),),
        PLAY_ATTRIBUTES,
    ),
    Row(
        "/stop",
        "fade a clip out, or all; also a slot of the loaded bank",
        (Argument("clip", words=("all",), optional=True),),
    ),
    Row(
        "/volume",
        "master volume; without a number, tell of it",
        (Argument("volume", "f", VOLUMES, optional=True, shows_range=True),),
        is_setting=True,
    ),
    Row(
        "/tempo",
        "beats a minute of @at; without a number, tell of them",
        (Argument("bpm", "f", TEMPOS, optional=True),),
        is_setting=True,
    ),
    Row(
        "/link",
        "take part in Ableton Link's session, whose tempo and beat then count",
        (Argument("switch", "i", ON_OFF, optional=True, shows_range=True),),
        is_setting=True,
    ),
    Row("/device/list", "sound outputs", replies=("/device", "/done"), is_read_only=True),
    Row(
        "/device/set",
        "play on this output; without a name, tell of it",
        (Argument("name", optional=True),),
        is_setting=True,
    ),
)
"""Rows of the address table that this file answers."""
MAX_DEVICE_COMMANDS = 8
"""Commands about devices that may wait: each may start PortAudio anew, which takes up to half a second."""
MAX_RECENT = 16
"""Peers that are told of a lost device, since they played something on it."""


class PlaybackCommands:
    """Handlers of the addresses that sound. Each reads its arguments on the loop and works in the player's thread."""

    def __init__(
        self,
        player: Player,
        thread: CommandThread,
        library: Library,
        bank: LoadedBank,
        replies: Replies,
        meter_listeners: Callable[[], Iterable[Peer]],
    ) -> None:
        """`thread` is the player's; `meter_listeners` are told of a lost device, as all who follow are."""
        self._player, self._thread, self._library, self._bank = player, thread, library, bank
        self._replies, self._meter_listeners = replies, meter_listeners
        self._recent: OrderedDict[Peer, None] = OrderedDict()
        self._n_device_commands = 0
        self.on_silence: Callable[[], object] = lambda: None
        """Called on the loop when all is stopped."""
        player.on_device_change(lambda change: replies.on_loop(self._announce_device, change))

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

    def play(self, cue: Cue, peer: Peer) -> Awaitable[bool]:
        """Give a clip to the player at once, for a peer.

        Raises, when awaited, what `Player.play` raises, and returns what that returns.
        """
        self._note(peer)
        return self._thread.run(lambda: self._player.play(cue))

    def stop(self, tag: str) -> Awaitable[None]:
        """Fade out what has this tag. Raises QueueFull, at once or when awaited."""
        return self._thread.run(lambda: self._player.stop(tag))

    def _play(self, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        name, values = parse_play(arguments)
        self._note(peer)

        def work() -> list[Reply]:
            path, clip_id = self._library.find_sound(name)
            self._player.play(Cue(path, clip_id=clip_id, **values))
            return [("/done", "/play", name, str(path))]

        return self._thread.run(work)

    def _stop(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        name = _only("clip", arguments, "all")
        if name == "all":
            self.on_silence()

        def work() -> list[Reply]:
            for tag in [None] if name == "all" else self._tags_of(name):
                self._player.stop(tag)
            return [("/done", "/stop", name)]

        return self._thread.run(work)

    def _tags_of(self, name: str) -> Sequence[str]:
        """Return what stops the clip, or else the slots, of a name. Raises UnknownClip."""
        if self._player.is_sounding(name):
            # By its id or its path, though its file may be gone.
            return [name]
        try:
            path, clip_id = self._library.find_sound(name)
        except UnknownClip:
            if tags := self._slot_tags(name):
                return tags
            raise
        # Copies of one file have one id, and a slot may have let another one of them sound.
        return [str(path) if self._player.is_sounding(str(path)) else clip_id]

    def _slot_tags(self, name: str) -> Sequence[str]:
        """Return the tags of the loaded bank's slots that have this name or number."""
        bank, wanted = self._bank.bank, name_key(normal_words(name))
        slots = enumerate(bank.slots) if bank else ()
        return [
            slot_tag(bank.name, number)
            for number, slot in slots
            if bank and wanted in (str(number), name_key(slot.name))
        ]

    def _volume(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        volume = only_number("volume", arguments, VOLUMES) if arguments else None

        def work() -> list[Reply]:
            if volume is not None:
                self._player.set_volume(volume)
            return [("/done", "/volume", float(self._player.volume))]

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
        return self._run_device_command(self._device_rows)

    def _device_rows(self) -> list[Reply]:
        rows: list[Reply] = [
            ("/device", name, n_channels, sample_rate, int(in_use))
            for name, n_channels, sample_rate, in_use in self._player.devices()
        ]
        return [*rows, ("/done", "/device/list", len(rows))]

    def _set_device(self, _peer: Peer, arguments: Sequence[Atom]) -> Answer:
        if not arguments:
            return self._thread.run(lambda: [("/done", "/device/set", self._player.device)])
        name = _only("device", arguments)
        return self._run_device_command(lambda: [("/done", "/device/set", self._player.set_device(name))])

    def _run_device_command(self, work: Callable[[], list[Reply]]) -> Awaitable[list[Reply]]:
        """Run what may take long; raises QueueFull where too much of it waits, as what is to be heard waits for it."""
        if self._n_device_commands >= MAX_DEVICE_COMMANDS:
            raise QueueFull(f"{MAX_DEVICE_COMMANDS} commands about devices wait already; try again later")
        result = self._thread.run(work)
        self._n_device_commands += 1
        result.add_done_callback(self._end_device_command)
        return result

    def _end_device_command(self, _result: object) -> None:
        self._n_device_commands -= 1

    def _note(self, peer: Peer) -> None:
        """Remember a peer that played something; the last ones only."""
        self._recent[peer] = None
        self._recent.move_to_end(peer)
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)

    def _announce_device(self, change: DeviceChange) -> None:
        """Send that the device was lost or is open again, to all who follow, and to who plays or watches levels."""
        peers = dict.fromkeys([*self._recent, *self._meter_listeners()])
        peers.pop(NOBODY, None)
        if change.problem:
            self._replies.announce(peers, "/fail", "/play", DeviceUnavailable.code, change.problem[:MAX_SENTENCE], "")
        self._replies.announce(peers, "/device", change.name, 2, change.sample_rate, int(not change.problem))


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
    if name == "at":
        return read_time(as_words(name, atoms))
    value = as_number(name, atoms[0]) if attribute.tag == "f" else as_words(name, atoms)
    return check_range(name, value, attribute.range) if isinstance(attribute.range, Range) else value


def _only(name: str, arguments: Sequence[Atom], default: str | None = None) -> str:
    """Join words without quotes, which belong together as those of a prompt do. Raises BadArgument."""
    if not arguments and default is None:
        raise BadArgument(f"{name}: got nothing, expected a name")
    # Not in the normal form of words: spaces and accents may be those of a file's name.
    text = " ".join(as_text(name, atom) for atom in arguments)
    return (plain_path(text) if name == "clip" else without_quotes(text)) or str(default or "")
