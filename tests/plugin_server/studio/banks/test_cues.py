"""How a slot sounds when its pad is hit."""

from pathlib import Path

import pytest

from plugin_server.audio.playback.player import Cue
from plugin_server.studio.banks.bank import Slot
from plugin_server.studio.banks.cues import HELD_RELEASE_S, cue_of
from plugin_server.studio.banks.launch import ANY_SLOT
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate

CLIP = ClipMade("c1", Path("/clips/a.wav"), 0.5, 1, 1)


def test_a_sound_plays_to_its_end():
    cue = cue_of(Slot("Rain", Generate("rain"), choke="g"), CLIP, 127, "slot:a/0", "now")
    assert cue == Cue(CLIP.path, choke="g", clip_id="c1", slot="slot:a/0", group=ANY_SLOT)
    assert cue_of(Slot("Rain", Generate("rain")), CLIP, 64, "slot:a/0", "bar").gain == pytest.approx((64 / 127) ** 2)


def test_a_loop_is_a_toggle_that_silences_itself():
    cue = cue_of(Slot("Hum", Generate("hum", loop=True)), CLIP, 127, "slot:a/0", "bar")
    assert (cue.loop, cue.is_toggle, cue.choke, cue.at, cue.release) == (True, True, "slot:a/0", "bar", HELD_RELEASE_S)


@pytest.mark.parametrize(("mode", "is_toggle"), [("gate", False), ("toggle", True), ("one-shot", False)])
def test_a_mode_of_its_own_wins(mode, is_toggle):
    for loop in (False, True):
        assert cue_of(Slot("Hum", Generate("hum", loop=loop), mode=mode), CLIP, 1, "t", "now").is_toggle == is_toggle
