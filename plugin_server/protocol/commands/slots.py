"""`/bank/fire`, and the notes of a MIDI keyboard: a slot whose clip is known sounds at once, on the loop; else its clip
is looked for, and made when it is not there."""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from plugin_server.audio.playback.player import Cue, Player
from plugin_server.errors import BadArgument, BadFile, ClipsonicError
from plugin_server.protocol.arguments import as_number, at_most, check_range
from plugin_server.protocol.commands.banks import BankAnswers, BankCommands, read_slot
from plugin_server.protocol.commands.thread import CommandThread, Handler, Reply
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import VELOCITIES
from plugin_server.studio.banks.files import Slot
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.jobs import ClipMade, Done, Event, Failed, Job, Jobs
from plugin_server.studio.requests import RenderSlot

ADDRESS = "/bank/fire"
FULL_VELOCITY = 127


@dataclass(frozen=True, slots=True)
class _Fire:
    """One wish to hear a slot."""

    peer: Peer
    bank: str
    number: int
    slot: Slot
    velocity: float


@dataclass(slots=True)
class _Making:
    """A slot that sounds as soon as its clip is made, once for all who wish it: as the last of them does."""

    job: RenderSlot
    fires: list[_Fire] = field(default_factory=list)


class SlotTrigger:
    """Fires slots; its methods belong to the loop."""

    def __init__(
        self,
        pads: LoadedBank,
        clerk: CommandThread,
        banks: BankCommands,
        jobs: Jobs,
        player: Player,
        answers: BankAnswers,
    ) -> None:
        self._pads, self._clerk, self._banks = pads, clerk, banks
        self._player, self._answers = player, answers
        self._making: dict[str, _Making] = {}
        jobs.subscribe(self._hear)

    def handlers(self) -> dict[str, Handler]:
        """By address."""
        return {ADDRESS: self._fire}

    def note(self, peer: Peer, note: int, velocity: float) -> None:
        """Fire the slots of a MIDI note, if there are any."""

        def fire() -> None:
            for number, slot in enumerate(self._pads.require_bank().slots):
                if slot.note == note:
                    self._fire_slot(peer, number, velocity)

        self._with_bank(peer, fire)

    def _fire(self, peer: Peer, arguments: Sequence[Atom]) -> None:
        at_most(2, "a slot and a velocity", arguments)
        if not arguments:
            raise BadArgument("slot: got nothing, expected a slot's number or name")
        velocity = _velocity(arguments[1]) if len(arguments) == 2 else FULL_VELOCITY
        self._with_bank(peer, lambda: self._hit(peer, read_slot(self._pads, arguments[0]), velocity))

    def _hit(self, peer: Peer, number: int, velocity: float) -> None:
        if velocity:
            self._fire_slot(peer, number, velocity)
        else:
            # As MIDI's note-on of velocity 0: the pad was let go, and what it started sounds to its end.
            self._answers.reply(peer, "/done", ADDRESS, number, "", "", "")

    def _with_bank(self, peer: Peer, fire: Callable[[], None]) -> None:
        """Fire at once when a bank is loaded, else when it is."""
        if self._pads.bank:
            fire()
        else:
            self._in_thread(peer, self._pads.require_bank, fire)

    def _fire_slot(self, peer: Peer, number: int, velocity: float) -> None:
        bank = self._pads.require_bank()
        wish = _Fire(peer, bank.name, number, bank.slot(number), velocity)
        clip = self._pads.clip(number)
        if clip:
            self._sound(wish, clip, lambda error: self._sounded(wish, clip, error))
        else:
            self._search(wish)

    def _sounded(self, wish: _Fire, clip: ClipMade, error: ClipsonicError | None) -> None:
        if isinstance(error, BadFile):
            # Its file was taken away or broken since it was found.
            self._search(wish, lost=True)
        else:
            self._tell(wish, clip, error)

    def _search(self, wish: _Fire, lost: bool = False) -> None:
        def search() -> None:
            if lost:
                self._pads.invalidate(wish.number)
            self._banks.look([wish.peer])

        self._in_thread(wish.peer, search, lambda: self._sound_or_make(wish))

    def _sound_or_make(self, wish: _Fire) -> None:
        bank = self._pads.require_bank()
        # Another bank may have been loaded meanwhile.
        clip = self._pads.clip(wish.number) if bank.name == wish.bank else None
        if clip:
            self._sound(wish, clip, lambda error: self._tell(wish, clip, error))
        else:
            self._make(wish)

    def _make(self, wish: _Fire) -> None:
        """One job for all who fire a slot before its clip is there."""
        making = self._same(wish)
        if making is None:
            making = _Making(RenderSlot(wish.bank, wish.number, wish.slot.request, f"fire-{secrets.token_hex(6)}"))
            self._making[making.job.id] = making
        making.fires.append(wish)
        try:
            self._answers.submit(wish.peer, making.job)
        except ClipsonicError as error:
            making.fires.remove(wish)
            if not making.fires:
                del self._making[making.job.id]
            self._answers.fail(wish.peer, ADDRESS, error)

    def _same(self, wish: _Fire) -> _Making | None:
        wanted = (wish.bank, wish.number, wish.slot.request)
        for making in self._making.values():
            if (making.job.name, making.job.number, making.job.request) == wanted:
                return making
        return None

    def _hear(self, job: Job, event: Event) -> None:
        """From any thread. Not at the clip itself: those who asked hear of it a moment after this."""
        request = job.request
        if isinstance(request, RenderSlot) and isinstance(event, Done | Failed):
            clip = next((event for event in job.events if isinstance(event, ClipMade)), None)
            self._answers.later(lambda: self._made(request, clip))

    def _made(self, request: RenderSlot, clip: ClipMade | None) -> None:
        making = self._making.pop(request.id, None)
        # Of a failure the job tells.
        if making and clip:
            wishes = {wish.peer: wish for wish in making.fires}.values()

            def told(error: ClipsonicError | None) -> None:
                for wish in wishes:
                    self._tell(wish, clip, error, request.id)

            self._sound(making.fires[-1], clip, told)

    def _sound(self, wish: _Fire, clip: ClipMade, told: Callable[[ClipsonicError | None], None]) -> None:
        """Give a clip to the player; `told` hears on the loop what came of it."""

        def played(future: Future[None]) -> None:
            error = future.exception()
            known = error if error is None or isinstance(error, ClipsonicError) else _unforeseen(error)
            self._answers.later(lambda: told(known))

        cue = cue_of(wish.slot, clip, wish.velocity)
        self._player.submit(self._player.play, cue).add_done_callback(played)

    def _tell(self, wish: _Fire, clip: ClipMade, error: ClipsonicError | None, job: str = "") -> None:
        if error:
            self._answers.fail(wish.peer, ADDRESS, error)
        else:
            self._answers.reply(wish.peer, "/done", ADDRESS, wish.number, clip.id, str(clip.path), job)

    def _in_thread(self, peer: Peer, work: Callable[[], object], then: Callable[[], None]) -> None:
        """Work in the banks' thread, then go on here; either may fail, and it is told."""

        def go_on() -> None:
            try:
                then()
            except ClipsonicError as error:
                self._answers.fail(peer, ADDRESS, error)

        def both() -> list[Reply]:
            work()
            self._answers.later(go_on)
            return []

        self._clerk.do(peer, ADDRESS, both)


def cue_of(slot: Slot, clip: ClipMade, velocity: float) -> Cue:
    """How a slot sounds at a velocity above 0, up to 127: gain goes with its square, as in SFZ samplers.

    A loop silences itself, so that firing it again starts it anew.
    """
    choke = slot.choke or (str(clip.path) if slot.request.loop else "")
    return Cue(clip.path, gain=(velocity / FULL_VELOCITY) ** 2, loop=slot.request.loop, choke=choke)


def _unforeseen(error: BaseException) -> ClipsonicError:
    return ClipsonicError(f"something unforeseen went wrong: {error!r}")


def _velocity(atom: Atom) -> float:
    return check_range("velocity", as_number("velocity", atom), VELOCITIES)
