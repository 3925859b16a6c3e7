"""Streams of TCP, cut into packets."""

import pytest
from pythonosc import slip

from plugin_server.errors import BadPacket
from plugin_server.protocol.packets import MAX_PACKET, encode_message
from plugin_server.protocol.transports.framing import Framing


def test_a_stream_is_cut_into_packets_however_it_arrives():
    packets = [encode_message("/a", 1), encode_message("/b", "\u00db\u00c0" * 3), encode_message("/c")]
    streams = {
        "prefix": b"".join(len(p).to_bytes(4, "big") + p for p in packets),
        "slip": b"".join(slip.encode(p) for p in packets),
        "slip without a leading end": b"".join(slip.encode(p)[1:] for p in packets),
    }
    for stream in streams.values():
        for size in (1, 3, 7, len(stream)):
            framing, found = Framing(), []
            for start in range(0, len(stream), size):
                found += framing.feed(stream[start : start + size])
            assert found == packets


def test_replies_use_the_framing_of_the_other_side():
    packet = encode_message("/a")
    prefixed, slipped = Framing(), Framing()
    list(prefixed.feed(len(packet).to_bytes(4, "big") + packet))
    list(slipped.feed(slip.encode(packet)))
    assert prefixed.wrap(packet) == len(packet).to_bytes(4, "big") + packet
    assert slipped.wrap(packet) == slip.encode(packet)


def test_a_web_page_cannot_reach_the_daemon():
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9460\r\n\r\n" + slip.encode(encode_message("/generate", "x"))
    with pytest.raises(BadPacket, match="not OSC"):
        list(Framing().feed(request))


def test_a_stream_that_never_ends_is_refused():
    with pytest.raises(BadPacket):
        list(Framing().feed((MAX_PACKET + 1).to_bytes(4, "big")))
    with pytest.raises(BadPacket):
        list(Framing().feed(b"\xc0" + b"a" * (2 * MAX_PACKET + 2)))
    with pytest.raises(BadPacket):
        list(Framing().feed(b"\xc0/a\xdb\x01\xc0"))


@pytest.mark.parametrize("empty", [b"\xc0\xc0\xc0", bytes(4), bytes(12)])
def test_packets_of_no_length_are_passed_over(empty):
    packet = encode_message("/version")
    is_slip = empty[0] == 0xC0
    data = empty + (slip.encode(packet) if is_slip else len(packet).to_bytes(4, "big") + packet) + empty
    for size in (1, 3, len(data)):
        framing, heard = Framing(), []
        for start in range(0, len(data), size):
            heard += framing.feed(data[start : start + size])
        assert heard == [packet]
