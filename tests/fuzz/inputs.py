"""Random inputs: OSC messages, bundles, streams, HTTP requests and WebSocket frames, whole and broken."""

import random
import struct
from collections.abc import Callable, Sequence

from plugin_server.protocol.addresses import TABLE

ADDRESSES = tuple(row.address for row in TABLE)
REPLIES = ("/done", "/fail", "/queued", "/progress", "/clip", "/synced", "/pong", "/status.reply", "/server/config")
ATTRIBUTES = tuple(sorted({f"@{attribute.name}" for row in TABLE for attribute in row.attributes}))
WORDS = (
    "last",
    "all",
    "rain",
    "sea waves",
    "drums",
    "-rain",
    "*",
    "kick",
    "0",
    "1",
    "-1",
    "2",
    "1e300",
    "nan",
    "inf",
    "0,5",
    "5s",
    "wav",
    "now",
    "bar",
    "beat",
    "on",
    "off",
    "/etc/passwd",
    "../../x",
    "file:///etc/passwd",
    "~",
    "",
    " ",
    "\t\n",
    "\x1b[2Jred",
    "a" * 300,
    "\u202eevil",
    "cafe\u0301",
    "\uff53\uff45\uff41",
    "\ufeffx",
    "\U0001f600" * 20,
    "\u201csea\u201d",
    "@seed",
    "@id",
    "@",
    "@@",
    "%s%n",
    "{}" * 40,
    "{,}" * 30,
    "*{}" * 30,
    "[!-]" * 30,
    "'; drop table clips; --",
)
INTEGERS = (0, 1, -1, 2, 7, 127, 128, 255, 9460, 65535, 65536, 2**24, 2**31 - 1, -(2**31))
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e-30, 3.4e38, -3.4e38, float("nan"), float("inf"), float("-inf"), 16777216.0)
TIME_TAGS = (0, 1, 2, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xEEB00000_00000000)
METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS", "get", "G" * 60, "")
PATHS = (
    "/",
    "/?HOST_INFO",
    "/?VALUE",
    "/generate",
    "/generate?TYPE",
    "/clip?",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/\xff",
    "/" * 900,
    f"/?{'A' * 3000}",
    "*",
    "http://x/",
    "/status?VALUE&VALUE",
    "/nothing",
    "",
    " ",
)
HEADERS = (
    "Host: 127.0.0.1",
    "Host: localhost",
    "Host: evil.example",
    "Host:",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Key: x",
    "Origin: https://evil.example",
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: 99999999999",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    f"X: {'y' * 5000}",
    "no colon",
    "\x00: \x01",
    "Range: bytes=0-",
)


def text(value: str) -> bytes:
    """Return an OSC string: its bytes, a zero and more up to a multiple of four."""
    data = value.encode("utf-8", "surrogateescape")
    return data + b"\0" * (4 - len(data) % 4)


def blob(data: bytes) -> bytes:
    """Return an OSC blob: length, bytes, zeros up to a multiple of four."""
    return struct.pack(">i", len(data)) + data + b"\0" * (-len(data) % 4)


class Inputs:
    """Draws inputs from random numbers of one seed."""

    def __init__(self, seed: int, own_ports: Sequence[int] = ()):
        self.rng = random.Random(seed)
        self.integers = (*INTEGERS, *own_ports)

    def packet(self) -> bytes:
        """Return one OSC packet: a message or a bundle, whole in half of the cases."""
        packet = self.bundle() if self.rng.random() < 0.15 else self.message()
        return packet if self.rng.random() < 0.5 else self.broken(packet)

    def message(self) -> bytes:
        """Return a message, well formed, to an address that is known or nearly so."""
        values = [self.argument() for _ in range(self.rng.choice((0, 0, 1, 1, 2, 3, 5, 9)))]
        tags = "".join(tag for tag, _ in values)
        if self.rng.random() < 0.05:
            tags = f"[{tags}]" if self.rng.random() < 0.5 else "[" * self.rng.randrange(200) + tags
        return text(self.address()) + text("," + tags) + b"".join(data for _, data in values)

    def address(self) -> str:
        """Return an address: known, a pattern, a reply's, or nonsense."""
        known = self.rng.choice(ADDRESSES)
        kind = self.rng.random()
        if kind < 0.6:
            return known
        if kind < 0.75:
            return self.rng.choice(
                (
                    "/*",
                    "/*/*",
                    "//",
                    "/clip/*",
                    "/{status,version}",
                    "/" + "{,}" * 25 + "!",
                    "/[!a]*",
                    "/" + "*{}" * 20,
                    "/" + "?" * 200,
                    "/{" + "a," * 400,
                    "/[a-",
                    known[:-1] + "?",
                )
            )
        if kind < 0.85:
            return self.rng.choice(REPLIES)
        return self.rng.choice(
            ("", "/", "generate", known.upper(), known + "/", "/" + self.word(), "#bundle", "#reply")
        )

    def word(self) -> str:
        """Return a text that somebody might send."""
        return self.rng.choice(WORDS) if self.rng.random() < 0.8 else self.rng.choice(ATTRIBUTES)

    def argument(self) -> tuple[str, bytes]:
        """Return an argument as type tag and bytes."""
        rng = self.rng
        makers: dict[str, Callable[[], bytes]] = {
            "s": lambda: text(self.word()),
            "i": lambda: struct.pack(">i", rng.choice([n for n in self.integers if -(2**31) <= n < 2**31])),
            "f": lambda: struct.pack(">f", rng.choice(FLOATS)),
            "b": lambda: blob(rng.randbytes(rng.randrange(12))),
            "S": lambda: text(self.word()),
            "h": lambda: struct.pack(">q", rng.choice((0, 1, -(2**63), 2**63 - 1, 2**40))),
            "d": lambda: struct.pack(">d", rng.choice((*FLOATS, 1e300))),
            "t": lambda: struct.pack(">Q", rng.choice(TIME_TAGS)),
            "c": lambda: struct.pack(">I", rng.choice((65, 0, 0xFFFFFFFF))),
            "r": lambda: rng.randbytes(4),
            "m": lambda: rng.randbytes(4),
        }
        tag = rng.choice("ssssssiiiiffffbShdtcrmTFNIzQ,\x01")
        return tag, makers[tag]() if tag in makers else b""

    def bundle(self, depth: int = 0) -> bytes:
        """Return a bundle of messages and bundles, with some time tag."""
        rng = self.rng
        elements = []
        for _ in range(rng.choice((0, 1, 2, 5, 40, 400)) if depth == 0 else rng.randrange(3)):
            element = self.bundle(depth + 1) if depth < 12 and rng.random() < 0.2 else self.message()
            size = len(element) if rng.random() < 0.97 else rng.choice((0, -1, 3, 2**31 - 1))
            elements.append(struct.pack(">i", size) + element)
        return (b"#bundle\0" + struct.pack(">Q", rng.choice(TIME_TAGS)) + b"".join(elements))[:65_000]

    def broken(self, data: bytes) -> bytes:
        """Return bytes with one to four faults: flipped, cut, repeated, put in, numbers replaced."""
        rng, out = self.rng, bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(out) + 1)
            match rng.randrange(6):
                case 0 if out:
                    out[at % len(out)] ^= 1 << rng.randrange(8)
                case 1:
                    del out[at:]
                case 2:
                    out[at:at] = out[: rng.randrange(64)]
                case 3:
                    out[at:at] = rng.randbytes(rng.randrange(1, 9))
                case 4 if len(out) >= 4:
                    at = at % (len(out) // 4) * 4
                    out[at : at + 4] = struct.pack(">I", rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
                case _:
                    del out[at : at + rng.randrange(1, 9)]
        return bytes(out[:65_000])

    def stream(self) -> bytes:
        """Return what a TCP client might send: packets with a length, in SLIP, or neither."""
        rng = self.rng
        packets = [self.packet() for _ in range(rng.randint(1, 6))]
        match rng.randrange(5):
            case 0 | 1:
                data = b"".join(struct.pack(">I", len(packet)) + packet for packet in packets)
            case 2:
                data = b"".join(b"\xc0" + self._slip(packet) + b"\xc0" for packet in packets)
            case 3:
                data = b"".join(packets)
            case _:
                data = rng.choice(
                    (b"GET / HTTP/1.1\r\n\r\n", b"/generate rain 2;\n", struct.pack(">I", 2**31), b"\0", b"")
                )
        return data if rng.random() < 0.7 else self.broken(data)

    def _slip(self, packet: bytes) -> bytes:
        escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        return escaped if self.rng.random() < 0.9 else packet

    def request(self) -> bytes:
        """Return an HTTP request: whole, nearly so, or half of one."""
        rng = self.rng
        path = rng.choice((*PATHS, *ADDRESSES))
        version = rng.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9", ""))
        headers = rng.sample(HEADERS, rng.randrange(6))
        if rng.random() < 0.7:
            headers.insert(0, HEADERS[0])
        lines = [f"{rng.choice(METHODS)} {path} {version}", *headers, "", rng.choice(("", "", "body!"))]
        data = "\r\n".join(lines).encode("latin-1", "replace")
        return data if rng.random() < 0.7 else self.broken(data)

    def handshake(self) -> bytes:
        """Return the head of a WebSocket's opening handshake."""
        lines = ("GET / HTTP/1.1", *HEADERS[:1], *HEADERS[6:9], HEADERS[10], "", "")
        return "\r\n".join(lines).encode()

    def frame(self) -> bytes:
        """Return a WebSocket frame: OSC or JSON, masked as a client's must be in most cases."""
        rng = self.rng
        payload = rng.choice(
            (
                self.packet(),
                self.packet(),
                b'{"COMMAND":"LISTEN","DATA":"/volume"}',
                b'{"COMMAND":',
                b"[" * 5000,
                b"\xff\xfe",
                b'{"COMMAND":1e999}',
                b"",
                b"\0" * 60_000,
            )
        )
        opcode = rng.choice((0x82, 0x82, 0x82, 0x81, 0x80, 0x02, 0x88, 0x89, 0x8A, 0xF2, 0x83))
        masked = 0x80 if rng.random() < 0.95 else 0
        if len(payload) < 126:
            head = bytes((opcode, masked | len(payload)))
        else:
            head = bytes((opcode, masked | 126)) + struct.pack(">H", len(payload) % 65_536)
        key = rng.randbytes(4)
        body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if masked else payload
        data = head + (key if masked else b"") + body
        return data if rng.random() < 0.8 else self.broken(data)
