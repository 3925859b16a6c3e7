"""OSC packets as bytes: decoding that forgives strings that are not UTF-8, and encoding."""

from collections.abc import Iterator
from dataclasses import dataclass

from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import build_msg
from pythonosc.parsing.osc_types import ParseError

from plugin_server.errors import BadPacket

MAX_PACKET = 65_536
"""Bytes of a packet."""
MAX_DEPTH = 8
"""Bundles within bundles."""
BUNDLE_MARK = b"#bundle\0"
BUNDLE_HEADER = 16
"""Bytes before the first element of a bundle: the mark and the time tag of 8 bytes each."""
SIZES = {"i": 4, "h": 8, "f": 4, "d": 8, "r": 4, "m": 4, "t": 8}
"""Bytes of an argument by its type tag; tags that are not here take none."""

Atom = str | int | float | bytes | bool | None | list["Atom"]
"""What an OSC argument can be."""


@dataclass(frozen=True, slots=True)
class Message:
    """One OSC message: an address and its arguments."""

    address: str
    arguments: tuple[Atom, ...]


def decode_packet(packet: bytes) -> list[Message]:
    """Return the messages of a packet, those of bundles in order; time tags are not waited for. Raises BadPacket."""
    try:
        return list(_messages(_parse(packet), 0))
    except Exception as error:  # python-osc lets ParseError, UnicodeDecodeError, IndexError and struct.error through
        raise BadPacket(f"packet: got {len(packet)} bytes that are not OSC ({error}), expected a message") from error


def encode_message(address: str, *arguments: str | int | float) -> bytes:
    """Return a message as bytes.

    It has only int32, float32 and string: what Max, Pure Data and SuperCollider all read.
    """
    return build_msg(address, [_plain(argument) for argument in arguments]).dgram


def address_of(packet: bytes) -> str:
    """Return the address of a message that `encode_message` made."""
    return packet.split(b"\0", 1)[0].decode()


def repair_strings(packet: bytes) -> bytes:
    """Return the packet with a question mark for every byte that makes a string no UTF-8; its length stays.

    Latin-1 patches send such strings. Only the address, the type tags and string arguments are changed, never the
    bytes of numbers and blobs. What cannot be followed stays as it is: the parser has the last word.
    """
    repaired = bytearray(packet)
    _repair(repaired, 0, len(repaired))
    return bytes(repaired)


def _parse(packet: bytes) -> OscMessage | OscBundle:
    """Parse a packet, after a repair when its strings are not UTF-8."""
    kind = OscBundle if OscBundle.dgram_is_bundle(packet) else OscMessage
    try:
        return kind(packet)
    except UnicodeDecodeError:
        return kind(repair_strings(packet))


def _messages(parsed: OscMessage | OscBundle, depth: int) -> Iterator[Message]:
    if depth > MAX_DEPTH:
        raise ParseError(f"bundles are nested more than {MAX_DEPTH} deep")
    if isinstance(parsed, OscBundle):
        # python-osc passes over elements that it cannot read; a command must not be lost without an answer.
        if parsed.num_contents != sum(1 for _ in _elements(parsed.dgram, 0, len(parsed.dgram))):
            raise ParseError("an element of the bundle is no message")
        for part in parsed:
            yield from _messages(part, depth + 1)
        return
    if not parsed.address.startswith("/"):
        raise ParseError(f"the address {parsed.address[:40]!r} does not begin with /")
    yield Message(parsed.address, tuple(parsed.params))


def _elements(packet: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where each element of a bundle starts and ends by its size field; the last may go beyond the bundle."""
    offset = start + BUNDLE_HEADER
    while offset < end:
        element = offset + 4
        offset = element + int.from_bytes(packet[offset:element], "big")
        yield element, offset


def _plain(argument: str | int | float) -> str | int | float:
    if not isinstance(argument, str):
        return argument
    # A NUL would end the string early, and what follows it would be read as arguments. File names may hold bytes
    # that are no text.
    return argument.replace("\0", "").encode("utf-8", "replace").decode()


def _repair(packet: bytearray, start: int, end: int) -> None:
    if packet.startswith(BUNDLE_MARK, start):
        for element, element_end in _elements(packet, start, end):
            _repair(packet, element, min(element_end, end))
    else:
        _repair_message(packet, start, end)


def _repair_message(packet: bytearray, start: int, end: int) -> None:
    tags = _repair_string(packet, start, end)
    offset = _repair_string(packet, tags, end)
    for tag in packet[tags:offset].decode("utf-8", "replace"):
        if tag == "s":
            offset = _repair_string(packet, offset, end)
        elif tag == "b":
            size = int.from_bytes(packet[offset : offset + 4], "big")
            offset += 4 + size + -size % 4
        else:
            offset += SIZES.get(tag, 0)


def _repair_string(packet: bytearray, start: int, end: int) -> int:
    """Repair the string that begins at `start`, and return where the next item begins, after the padding."""
    stop = packet.find(b"\0", start, end)
    if stop < 0:
        return end
    # Surrogates stand for single bytes, and so does each question mark that replaces one.
    packet[start:stop] = packet[start:stop].decode("utf-8", "surrogateescape").encode("utf-8", "replace")
    return start + (stop - start) // 4 * 4 + 4
