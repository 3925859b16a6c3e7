"""The whole address table: every row once, in the order of help."""

from plugin_server.protocol.addresses import ADDRESSES, ORDER, TABLE
from plugin_server.protocol.commands.playback import TEMPOS
from plugin_server.protocol.table import REPLIES, reply_sources
from plugin_server.studio.requests import NAMED_ATTRIBUTES


def test_every_row_has_its_position_and_every_position_a_row():
    assert [row.address for row in TABLE] == list(ORDER) == list(ADDRESSES)


def test_replies_that_are_described_are_sent():
    assert set(REPLIES) <= set(reply_sources(TABLE))


def test_tempos_of_the_player_are_those_of_a_request():
    # Bars that come without a tempo last as long as those of the player.
    bpm = next(row for row in NAMED_ATTRIBUTES if row.name == "bpm")
    assert (TEMPOS.minimum, TEMPOS.maximum) == (bpm.minimum, bpm.maximum)
