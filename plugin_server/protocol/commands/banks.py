"""What the addresses below `/bank/` do, but for `/bank/fire`, in a thread of the banks' own."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Protocol

from plugin_server.audio.playback.player import Player
from plugin_server.errors import BadArgument
from plugin_server.protocol.access import check_images
from plugin_server.protocol.arguments import as_text, as_whole, at_most, exactly
from plugin_server.protocol.commands.thread import Answers, CommandThread, Handler, Reply, Work
from plugin_server.protocol.generate_arguments import parse_generate
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.subscribers import NOBODY, Peer
from plugin_server.studio.banks.files import Bank, Slot
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.image_fingerprints import require_images
from plugin_server.studio.jobs import ClipMade, Event, Job, Jobs
from plugin_server.studio.requests import RenderBank, RenderSlot, Request

MAX_TEXT = 500
"""Characters of a prompt or a description that are sent."""


class BankAnswers(Answers, Protocol):
    """The way back to who asked, and to all who follow."""

    def announce(self, peers: Collection[Peer], address: str, *arguments: str | int | float) -> None: ...

    def submit(self, peer: Peer, request: Request) -> None: ...

    def askers(self, job: Job) -> set[Peer]: ...


class BankCommands:
    """Handlers of the addresses; `clerk` is the thread that the pads' methods belong to."""

    def __init__(
        self,
        pads: LoadedBank,
        clerk: CommandThread,
        studio: ClipGenerator,
        jobs: Jobs,
        player: Player,
        answers: BankAnswers,
    ) -> None:
        self._pads, self._clerk, self._studio = pads, clerk, studio
        self._player, self._answers = player, answers
        jobs.subscribe(self._hear)

    def handlers(self) -> dict[str, Handler]:
        """By address; to be called on the loop."""
        works: dict[str, Work] = {
            "/bank/list": self._list,
            "/bank/load": self._load,
            "/bank/next": partial(self._step, "/bank/next", 1),
            "/bank/previous": partial(self._step, "/bank/previous", -1),
            "/bank/render": self._render,
            "/bank/set": self._set,
            "/bank/save": self._save,
        }
        return self._clerk.handlers(works)

    def load_number(self, peer: Peer, number: int) -> None:
        """Load the bank at this place of the list, from 0, as a MIDI program change asks for; on the loop."""
        self._clerk.do(peer, "/bank/load", lambda: self._tell(peer, "/bank/load", self._pads.load_number(number)))

    def look(self, peers: Collection[Peer]) -> None:
        """Look for clips that were made, and tell these peers and all who follow; in the banks' thread."""
        self._announce(peers, self._pads.refresh_clips())

    def _list(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        self._pads.require_bank()
        rows = self._pads.summaries()
        replies: list[Reply] = [
            ("/bank", row.name, row.description[:MAX_TEXT], row.n_slots, int(row.is_loaded), int(row.is_edited))
            for row in rows
        ]
        return [*replies, ("/done", "/bank/list", len(rows))]

    def _load(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        name = " ".join(as_text("bank", atom) for atom in arguments)
        return self._tell(peer, "/bank/load", self._pads.load(name or self._pads.require_bank().name))

    def _step(self, address: str, step: int, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        exactly(0, "nothing", arguments)
        return self._tell(peer, address, self._pads.step(step))

    def _tell(self, peer: Peer, address: str, bank: Bank) -> list[Reply]:
        """All who follow get the new pads, whoever changed them."""
        self._announce([peer], range(len(bank.slots)))
        return [("/done", address, bank.name, len(bank.slots))]

    def _render(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        at_most(1, "a slot, or nothing for all", arguments)
        bank = self._pads.require_bank()
        slots = [self._pads.slot(read_slot(self._pads, arguments[0]))] if arguments else bank.slots
        requests = tuple(slot.request for slot in slots)
        for request in requests:
            # What the model cannot make, and a picture that is missing, are told before anything is made.
            self._studio.check(request)
            require_images(request.images)
        self._answers.submit(peer, RenderBank(bank.name, requests))
        return []

    def _set(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        if len(arguments) < 2:
            raise BadArgument(f"arguments: got {len(arguments)}, expected a slot and a prompt")
        check_images(arguments, peer)
        number = as_whole("slot", arguments[0])
        lengths_of, tempo = lambda model: self._studio.card(model).lengths, lambda: self._player.bpm
        request = parse_generate(arguments[1:], lengths_of, tempo)
        self._studio.check(request)
        slot = self._pads.set(number, request)
        self._announce([peer], [number])
        return [("/done", "/bank/set", number, slot.name[:MAX_TEXT])]

    def _save(self, peer: Peer, arguments: Sequence[Atom]) -> list[Reply]:
        at_most(1, "a name, or nothing for the bank's own", arguments)
        bank, path = self._pads.save(as_text("name", arguments[0]) if arguments else "")
        return [("/done", "/bank/save", bank.name, str(path))]

    def _announce(self, peers: Collection[Peer], numbers: Iterable[int]) -> None:
        for number in numbers:
            clip = self._pads.clip(number)
            row = slot_row(number, self._pads.slot(number), clip)
            self._answers.later(partial(self._answers.announce, peers, *row))
            if clip:
                # Decoded before it is fired for the first time.
                self._player.submit(self._player.prepare, clip.path)

    def _hear(self, job: Job, event: Event) -> None:
        """From any thread: a clip was made that may belong to a slot of the loaded bank."""
        if isinstance(event, ClipMade) and isinstance(job.request, RenderBank | RenderSlot) and self._pads.bank:
            peers = self._answers.askers(job)
            self._answers.later(lambda: self._clerk.do(NOBODY, "/bank/render", lambda: self._looked(peers)))

    def _looked(self, peers: Collection[Peer]) -> list[Reply]:
        self.look(peers)
        return []


def read_slot(pads: LoadedBank, atom: Atom) -> int:
    """The number of a slot from its number or its name. Raises BadArgument."""
    if isinstance(atom, str) and not atom.strip().isdigit():
        return pads.number_of(atom)
    return pads.number_of(as_whole("slot", atom))


def slot_row(number: int, slot: Slot, clip: ClipMade | None) -> Reply:
    """`/bank.slot` and its arguments; seconds are 0 where the model chooses, and a clip that is not there is ''."""
    request, note = slot.request, -1 if slot.note is None else slot.note
    seconds = clip.seconds if clip else request.length_s or 0.0
    looks = (slot.name[:MAX_TEXT], slot.colour, request.display_prompt[:MAX_TEXT], note, slot.choke[:MAX_TEXT])
    made = (clip.id, str(clip.path)) if clip else ("", "")
    return ("/bank.slot", number, *looks, float(seconds), *made)
