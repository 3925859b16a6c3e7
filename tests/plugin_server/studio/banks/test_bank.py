"""Banks as values: what an edit makes of a slot, and of the others."""

import pytest

from plugin_server.errors import BadArgument
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.requests import Generate

RAIN = Slot("Rain", Generate("rain", seconds=0.5, seed=0, name="Rain"), note=36)
BELL = Slot("Bell", Generate("church bell", seconds=4, seed=7, name="Bell"), "#abcdef", note=60, choke="bells")
BANK = Bank("mine", "Two sounds", (RAIN, BELL))


def test_a_slot_gets_another_request_and_keeps_its_appearance():
    changed = BANK.with_request(1, Generate("cow bell"))
    assert changed.slots[1].request == Generate("cow bell", seconds=4, seed=7, name="cow bell")
    assert (changed.slots[1].name, changed.slots[1].note, changed.slots[1].choke) == ("cow bell", 60, "bells")
    longer = BANK.with_request(1, Generate("church bell", seconds=8, seed=9))
    assert longer.slots[1].name == "Bell"
    assert (longer.slots[1].request.seconds, longer.slots[1].request.seed) == (8, 9)
    added = BANK.with_request(2, Generate("new"))
    assert (added.slots[2].name, added.slots[2].note, added.slots[2].request.seed) == ("new", 38, 2)


@pytest.mark.parametrize(
    ("number", "request_", "sentence"),
    [
        (3, Generate("x"), "slot: got 3, expected 0 to 2 in mine"),
        (-1, Generate("x"), "slot: got -1, expected 0 to 2"),
        (0, Generate("x", variations=2), "expected neither: a slot is one clip"),
        (0, Generate("x", id="j"), "expected neither: a slot is one clip"),
    ],
)
def test_a_request_that_no_slot_can_have_is_refused(number, request_, sentence):
    with pytest.raises(BadArgument, match=sentence):
        BANK.with_request(number, request_)


def test_an_empty_slot_leaves_the_others_where_they_are_and_is_filled_by_a_prompt():
    emptied = BANK.without(0)
    assert emptied.slots[0].is_empty and emptied.slots[1] is BELL
    with pytest.raises(BadArgument, match="slot: got 'rain', expected 0 to 1, or a slot's name in mine"):
        emptied.number_of("rain")
    with pytest.raises(BadArgument, match="slot: got 0, which is empty; expected a prompt, too"):
        emptied.with_launch(0, {"mode": "gate"})
    assert not emptied.with_request(0, Generate("wind")).slots[0].is_empty
