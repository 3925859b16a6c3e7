"""Packets as bytes, whole, broken and not quite UTF-8."""

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from plugin_server.errors import BadArgument, BadPacket
from plugin_server.protocol.packets import Foreign, Message, decode_packet, encode_message


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


def test_bundles_are_read_in_order_with_the_latest_time_tag_around():
    inner = OscBundleBuilder(1_000_000_000)
    inner.add_content(message("/b"))
    outer = OscBundleBuilder(IMMEDIATELY)
    for part in (message("/a", 1), inner.build(), message("/c")):
        outer.add_content(part)
    later = (1_000_000_000 + 2_208_988_800) << 32
    messages = decode_packet(outer.build().dgram)
    assert [(m.address, m.time_tag) for m in messages] == [("/a", 1), ("/b", later), ("/c", 1)]


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


def osc(tags: str, data: bytes = b"", address: str = "/a") -> bytes:
    """Return a message of hand-made bytes."""
    parts = (address.encode(), f",{tags}".encode())
    return b"".join(part + bytes(4 - len(part) % 4) for part in parts) + data


@pytest.mark.parametrize(
    ("tags", "data", "arguments"),
    [
        ("Sf", b"sea\0" + struct.pack(">f", 1), ("sea", 1.0)),
        ("Ssi", b"last\0\0\0\0@loop\0\0\0\0\0\0\1", ("last", "@loop", 1)),
        ("sc", b"a\0\0\0\0\0\0b", ("a", "b")),
        ("cc", b"\0\0\0x\0\0\0y", ("x", "y")),
        ("sr", b"a\0\0\0\1\2\3\4", ("a", Foreign("a colour"))),
        ("mi", b"\0\x90\x3c\x7f\0\0\0\2", (Foreign("a MIDI message"), 2)),
        ("ti", bytes(7) + b"\1\0\0\0\2", (Foreign("a time tag"), 2)),
        ("hd", struct.pack(">qd", -(2**40), 0.1), (-(2**40), 0.1)),
        ("TFNIi", struct.pack(">i", 3), (True, False, None, None, 3)),
        ("[i[s]]T", struct.pack(">i", 3) + b"x\0\0\0", ([3, ["x"]], True)),
        ("bi", b"\0\0\0\5hello\0\0\0\0\0\0\7", (b"hello", 7)),
        ("b", b"\0\0\0\0", (b"",)),
        ("s", b"\0\0\0\0", ("",)),
    ],
)
def test_each_type_is_read_with_its_size(tags, data, arguments):
    assert decode_packet(osc(tags, data)) == [Message("/a", arguments)]


def test_type_tags_may_be_left_out_where_nothing_follows():
    assert decode_packet(b"/version\0\0\0\0") == [Message("/version", ())]


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (osc("x", bytes(4)), "type tag 'x' is unknown"),
        (osc("sé", bytes(8)), "is unknown"),
        (osc("i", bytes(8)), "4 bytes are left over"),
        (osc("", bytes(8)), "8 bytes are left over"),
        (osc("sf", b"sea\0wav\0" + struct.pack(">f", 1)), "4 bytes are left over"),
        (osc("s", b"se\0a"), "padding is not NUL"),
        (osc("s", b"abcd"), "a string has no end"),
        (osc("i", bytes(3)), "no multiple of 4"),
        (osc("h", bytes(4)), "ends within its arguments"),
        (osc("b", b"\0\0\0\x09abcdefgh"), "ends within its arguments"),
        (osc("b", b"\xff\xff\xff\xff"), "ends within its arguments"),
        (osc("b", b"\0\0\0\1abcd"), "padding is not NUL"),
        (osc("c", b"\0\0\0\0"), "a character is not ASCII"),
        (osc("c", b"\0\1\2\3"), "a character is not ASCII"),
        (osc("[i", bytes(4)), "an array has no end"),
        (osc("i]", bytes(4)), "an array ends that did not begin"),
        (osc("[" * 9 + "]" * 9), "arrays are nested more than 8 deep"),
        (osc("T" * 1025), "at most 1024 arguments"),
        (b"/a\0\0abc\0", "do not begin with a comma"),
        (b"#bundle\0" + bytes(4), "a bundle ends within its time tag"),
        (b"#bundle\0" + bytes(11) + b"\4abc\0", "an element of the bundle begins with neither"),
        (b"#bundle\0" + bytes(12), "an element of the bundle begins with neither"),
        (b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xfc" + osc(""), "ends after the bundle"),
        (b"#bundle\0" + bytes(8) + b"\0\0\0\x08" + osc("") + b"\0\0", "ends after the bundle"),
        (b"#bundle\0" + bytes(8) + (b"\0\0\0\x08" + osc("")) * 1025, "at most 1024 messages"),
        (b"#bundle\0" + bytes(8) + b"\0\0\0\x06/a\0\0,\0", "no multiple of 4"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_refused_whole(packet, why):
    with pytest.raises(BadPacket, match=re.escape(why)):
        decode_packet(packet)


@pytest.mark.parametrize("argument", [2**31, -(2**31) - 1, 1e39, None, b"", [1], (1,)])
def test_a_reply_has_no_other_types(argument):
    with pytest.raises(BadArgument, match="argument: got"):
        encode_message("/a", argument)


def test_true_is_sent_as_one():
    assert decode_packet(encode_message("/a", True))[0].arguments == (1,)


@given(
    st.lists(
        st.one_of(
            st.text().filter(lambda text: "\0" not in text),
            st.integers(-(2**31), 2**31 - 1),
            st.floats(width=32, allow_nan=False),
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_another_reader_reads_what_is_sent(arguments):
    packet = encode_message("/a", *arguments)
    assert OscMessage(packet).params == arguments
    assert decode_packet(packet) == [Message("/a", tuple(arguments))]


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
