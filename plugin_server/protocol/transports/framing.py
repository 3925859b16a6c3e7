"""The two framings of OSC over TCP: SLIP of OSC 1.1, and the length prefix of OSC 1.0."""

import re
from collections.abc import Iterator

from pythonosc import slip

from plugin_server.errors import BadPacket
from plugin_server.protocol.packets import MAX_PACKET

SLIP_END = 0xC0
FIRST_BYTES = b"\0\xc0/#"
"""A length under 16 MiB begins with a zero byte; SLIP with its END mark or with the packet itself."""


NO_END, NO_ZERO = re.compile(rb"[^\xc0]"), re.compile(rb"[^\0]")


class Framing:
    """Cuts a TCP stream into packets; the first byte tells which framing it has."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_slip: bool | None = None
        self._is_answered_plainly = False
        self._has_seen_end = False

    @property
    def may_be_unframed(self) -> bool:
        """True while the stream may be bare OSC: it began with a packet, and no END came that closes it."""
        return bool(self._is_slip) and not self._has_seen_end

    def answer_unframed(self) -> None:
        """Have replies sent without framing too, since nobody knows what the other side can read."""
        self._is_answered_plainly = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the whole packets so far. Raises BadPacket when the stream cannot be followed any longer."""
        self._buffer += data
        if self._is_slip is None and self._buffer:
            # A web page must not reach the daemon with packets in the body of a request.
            if self._buffer[0] not in FIRST_BYTES:
                raise BadPacket("packet: got a stream that is not OSC, expected SLIP or a length prefix")
            self._is_slip = self._buffer[0] != 0
        while (packet := self._next_slip() if self._is_slip else self._next_prefixed()) is not None:
            yield packet
        if len(self._buffer) > 2 * MAX_PACKET:
            raise BadPacket(f"packet: got more than {MAX_PACKET} bytes without an end, expected at most that")

    def wrap(self, packet: bytes) -> bytes:
        """Return a packet in the framing that the other side uses."""
        if self._is_slip:
            # SLIP needs no END before a packet: whoever reads it takes the bare one for a packet as well.
            return (packet if self._is_answered_plainly else b"") + slip.encode(packet)
        return len(packet).to_bytes(4, "big") + packet

    def _next_slip(self) -> bytes | None:
        # All at once: a stream may consist of nothing else.
        if n_ends := _run_length(self._buffer, NO_END):
            self._has_seen_end = True
            del self._buffer[:n_ends]
        end = self._buffer.find(SLIP_END)
        if end < 0:
            return None
        self._has_seen_end = True
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            return slip.decode(frame)
        except slip.ProtocolError as error:
            raise BadPacket("packet: got a SLIP escape that is none, expected 220 or 221 after 219") from error

    def _next_prefixed(self) -> bytes | None:
        # Packets of no length.
        del self._buffer[: _run_length(self._buffer, NO_ZERO) // 4 * 4]
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


def _run_length(data: bytearray, end: re.Pattern[bytes]) -> int:
    """Return the bytes before the first one that `end` finds, all of them where it finds none."""
    found = end.search(data)
    return found.start() if found else len(data)
