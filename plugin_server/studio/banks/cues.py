"""How a slot sounds: the cue that the player gets when its pad is hit."""

from plugin_server.audio.playback.player import Cue
from plugin_server.audio.playback.voice import RELEASE_S
from plugin_server.studio.banks.bank import Slot
from plugin_server.studio.banks.launch import ANY_SLOT, ONE_SHOT, TOGGLE
from plugin_server.studio.jobs import ClipMade

FULL_VELOCITY = 127
HELD_RELEASE_S = 0.03
"""Fade of a slot that its pad ends, as in the exported instruments."""


def cue_of(slot: Slot, clip: ClipMade, velocity: float, tag: str, at: str) -> Cue:
    """Return how a slot sounds at a velocity above 0, up to 127: gain goes with its square, as in SFZ samplers.

    A loop silences itself, so that firing it again starts it anew.
    """
    return Cue(
        clip.path,
        gain=(velocity / FULL_VELOCITY) ** 2,
        loop=slot.request.loop,
        release=RELEASE_S if slot.launch_mode == ONE_SHOT else HELD_RELEASE_S,
        at=at,
        choke=slot.choke or (tag if slot.request.loop else ""),
        clip_id=clip.id,
        slot=tag,
        group=ANY_SLOT,
        is_toggle=slot.launch_mode == TOGGLE,
    )
