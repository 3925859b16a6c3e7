"""Arguments of OSC as values."""

import math

import pytest

from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import (
    as_number,
    as_paths,
    as_switch,
    as_text,
    as_whole,
    check_attribute,
    check_range,
    exactly,
    only_number,
)
from plugin_server.protocol.packets import Foreign
from plugin_server.protocol.table import Range


def test_numbers_need_not_be_finite():
    assert math.isnan(as_number("x", math.nan)) and as_number("x", math.inf) == math.inf


@pytest.mark.parametrize(
    ("value", "allowed", "sentence"),
    [
        (-1, Range(0, 127), "x: got -1, expected 0 to 127"),
        (127.5, Range(0, 127), "x: got 127.5, expected 0 to 127"),
        (math.nan, Range(0.0, 1.0), "x: got nan, expected 0 to 1"),
        (2147483648, Range(0, 2147483647), "x: got 2147483648, expected 0 to 2147483647"),
        ("other", Range(choices=("now", "beat")), "x: got 'other', expected one of now, beat"),
    ],
)
def test_a_value_outside_its_range_is_refused(value, allowed, sentence):
    with pytest.raises(BadArgument) as caught:
        check_range("x", value, allowed)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "allowed"), [(0, Range(0, 127)), (1.0, Range(0.0, 1.0)), (7, Range(minimum=7)), ("a", Range(choices="a"))]
)
def test_a_value_within_its_range_stays(value, allowed):
    assert check_range("x", value, allowed) == value


def test_one_number_is_one():
    with pytest.raises(BadArgument, match="x: got 2 values, expected 0 to 1"):
        only_number("x", [0, 1], Range(0.0, 1.0))
    assert only_number("x", ["0.5"], Range(0.0, 1.0)) == 0.5


def test_an_attribute_that_is_not_known_is_named():
    check_attribute("gain", ["gain", "pan"])
    with pytest.raises(BadArgument, match="attribute: got @gian, expected one of @gain @pan"):
        check_attribute("gian", ["gain", "pan"])


@pytest.mark.parametrize(("atom", "number"), [(True, 1), (False, 0), (2.0, 2), ("3", 3), (2**31 - 1, 2147483647)])
def test_a_whole_number_may_come_as_many_types(atom, number):
    assert as_whole("x", atom) == number and type(as_whole("x", atom)) is int


@pytest.mark.parametrize("atom", [2**31, -(2**31) - 1, 2**62, 1e300, "1e300", "9" * 4000, math.inf, "nan"])
def test_a_whole_number_has_32_bits(atom):
    with pytest.raises(BadArgument, match="x: got"):
        as_whole("x", atom)


def test_a_blob_with_a_nul_and_a_colour_are_no_text():
    with pytest.raises(BadArgument, match="x: got a blob with a NUL in it, expected text"):
        as_text("x", b"sea\0wav")
    with pytest.raises(BadArgument, match="x: got a colour, expected text"):
        as_text("x", Foreign("a colour"))


def test_a_path_is_short():
    with pytest.raises(BadArgument, match="image: got 5000 characters, expected at most 4096"):
        as_paths(["/" * 5000])


@pytest.mark.parametrize("atom", ["1,5", "1.5", " 1.5 ", b"1.5", '"1.5"', "+1.5", "15e-1", "\uff11.5", 1.5])
def test_a_number_may_come_as_text(atom):
    assert as_number("x", atom) == 1.5


@pytest.mark.parametrize("atom", ["", "five", "5s", "1_000", "nan", "inf", "1.000,5", "--1", "9" * 4000, None])
def test_what_is_no_number_is_named(atom):
    with pytest.raises(BadArgument, match=r"x: got .*, expected a number"):
        as_number("x", atom)


@pytest.mark.parametrize("atom", [14, 14.0, "14", "14.0", "14,0", "1.4e1", b"14"])
def test_a_whole_number_may_have_a_point(atom):
    assert as_whole("x", atom) == 14


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        ([True, 1, 1.0, "1", "1.0", "on", "ON", "true", "True", "yes", b"on", '"on"'], True),
        ([False, 0, 0.0, "0", "0.0", "off", "Off", "false", "no", b"0"], False),
    ],
)
def test_a_switch_has_many_spellings(atoms, expected):
    assert all(as_switch("x", atom) is expected for atom in atoms)


@pytest.mark.parametrize("atom", [2, -1, 0.5, "2", "maybe", "", None, [1]])
def test_what_is_no_switch_is_named(atom):
    with pytest.raises(BadArgument, match=r"x: got .*, expected 0 or 1, on or off"):
        as_switch("x", atom)


def test_what_came_is_shown_where_nothing_was_expected():
    with pytest.raises(BadArgument, match="arguments: got 'on' true nil, expected nothing"):
        exactly(0, "nothing", ["on", True, None, 4])
    with pytest.raises(BadArgument, match="x: got false, expected text"):
        as_text("x", False)
