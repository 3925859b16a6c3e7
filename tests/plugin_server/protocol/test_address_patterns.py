"""Address patterns of OSC 1.0 against the addresses of the table."""

import time

import pytest

from plugin_server.errors import UnknownAddress
from plugin_server.protocol.address_patterns import match_addresses
from plugin_server.protocol.addresses import ADDRESSES


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/status", ["/status"]),
        ("/s*", ["/status", "/sync", "/stop"]),
        ("/model/l*d", ["/model/load"]),
        ("/model/*", ["/model/list", "/model/load", "/model/unload"]),
        ("/{status,version}", ["/status", "/version"]),
        ("/s?nc", ["/sync"]),
        ("/[sv]*", ["/status", "/version", "/sync", "/stop", "/volume"]),
        ("/[!s]elp", ["/help"]),
        ("/[a-h]elp", ["/help"]),
    ],
)
def test_address_patterns_match_as_osc_says(pattern, found):
    assert match_addresses(pattern, ADDRESSES) == found


def test_a_pattern_of_many_stars_is_no_burden():
    began = time.monotonic()
    with pytest.raises(UnknownAddress):
        match_addresses("/" + "*" * 60 + "x", ADDRESSES)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("pattern", ["/nothing", "/*/*/*", "/[", "/{", "/[z-a]", "/model", "/generate/"])
def test_an_address_that_nothing_answers_is_told(pattern):
    with pytest.raises(UnknownAddress, match="expected one of /generate"):
        match_addresses(pattern, ADDRESSES)
