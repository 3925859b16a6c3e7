"""OSC packets as bytes: decoding that forgives, encoding, and the two framings of OSC over TCP."""

from collections.abc import Iterator
from dataclasses import dataclass

from pythonosc import slip
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import build_msg
from pythonosc.parsing.osc_types import ParseError

from plugin_server.errors import BadPacket
from plugin_server.protocol.repair import repair_strings

MAX_PACKET = 65_536
MAX_DEPTH = 8
"""Bundles within bundles."""
SLIP_END = 0xC0

Atom = str | int | float | bytes | bool | None | list["Atom"]
"""What an OSC argument can be."""


@dataclass(frozen=True, slots=True)
class Message:
    """One OSC message."""

    address: str
    arguments: tuple[Atom, ...]


def decode_packet(packet: bytes) -> list[Message]:
    """Messages of a packet, those of bundles in order; time tags are not waited for. Raises BadPacket."""
    try:
        return list(_messages(_parse(packet), 0))
    except Exception as error:  # python-osc lets ParseError, UnicodeDecodeError, IndexError and struct.error through
        raise BadPacket(f"packet: got {len(packet)} bytes that are not OSC ({error}), expected a message") from error


def _parse(packet: bytes) -> OscMessage | OscBundle:
    """Parse; bytes of strings that are not UTF-8 become question marks."""
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
        if parsed.num_contents != _count_elements(parsed.dgram):
            raise ParseError("an element of the bundle is no message")
        for part in parsed:
            yield from _messages(part, depth + 1)
        return
    if not parsed.address.startswith("/"):
        raise ParseError(f"the address {parsed.address[:40]!r} does not begin with /")
    yield Message(parsed.address, tuple(parsed.params))


def encode_message(address: str, *arguments: str | int | float) -> bytes:
    """A message as bytes. Only int32, float32 and string: what Max, Pure Data and SuperCollider all read."""
    return build_msg(address, [_plain(argument) for argument in arguments]).dgram


def address_of(packet: bytes) -> str:
    """The address of a message that `encode_message` made."""
    return packet.split(b"\0", 1)[0].decode()


def _plain(argument: str | int | float) -> str | int | float:
    if not isinstance(argument, str):
        return argument
    # A NUL would end the string early, and what follows it would be read as arguments. File names may hold bytes
    # that are no text.
    return argument.replace("\0", "").encode("utf-8", "replace").decode()


def _count_elements(bundle: bytes) -> int:
    """Elements by their size fields, after the mark and the time tag of 8 bytes each."""
    place, count = 16, 0
    while place < len(bundle):
        place += 4 + int.from_bytes(bundle[place : place + 4], "big")
        count += 1
    return count


class Framing:
    """Cuts a TCP stream into packets: SLIP (OSC 1.1) or length prefix (OSC 1.0), told by the first byte."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._slip: bool | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Whole packets so far. Raises BadPacket when the stream cannot be followed any longer."""
        self._buffer += data
        if self._slip is None and self._buffer:
            # A length under 16 MiB begins with a zero byte; SLIP with its END mark or with the packet itself. Anything
            # else is no OSC: a web page must not reach the daemon with packets in the body of a request.
            if self._buffer[0] not in b"\0\xc0/#":
                raise BadPacket("packet: got a stream that is not OSC, expected SLIP or a length prefix")
            self._slip = self._buffer[0] != 0
        while (packet := self._next_slip() if self._slip else self._next_prefixed()) is not None:
            if packet:
                yield packet
        if len(self._buffer) > 2 * MAX_PACKET:
            raise BadPacket(f"packet: got more than {MAX_PACKET} bytes without an end")

    def wrap(self, packet: bytes) -> bytes:
        """A packet in the framing that the other side uses."""
        return slip.encode(packet) if self._slip else len(packet).to_bytes(4, "big") + packet

    def _next_slip(self) -> bytes | None:
        end = self._buffer.find(SLIP_END)
        if end < 0:
            return None
        piece = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            return slip.decode(piece)
        except slip.ProtocolError as error:
            raise BadPacket("packet: got a SLIP escape that is none") from error

    def _next_prefixed(self) -> bytes | None:
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4], "big")
        if length > MAX_PACKET:
            raise BadPacket(f"packet: got a length of {length} bytes, expected at most {MAX_PACKET}")
        if len(self._buffer) < 4 + length:
            return None
        packet = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return packet
