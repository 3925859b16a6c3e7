"""Arguments as handlers get them, by the rows of the address table."""

import pytest

from plugin_server.protocol.addresses import ADDRESSES, TABLE
from plugin_server.protocol.given_arguments import arguments_of

NEED_NOTHING = [row for row in TABLE if not row.arguments]
NEED_NO_NAME = [row for row in TABLE if row.arguments and row.arguments[0].optional and row.arguments[0].tag == "s"]
PRESSES = [1, 1.0, True]
RELEASES = [0, 0.0, -0.0, False]


def given(address, *atoms):
    arguments = arguments_of(ADDRESSES[address], atoms)
    return None if arguments is None else list(arguments)


@pytest.mark.parametrize("row", NEED_NOTHING, ids=lambda row: row.address)
def test_a_command_that_takes_nothing_is_done_by_a_press_and_not_by_a_release(row):
    for press in (*PRESSES, 127, 0.3, -1, "1", "1.0", "0,5", "bang", "Bang", None):
        assert arguments_of(row, [press]) == arguments_of(row, []) == []
    for release in (*RELEASES, "0", "0.0"):
        assert arguments_of(row, [release]) == (None if "/done" in row.replies else [])
    for other in (["x"], [1, 0]):
        assert arguments_of(row, other) == other


@pytest.mark.parametrize("row", NEED_NO_NAME, ids=lambda row: row.address)
def test_so_is_one_that_needs_no_name_and_names_stay(row):
    slots = row.arguments[0].takes_number
    for press in (1.0, 0.3, True, None):
        assert arguments_of(row, [press]) == []
    for release in (0.0, False):
        assert arguments_of(row, [release]) is None
    assert arguments_of(row, [1]) == ([1] if slots else [])
    assert arguments_of(row, [0]) == ([0] if slots else None)
    for name in ("last", "all", "1", "0", 808, 7.0, 2.5):
        assert arguments_of(row, [name]) == [name]


def test_rows_without_a_required_argument_are_these():
    assert {"/bank/next", "/bank/previous", "/bank/list", "/clip/undo", "/clip/redo", "/clip/scan", "/status"} <= {
        row.address for row in NEED_NOTHING
    }
    assert {"/cancel", "/stop", "/play", "/help", "/bank/load", "/bank/render", "/bank/save"} <= {
        row.address for row in NEED_NO_NAME
    }


@pytest.mark.parametrize(
    ("address", "atoms", "expected"),
    [
        ("/play", [1.0, "@gain", 0.5], ["@gain", 0.5]),
        ("/play", [0.0, "@gain", 0.5], None),
        ("/tempo", [1.0], [1.0]),
        ("/tempo", [None], []),
        ("/tempo", [True], [True]),
        ("/volume", [False], [False]),
        ("/link", [0], [0]),
        ("/link", [False], [False]),
        ("/link", [None], []),
        ("/sync", [1], [1]),
        ("/sync", [0], [0]),
        ("/sync", [None], []),
        ("/clip/list", [1], [1]),
        ("/clip/list", [None, 20], [None, 20]),
        ("/clip/list", [5, None], [5]),
        ("/notify", [0], [0]),
        ("/notify", [1, None], [1]),
        ("/notify", [None], []),
        ("/clip/star", ["last", None], ["last"]),
        ("/bank/fire", [0, None], [0]),
        ("/bank/fire", [0], [0]),
        ("/volume", [0], [0]),
        ("/clip/info", [1], [1]),
        ("/stop", [" ALL"], ["all"]),
        ("/stop", ["All", "rain"], ["All", "rain"]),
        ("/cancel", ["All"], ["all"]),
        ("/play", ["LAST", "@gain", 1], ["last", "@gain", 1]),
        ("/bank/render", ["ALL"], ["all"]),
        ("/bank/stop", ["All"], ["all"]),
        ("/bank/fire", ["All"], ["All"]),
    ],
)
def test_values_stay_where_they_are_wanted_and_nil_is_nothing(address, atoms, expected):
    assert given(address, *atoms) == expected


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (["rain", None], ["rain"]),
        (["rain", None, "@seed", 5], ["rain", "@seed", 5]),
        (["rain", "@seed", None], ["rain"]),
        (["rain", "@seed", None, "@steps", 2], ["rain", "@steps", 2]),
        (["rain", "@name", "a", None], ["rain", "@name", "a", None]),
        ([None], [None]),
        (["rain", "@seed"], ["rain", "@seed"]),
        ([b"sea waves", 2], ["sea waves", 2]),
        (["sea waves @seed 5"], ["sea", "waves", "@seed", "5"]),
        (["sea waves 2 @seed 5"], ["sea", "waves", "2", "@seed", "5"]),
        (["rain", "@seed 5"], ["rain", "@seed", "5"]),
        (["rain", 2, "@seed 5 @steps 3"], ["rain", 2, "@seed", "5", "@steps", "3"]),
        ([b"rain @image /etc/passwd"], ["rain", "@image", "/etc/passwd"]),
        (["meet me @noon", 2], ["meet me @noon", 2]),
        (["mail @ home"], ["mail @ home"]),
        (["a@seed b"], ["a@seed b"]),
    ],
)
def test_one_text_may_hold_the_attributes(atoms, expected):
    assert given("/generate", *atoms) == expected


def test_a_text_is_taken_apart_by_the_attributes_of_its_own_address():
    assert given("/play", "last @gain 0.5") == ["last", "@gain", "0.5"]
    assert given("/clip/search", "rain @count 3") == ["rain", "@count", "3"]
    assert given("/clip/tag", "last", "by @seed 5") == ["last", "by @seed 5"]
