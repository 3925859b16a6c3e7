"""Ableton Link between two real peers on this machine."""

import sys
import time

import pytest

from plugin_server.audio.playback.link import LinkSession
from plugin_server.audio.playback.mixer import _Play
from plugin_server.audio.playback.player import Cue, Player
from plugin_server.errors import LinkUnavailable
from tests.support.outputs import HandOutput
from tests.support.recipes import write_made

RATE = 48000


def wait_for(condition, seconds=10.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def other():
    """Another program of the session."""
    pytest.importorskip("aalink")
    session = LinkSession(97.0)
    yield session
    session.close()


@pytest.fixture
def player(other):
    """A player that has joined it, with an output that is rendered by hand."""
    output = HandOutput(sample_rate=RATE)
    player = Player(lambda _: output)
    player.link(join=True)
    if not wait_for(lambda: other.n_peers == 1):
        player.close()
        pytest.skip("peers of Link do not find each other here: it needs multicast")
    # Two who begin at the same moment agree on the tempo of one of them, a while after they have found each other.
    assert wait_for(lambda: player.bpm == other.bpm)
    yield player, output
    player.close()


def test_tempo_goes_both_ways_and_stays_when_the_session_is_left(player, other):
    player, _ = player
    player.set_tempo(140)
    assert wait_for(lambda: other.bpm == pytest.approx(140, abs=0.01))
    other.bpm = 120
    assert wait_for(lambda: player.link(join=None) == (True, 1, 120.0))
    assert player.link(join=False) == (False, 0, 120.0)
    assert wait_for(lambda: other.n_peers == 0)
    player.set_tempo(60)
    assert other.bpm == 120


def test_a_clip_waits_for_the_sessions_bar(player, other, tmp_path):
    player, output = player
    other.bpm = 120
    assert wait_for(lambda: player.bpm == 120.0)
    before = other.beat
    player.play(Cue(write_made(tmp_path, "x.wav"), at="bar"))
    after = other.beat
    (voice,) = [command.voice for command in output.mixer._commands if isinstance(command, _Play)]
    # Where in the session the clip begins: on a multiple of four beats, as well as two clocks can be read.
    begins = [beat + voice.start_frame / RATE * 2 for beat in (before, after)]
    bar = round(begins[0] / 4) * 4
    assert begins[0] - 0.01 <= bar <= begins[1] + 0.01
    assert 0 < voice.start_frame <= 2 * RATE + 512


def test_without_aalink_it_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "aalink", None)
    with pytest.raises(LinkUnavailable, match="aalink is not installed"):
        LinkSession(120)
