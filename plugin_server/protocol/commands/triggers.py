"""Requests to hear a slot: how hard its pad was hit, what waits for the slot's clip, and the answers."""

import asyncio
import math
import secrets
from dataclasses import dataclass, field

from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import as_number, as_text
from plugin_server.protocol.packets import Atom
from plugin_server.protocol.replies import Reply
from plugin_server.protocol.subscribers import Peer
from plugin_server.protocol.table import Range
from plugin_server.studio.banks.bank import Slot
from plugin_server.studio.banks.cues import FULL_VELOCITY
from plugin_server.studio.banks.launch import slot_tag
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import RenderSlot

ADDRESS = "/bank/fire"
VELOCITIES = Range(0, FULL_VELOCITY)


@dataclass(eq=False, slots=True)
class Trigger:
    """One request to hear a slot of a bank."""

    peer: Peer
    bank: str
    number: int
    slot: Slot
    velocity: float
    at: str
    is_given: bool = False
    """Whether its clip was given to the player, which then starts and stops it."""
    is_called_off: bool = False
    """Whether it was stopped, or its pad let go, before its clip was there."""

    @property
    def tag(self) -> str:
        """The name of its slot's sound, by which that can be stopped."""
        return slot_tag(self.bank, self.number)

    def new_request(self) -> RenderSlot:
        """Return a request for the slot's clip, with an id of its own."""
        return RenderSlot(self.bank, self.number, self.slot.request, f"fire-{secrets.token_hex(6)}")

    def answer(self, clip: ClipMade, job: str = "", *, is_heard: bool) -> Reply:
        """Return the answer to a slot that sounds, or that was stopped in place of that."""
        id_and_path = (clip.id, str(clip.path)) if is_heard else ("", "")
        return ("/done", ADDRESS, self.number, *id_and_path, job)


@dataclass(slots=True)
class PendingRender:
    """A job whose clip sounds once for all who fired its slot: as the last of them asked for."""

    request: RenderSlot
    clip: asyncio.Future[ClipMade | None]
    """Done when the job has ended; None when it failed."""
    triggers: dict[Peer, Trigger] = field(default_factory=dict)
    """The last of each peer; the last of all comes last."""
    played: asyncio.Task[ClipMade | None] | None = None
    """Plays the clip when it is there."""

    @property
    def last(self) -> Trigger | None:
        """The trigger that is heard, None when all were called off."""
        return next((each for each in reversed(self.triggers.values()) if not each.is_called_off), None)


def as_velocity(atom: Atom) -> float:
    """Return a velocity above 0 up to 127, or 0 for a pad that was let go. Raises BadArgument.

    A float up to 1 is a share of full, as sliders and pads of tablets send it, an int is MIDI's. True and nil are
    full, False is 0, and what is above 127 is 127.
    """
    if atom is None or isinstance(atom, bool):
        return 0.0 if atom is False else float(FULL_VELOCITY)
    number = as_number("velocity", atom)
    if not math.isfinite(number) or number < 0:
        raise BadArgument(f"velocity: got {number:g}, expected {VELOCITIES}, or a float from 0 to 1")
    # Text that spells a float, as '0.5' or '1.0', is one; a tablet's 1.0 may arrive as 1.0000001.
    is_float = isinstance(atom, float) or (isinstance(atom, str | bytes) and not as_text("velocity", atom).isdigit())
    if is_float and number <= 1.001:
        number = min(number, 1.0) * FULL_VELOCITY
    return min(number, float(FULL_VELOCITY))


def silent_answer(number: int) -> Reply:
    """Return the answer for a slot of which nothing is heard."""
    return ("/done", ADDRESS, number, "", "", "")
