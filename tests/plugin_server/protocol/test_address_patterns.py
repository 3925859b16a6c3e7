"""Address patterns of OSC 1.0 against the addresses of the table."""

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_server.errors import UnknownAddress
from plugin_server.protocol.address_patterns import MAX_PATTERN, match_addresses
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
        ("/{,help}", ["/help"]),
        ("/{s,v}*{s,n}*", ["/status", "/version", "/sync"]),
        ("/*{}*{}*{}help", ["/help"]),
        ("/[-h]elp", ["/help"]),
        ("/[!a-gi-z]elp", ["/help"]),
    ],
)
def test_address_patterns_match_as_osc_says(pattern, found):
    assert match_addresses(pattern, ADDRESSES) == found


@pytest.mark.parametrize("repeated", ["*", "{,}", "*{}", "*{,}", "{,a,,b}", "*?", "*[!z]", "?{,s}", "[a-z]*", "{s,st}"])
@pytest.mark.parametrize("end", ["", "!", "x", "*"])
def test_no_pattern_is_a_burden(repeated, end):
    pattern = ("/" + repeated * MAX_PATTERN)[: MAX_PATTERN - len(end)] + end
    began = time.process_time()
    with suppress(UnknownAddress):
        match_addresses(pattern, ADDRESSES)
    assert time.process_time() - began < 0.2


def test_a_long_pattern_is_refused():
    with pytest.raises(UnknownAddress, match="got 257 characters, expected at most 256"):
        match_addresses("/" + "*" * MAX_PATTERN, ADDRESSES)


@given(st.text("/*?[]{},!-ast", max_size=12))
@settings(max_examples=300, deadline=None)
def test_patterns_match_what_a_search_of_every_way_finds(pattern):
    found = [address for address in SHORT if address == pattern or matches(pattern, address)]
    try:
        assert match_addresses(pattern, SHORT) == found
    except UnknownAddress:
        assert found == []


SHORT = ("/s", "/sta", "/st/a", "/t/s", "/a-s")


def matches(pattern: str, address: str) -> bool:
    """Return whether a pattern matches, by trying every way."""
    if not pattern:
        return not address
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return matches(rest, address) or (bool(address) and address[0] != "/" and matches(pattern, address[1:]))
    if head == "{" and "}" in rest:
        inside, _, rest = rest.partition("}")
        return any(address.startswith(t) and matches(rest, address[len(t) :]) for t in inside.split(","))
    if head == "[" and "]" in rest[1:]:
        end = rest.index("]", 1)
        inside, rest = rest[:end], rest[end + 1 :]
        if not address or address[0] == "/":
            return False
        negated = inside[0] == "!" and len(inside) > 1
        return in_set(inside[negated:], address[0]) != negated and matches(rest, address[1:])
    if not address or (head == "?" and address[0] == "/"):
        return False
    return head in ("?", address[0]) and matches(rest, address[1:])


def in_set(inside: str, character: str) -> bool:
    if len(inside) > 2 and inside[1] == "-":
        return inside[0] <= character <= inside[2] or in_set(inside[3:], character)
    return bool(inside) and (character == inside[0] or in_set(inside[1:], character))


@pytest.mark.parametrize("pattern", ["/nothing", "/*/*/*", "/[", "/{", "/[z-a]", "/model", "/generate/"])
def test_an_address_that_nothing_answers_is_told(pattern):
    with pytest.raises(UnknownAddress, match="expected one of /generate"):
        match_addresses(pattern, ADDRESSES)
