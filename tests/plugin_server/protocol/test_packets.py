"""Packets as bytes, whole, broken and not quite UTF-8."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from plugin_server.errors import BadPacket
from plugin_server.protocol.packets import Message, decode_packet, encode_message


def message(address, *arguments):
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build()


def test_a_message_comes_back_as_it_was_sent():
    assert decode_packet(encode_message("/generate", "sea waves", 5, 0.5)) == [
        Message("/generate", ("sea waves", 5, 0.5))
    ]


def test_only_types_that_every_client_reads_are_sent():
    packet = encode_message("/clip", "j1", 3, 0.25)
    assert b",sif\0" in packet


def test_bundles_are_read_in_order_whatever_their_time_tags_say():
    inner = OscBundleBuilder(2_000_000_000)
    inner.add_content(message("/b"))
    outer = OscBundleBuilder(IMMEDIATELY)
    for part in (message("/a", 1), inner.build(), message("/c")):
        outer.add_content(part)
    assert [m.address for m in decode_packet(outer.build().dgram)] == ["/a", "/b", "/c"]


def test_bytes_that_are_not_utf8_are_tolerated():
    packet = encode_message("/generate", "sea_waves?", "@name", "m_we").replace(b"_", b"\xf6")
    ((address, arguments),) = [(m.address, m.arguments) for m in decode_packet(packet)]
    assert address == "/generate"
    assert arguments == ("sea?waves?", "@name", "m?we")


def test_bytes_of_numbers_and_blobs_are_never_repaired():
    number, blob = struct.unpack(">i", b"\xf6aa\xf6")[0], b"\xf6\xf6aa\xf6"
    flat = struct.unpack(">f", b"\x42\xf6aa")[0]
    inner = message("/generate", "aa\N{BULLET}aa", number, blob, flat, 1, "\N{BULLET}", blob, "m\N{BULLET}")
    packet = inner.dgram.replace("\N{BULLET}".encode(), b"\xf6aa")
    expected = Message("/generate", ("aa?aaaa", number, blob, flat, 1, "?aa", blob, "m?aa"))
    assert decode_packet(packet) == [expected]
    nested = b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", len(packet)) + packet
    twice = nested + struct.pack(">i", len(nested)) + nested
    assert decode_packet(twice) == [expected, expected]


def test_a_name_that_is_no_text_can_be_sent():
    assert decode_packet(encode_message("/clip", "m\udcf6we"))[0].arguments == ("m?we",)


def test_utf8_comes_through():
    assert decode_packet(encode_message("/generate", "Möwen 波"))[0].arguments == ("Möwen 波",)


def test_a_nul_in_a_reply_cannot_end_it_early():
    assert decode_packet(encode_message("/fail", "a\0b", "c"))[0].arguments == ("ab", "c")


@pytest.mark.parametrize(
    "packet",
    [b"", b"\0\0\0\0", b"generate\0\0\0\0,\0\0\0", b"/generate", b"/a\0\0,i\0\0", b"/a\0\0,s\0\0abc", b"#bundle\0",
     b"#bundle\0" + bytes(8) + struct.pack(">i", 999)],
)  # fmt: skip
def test_what_is_no_packet_is_refused_with_a_sentence(packet):
    with pytest.raises(BadPacket, match="expected a message"):
        decode_packet(packet)


def test_bundles_cannot_be_nested_without_end():
    packet = message("/a").dgram
    for _ in range(20):
        packet = b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", len(packet)) + packet
    with pytest.raises(BadPacket):
        decode_packet(packet)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise_anything_else(packet):
    try:
        decode_packet(packet)
    except BadPacket:
        pass
