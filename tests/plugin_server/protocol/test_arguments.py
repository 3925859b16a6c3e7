"""Arguments of OSC as values."""

import math

import pytest

from plugin_server.errors import BadArgument
from plugin_server.protocol.arguments import (
    as_number,
    as_paths,
    as_text,
    as_whole,
    check_attribute,
    check_range,
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
