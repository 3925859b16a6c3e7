"""Rows say what they take, and notation is made from them."""

import pytest

from plugin_server.protocol.addresses import ADDRESSES, TABLE
from plugin_server.protocol.table import ON_OFF, Argument, LiveRange, Range, Row, reply_sources
from plugin_server.studio.requests import NAMED_ATTRIBUTES


@pytest.mark.parametrize(
    ("argument", "notation"),
    [
        (Argument("clip"), "clip"),
        (Argument("how many", "i", optional=True), "[how many]"),
        (Argument("job", words=("all",), optional=True), "[job | all]"),
        (Argument("switch", "i", ON_OFF, shows_range=True), "0 | 1"),
        (Argument("switch", "i", ON_OFF, optional=True, shows_range=True), "[0 | 1]"),
        (Argument("volume", "f", Range(0.0, 1.0), shows_range=True), "0..1"),
        (Argument("name", range=LiveRange.MODELS, shows_range=True), "name"),
    ],
)
def test_notation_is_made_from_an_argument(argument, notation):
    assert argument.notation == notation


def test_notation_of_a_row_ends_with_its_attributes():
    row = Row("/x", "help", (Argument("words"),), (Argument("count", "i"), Argument("from", "i")))
    assert row.notation == "words [@count @from]"
    assert Row("/x", "help").notation == ""


def test_ranges_of_the_running_daemon_are_looked_up():
    lengths = Range(0.5, 30)
    assert Argument("seconds", "f", LiveRange.LENGTHS).range_now({LiveRange.LENGTHS: lengths}) == lengths
    assert Argument("seconds", "f", LiveRange.LENGTHS).range_now({}) is None
    assert Argument("switch", "i", ON_OFF).range_now({}) == ON_OFF


def test_attributes_of_a_request_are_those_of_the_table():
    assert [a.name for a in ADDRESSES["/generate"].attributes] == [row.name for row in NAMED_ATTRIBUTES]
    in_bank = [row.name for row in NAMED_ATTRIBUTES if row.in_bank]
    assert [a.name for a in ADDRESSES["/bank/set"].attributes] == [*in_bank, "mode", "at"]
    by_name = {attribute.name: attribute for attribute in ADDRESSES["/generate"].attributes}
    assert (by_name["steps"].tag, by_name["steps"].range) == ("i", Range(1, 100))
    assert (by_name["format"].tag, by_name["format"].range) == ("s", Range(choices=("wav", "flac", "aiff")))
    assert (by_name["loop"].tag, by_name["loop"].range) == ("i", ON_OFF)
    assert (by_name["image"].tag, by_name["image"].range) == ("s", None)


def test_rows_are_sound():
    assert len(ADDRESSES) == len(TABLE)
    for row in TABLE:
        optional = [argument.optional for argument in row.arguments]
        assert optional == sorted(optional), row.address
        assert all(attribute.optional for attribute in row.attributes), row.address
        assert row.replies, row.address


def test_every_reply_names_what_it_may_answer():
    rows = (Row("/a", "help", replies=("/x", "/done")), Row("/b", "help"))
    assert reply_sources(rows) == {"/fail": ["/a", "/b"], "/x": ["/a"], "/done": ["/a", "/b"]}
