"""The addresses below `/bank/`, but for `/bank/fire`, which work in a thread of the banks' own."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from plugin_server.audio.playback.player import Player
from plugin_server.errors import BadArgument, ClipsonicError
from plugin_server.protocol.access import check_images
from plugin_server.protocol.arguments import as_text, as_whole, as_words, at_most, exactly, split_attributes
from plugin_server.protocol.commands.thread import CommandThread
from plugin_server.protocol.generate_arguments import parse_generate
from plugin_server.protocol.job_events import JobEvents
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Answer, Handler, Replies, Reply
from plugin_server.protocol.subscribers import NOBODY, Peer
from plugin_server.protocol.table import Argument, LiveRange, Range, Row, request_arguments
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.launch import MODES, TIMES, read_mode, read_time
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.image_fingerprints import require_images
from plugin_server.studio.jobs import ClipMade, Done, Event, Job
from plugin_server.studio.requests import NAMED_ATTRIBUTES, RenderBank, RenderSlot
from plugin_server.studio.seeds import draw_seed
from plugin_server.studio.words import read_number

ALL = "all"
LAUNCH = {
    "mode": Argument("mode", "s", Range(choices=MODES), optional=True),
    "at": Argument("at", "s", Range(choices=TIMES), optional=True),
}
"""Attributes of how a pad starts and stops its slot."""
_READ_LAUNCH: dict[str, Callable[[object], str]] = {"mode": read_mode, "at": read_time}
ROWS = (
    Row("/bank/list", "prompt banks", replies=("/bank", "/done"), is_read_only=True),
    Row(
        "/bank/load",
        "put a bank under the pads; the loaded one is read anew, without edits; without a name, tell of it",
        (Argument("name", optional=True),),
        replies=("/bank.slot", "/done"),
    ),
    Row("/bank/next", "the next bank of the list", replies=("/bank.slot", "/done")),
    Row("/bank/previous", "the one before", replies=("/bank.slot", "/done")),
    Row(
        "/bank/render",
        "make the clips that the bank lacks, or that of one slot, by its number (an int) or name; others are served "
        "between two slots; a float from 0 to 1 is a button: 0 its release, else all",
        (Argument("slot", words=(ALL,), optional=True, takes_number=True),),
        replies=("/queued", "/progress", "/clip", "/bank.slot", "/done"),
    ),
    Row(
        "/bank/set",
        "give a slot, by its number or name, another prompt, or add one at the end; @mode and @at say how its pad "
        "starts and stops it, also alone; kept until /bank/save, apart from the bank's file",
        (
            Argument("slot"),
            Argument("prompt"),
            Argument("seconds", "f", LiveRange.LENGTHS, optional=True),
        ),
        (*request_arguments(row for row in NAMED_ATTRIBUTES if row.in_bank), *LAUNCH.values()),
        replies=("/bank.slot", "/done"),
    ),
)
"""Rows of the address table that this file answers."""

MAX_TEXT = 500
"""Characters of a prompt or a description that are sent."""
_Command = Callable[[Peer, Sequence[Atom]], list[Reply]]


class BankCommands:
    """Handlers of the addresses below `/bank/`, but for `/bank/fire`; `thread` is the one that reads banks."""

    def __init__(
        self,
        bank: LoadedBank,
        thread: CommandThread,
        generator: ClipGenerator,
        events: JobEvents,
        player: Player,
        replies: Replies,
    ) -> None:
        self._bank, self._thread, self._generator = bank, thread, generator
        self._events, self._player, self._replies = events, player, replies

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by address."""
        commands: dict[str, _Command] = {
            "/bank/list": self._list,
            "/bank/load": self._load,
            "/bank/next": partial(self._step, "/bank/next", 1),
            "/bank/previous": partial(self._step, "/bank/previous", -1),
            "/bank/render": self._render,
            "/bank/set": self._set,
        }
        return {address: partial(self._run, command) for address, command in commands.items()}

    def load_number(self, peer: Peer, number: int) -> Answer:
        """Load the bank at this index of the list, from 0, as a MIDI program change asks for."""
        return self._thread.run(lambda: self._announce_bank(peer, "/bank/load", self._bank.load_number(number)))

    def refresh_clips(self, peers: Collection[Peer]) -> None:
        """Look for clips that were made, and send them to these peers and all who follow; in the banks' thread."""
        self.announce(peers, self._bank.refresh_clips())

    def on_event(self, job: Job, event: Event) -> None:
        """Look for clips when one was made that may belong to a slot of the loaded bank; from any thread."""
        if isinstance(event, ClipMade) and isinstance(job.request, RenderBank | RenderSlot) and self._bank.bank:
            refresh = partial(self._refresh, self._events.askers(job))
            self._replies.on_loop(self._replies.run, NOBODY, "/bank/render", lambda: self._thread.run(refresh))
        elif isinstance(event, Done) and isinstance(job.request, RenderBank):
            self._replies.on_loop(self._end_render, job, event, self._events.askers(job))

    def _end_render(self, job: Job, event: Done, askers: set[Peer]) -> None:
        """Send that a bank was rendered when its slots have been sent."""
        self._events.hold_end(job)
        end = partial(self._events.send_end, job, event, askers)
        try:
            self._thread.call_last(end)
        except ClipsonicError:
            end()

    def _refresh(self, peers: Collection[Peer]) -> list[Reply]:
        self._events.wait_until_published()
        self.refresh_clips(peers)
        return []

    def _run(self, command: _Command, peer: Peer, arguments: Sequence[Atom]) -> Answer:
        return self._thread.run(lambda: command(peer, arguments))

    def _list(self, _peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        self._bank.require_bank()
        rows = self._bank.summaries()
        replies: list[Reply] = [
            ("/bank", row.name, row.description[:MAX_TEXT], row.n_slots, int(row.is_loaded), int(row.is_edited))
            for row in rows
        ]
        return [*replies, ("/done", "/bank/list", len(rows))]

    def _load(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        name = as_words("bank", arguments)
        bank = self._bank.reload(name) if name else self._bank.require_bank()
        return self._announce_bank(peer, "/bank/load", bank)

    def _step(self, address: str, step: int, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        return self._announce_bank(peer, address, self._bank.step(step))

    def _announce_bank(self, peer: Peer, address: str, bank: Bank) -> list[Reply]:
        """Send the slots of a bank that was loaded to all who follow, whoever changed it."""
        self.announce([peer], range(len(bank.slots)))
        return [("/done", address, bank.name, len(bank.slots))]

    def _render(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        at_most(1, "a slot, or all", arguments)
        bank = self._bank.require_bank()
        is_one = bool(arguments) and arguments[0] != ALL
        slots = [self._bank.slot(read_slot(self._bank, arguments[0]))] if is_one else bank.slots
        requests = tuple(slot.request for slot in slots if not slot.is_empty)
        if not requests:
            raise BadArgument(f"slot: got {'an empty one' if is_one else 'none but empty ones'}, expected a prompt")
        for request in requests:
            # What the model cannot make, and a picture that is missing, are refused before anything is made.
            self._generator.check(request)
            require_images(request.images)
        self._events.submit(peer, RenderBank(bank.name, requests))
        return []

    def _set(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        if len(arguments) < 2:
            raise BadArgument(f"arguments: got {len(arguments)}, expected a slot and a prompt")
        check_images(arguments, peer)
        number = _slot_to_set(self._bank, arguments[0])
        asked, launch = split_launch(arguments[1:], LAUNCH)
        if asked:
            request = parse_generate(
                asked, lambda model: self._generator.card(model).lengths, lambda: self._player.bpm, draw_seed
            )
            self._generator.check(request)
            slot = self._bank.set(number, request)
        if launch:
            slot = self._bank.set_launch(number, launch)
        self.announce([peer], [number])
        return [("/done", "/bank/set", number, slot.name[:MAX_TEXT])]

    def announce(self, peers: Collection[Peer], numbers: Iterable[int]) -> None:
        """Send slots of the loaded bank to these peers and all who follow; in the banks' thread."""
        for number in numbers:
            clip = self._bank.clip(number)
            row = slot_row(number, self._bank.slot(number), clip)
            self._thread.call_in_order(self._replies.announce, peers, *row)
            if clip:
                # Decoded before it is fired for the first time.
                self._player.prepare_soon(clip.path)


def split_launch(arguments: Sequence[Atom], names: Iterable[str]) -> tuple[list[Atom], dict[str, str]]:
    """Return the other arguments, and those of these launch attributes by their names. Raises BadArgument."""
    others, attributes = split_attributes(arguments)
    launch: dict[str, str] = {}
    for name, atoms in attributes.items():
        if name in names:
            launch[name] = _READ_LAUNCH[name](as_words(name, atoms))
        else:
            others += [f"@{name}", *atoms]
    return others, launch


def _slot_to_set(bank: LoadedBank, atom: Atom) -> int:
    """Return the number of a slot from its name, or a number that it need not have yet. Raises BadArgument."""
    is_number = not isinstance(atom, str) or read_number(atom) is not None
    return as_whole("slot", atom) if is_number else read_slot(bank, atom)


def read_slot(bank: LoadedBank, atom: Atom) -> int:
    """Return the number of a slot from its number or its name. Raises BadArgument."""
    is_name = isinstance(atom, str) and read_number(atom) is None
    return bank.number_of(as_text("slot", atom) if is_name else as_whole("slot", atom))


def slot_row(number: int, slot: Slot, clip: ClipMade | None) -> Reply:
    """Return `/bank.slot` and its arguments.

    Seconds are 0 where the model chooses, and the id and path of a clip that is not there are ''.
    """
    if slot.is_empty:
        return ("/bank.slot", number, "", slot.colour, "", -1 if slot.note is None else slot.note, "", 0.0, "", "")
    request, note = slot.request, -1 if slot.note is None else slot.note
    seconds = clip.seconds if clip else request.length_s or 0.0
    texts = (slot.name[:MAX_TEXT], slot.colour, request.display_prompt[:MAX_TEXT], note, slot.choke[:MAX_TEXT])
    id_and_path = (clip.id, str(clip.path)) if clip else ("", "")
    return ("/bank.slot", number, *texts, float(seconds), *id_and_path)
