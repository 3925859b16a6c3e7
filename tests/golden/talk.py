"""Talks with a daemon over each transport and writes down what is said."""

import json
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pythonosc import slip
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from websockets.sync.client import connect

from tests.golden.masks import Names

ENDS = {"/status": "/status.reply", "/version": "/version.reply", "/network": "/network.reply", "/sync": "/synced"}
"""Replies that end an answer, where it is not /done or /fail with the address."""
OTHER_ENDS = {"/clip/again": "/generate"}
"""Addresses whose answers end as another one's do."""
WAIT_S = 60.0
Heard = tuple[str, str, tuple]
"""Address, type tags, arguments."""


class Line(Protocol):
    """One connection."""

    def send(self, packet: bytes) -> None: ...

    def receive(self, timeout_s: float) -> bytes | None:
        """The next packet; None when the connection was closed. Raises TimeoutError."""
        ...

    def close(self) -> None: ...


class Udp:
    """UDP: a packet is a datagram."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]

    def send(self, packet: bytes) -> None:
        self._socket.send(packet)

    def receive(self, timeout_s: float) -> bytes:
        self._socket.settimeout(timeout_s)
        return self._socket.recv(65536)

    def close(self) -> None:
        self._socket.close()


class Tcp:
    """TCP in one of the two framings."""

    def __init__(self, port: int, framing: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._slip = framing == "slip"
        self._buffer = b""

    def send(self, packet: bytes) -> None:
        self.send_raw(slip.encode(packet) if self._slip else len(packet).to_bytes(4, "big") + packet)

    def send_raw(self, stream: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(stream)

    def receive(self, timeout_s: float) -> bytes | None:
        self._socket.settimeout(timeout_s)
        while (packet := self._next()) is None:
            more = self._socket.recv(65536)
            if not more:
                return None
            self._buffer += more
        return packet

    def _next(self) -> bytes | None:
        if self._slip:
            parts = self._buffer.lstrip(b"\xc0").split(b"\xc0", 1)
            if len(parts) < 2:
                return None
            self._buffer = parts[1]
            return slip.decode(parts[0])
        length = int.from_bytes(self._buffer[:4], "big")
        if len(self._buffer) < 4 or len(self._buffer) < 4 + length:
            return None
        packet, self._buffer = self._buffer[4 : 4 + length], self._buffer[4 + length :]
        return packet

    def close(self) -> None:
        self._socket.close()


class Web:
    """A WebSocket: a packet is a binary frame."""

    def __init__(self, port: int) -> None:
        self._connection = connect(f"ws://127.0.0.1:{port}/", proxy=None)
        self._web = self._connection.__enter__()

    def send(self, packet: bytes) -> None:
        self._web.send(packet)

    def send_text(self, text: str) -> None:
        """A command of OSCQuery."""
        self._web.send(text)

    def receive(self, timeout_s: float) -> bytes:
        return self._web.recv(timeout_s)

    def close(self) -> None:
        self._connection.__exit__(None, None, None)


class Talk:
    """A talk on one line, written into `lines`."""

    def __init__(self, line: Line, names: Names, lines: list[str]) -> None:
        self.line, self._names, self._lines = line, names, lines
        self.with_progress = True
        self._with_levels = False

    def close(self) -> None:
        """End the connection."""
        self.line.close()

    def note(self, text: str) -> None:
        """A heading in the record."""
        self._lines.extend(["", f"# {text}"])

    def say(self, address: str, *arguments: object, ends: int = 1, apart: Sequence[str] = ()) -> list[Heard]:
        """Send one message, wait for so many answers that end it, and write all of it down.

        Replies to the addresses `apart` come from another thread than the rest; they are written after it.
        """
        self._wrote(address, arguments)
        self.line.send(message(address, *arguments))
        return self._wrote_answers(self._until(lambda heard: count_ends(heard, address) >= ends), apart)

    def say_raw(self, what: str, packet: bytes, ends: int = 1, apart: Sequence[str] = ()) -> list[Heard]:
        """Send bytes that `what` describes."""
        self._lines.extend(["", f"> {what}"])
        self.line.send(packet)
        return self._wrote_answers(self._until(lambda heard: sum(map(is_end, heard)) >= ends), apart)

    def begin(self, address: str, *arguments: object, stage: str = "") -> list[Heard]:
        """Send one message whose job goes on, and wait until it is queued, or at a stage."""
        self._wrote(address, arguments)
        self.line.send(message(address, *arguments))
        return self._wrote_answers(self._until(lambda heard: is_begun(heard, stage)), fence=False)

    def settle(self) -> None:
        """Let a job that was cancelled leave the engine, unrecorded: until then others are counted behind it."""
        self.line.send(message("/model/load", "toy"))
        self._until(lambda heard: count_ends(heard, "/model/load") >= 1)

    def hear(self, why: str, until: Callable[[list[Heard]], bool], apart: Sequence[str] = ()) -> list[Heard]:
        """Wait for what comes of something that was done elsewhere."""
        self._lines.extend(["", f"({why})"])
        return self._wrote_answers(self._until(until), apart)

    def frame(self, text: str) -> None:
        """Send a text frame over a WebSocket; what is answered comes before the answer to /version."""
        self._lines.extend(["", f"> frame {text}"])
        self.line.send_text(text)
        self._wrote_answers([])

    def refused(self, stream: bytes) -> None:
        """Send what a TCP stream must not hold; the daemon says so and ends the connection."""
        self.line.send_raw(stream)
        self._lines.extend(self._told([parsed(self.line.receive(WAIT_S))]))
        ended = self.line.receive(WAIT_S) is None
        self._lines.append("< the connection is closed" if ended else "< the connection stays open")

    def _wrote(self, address: str, arguments: Sequence[object]) -> None:
        self._lines.extend(["", self._names.mask(" ".join([f"> {address}", *map(shown, arguments)]))])

    def _until(self, enough: Callable[[list[Heard]], bool]) -> list[Heard]:
        heard: list[Heard] = []
        until = time.monotonic() + WAIT_S
        while not enough(heard):
            try:
                packet = self.line.receive(max(until - time.monotonic(), 0.001))
            except TimeoutError:
                raise AssertionError(f"no end came after {self._lines[-1]}; heard {heard}") from None
            assert packet is not None, f"closed after {self._lines[-1]}; heard {heard}"
            heard.append(parsed(packet))
        return heard

    def _wrote_answers(self, heard: list[Heard], apart: Sequence[str] = (), fence: bool = True) -> list[Heard]:
        if fence:
            # Nothing of this message may be counted to the next: the banks' thread, then the loop, are asked once more.
            self.line.send(message("/bank/list", "no such argument"))
            heard += self._until(lambda more: bool(more) and more[-1][0] == "/fail" and "/bank/list" in more[-1][2])[
                :-1
            ]
            self.line.send(message("/version"))
            heard += self._until(lambda more: bool(more) and more[-1][0] == "/version.reply")[:-1]
        heard = [*(h for h in heard if h[0] not in apart), *(h for h in heard if h[0] in apart)]
        self._lines.extend(self._told(heard))
        return heard

    def _told(self, heard: list[Heard]) -> list[str]:
        """Without what is a matter of time: how long a model loads, how far a job comes before it is cancelled, and how
        many levels are sent."""
        lines = []
        for address, tags, arguments in heard:
            if address == "/progress" and not (self.with_progress and arguments[2] != "loading"):
                continue
            if address == "/levels":
                if self._with_levels:
                    continue
                self._with_levels = True
            words = [self._argument(address, place, atom) for place, atom in enumerate(arguments)]
            lines.append(" ".join([f"< {address}", f",{tags}", *words]))
        return lines

    def _argument(self, address: str, place: int, atom: object) -> str:
        if isinstance(atom, str) and (address, place) in (("/clip", 1), ("/clip.info", 0), ("/bank.slot", 7)) and atom:
            self._names.name("clip", atom)
        if isinstance(atom, str) and atom.startswith("fire-"):
            return self._names.name("fire", atom)
        if (address, place) == ("/status.reply", 13):
            return "<seconds of models>"
        if isinstance(atom, float):
            return f"{atom:.6g}"
        return self._names.mask(shown(atom))


def is_begun(heard: Sequence[Heard], stage: str) -> bool:
    """True when the last of these replies tells of a job at a stage, or that one is queued."""
    if not heard:
        return False
    address, _, arguments = heard[-1]
    return address == "/progress" and arguments[2] == stage if stage else address == "/queued"


def count_ends(heard: Sequence[Heard], address: str) -> int:
    """How many of these replies end an answer to an address; for a pattern, to any."""
    return sum(is_end(one, None if set(address) & set("?*[{") else address) for one in heard)


def is_end(heard: Heard, address: str | None = None) -> bool:
    """True for a reply that ends an answer."""
    reply, _, arguments = heard
    if reply in ("/done", "/fail"):
        return address is None or arguments[0] in (address, address[:80], OTHER_ENDS.get(address), "")
    return reply == ENDS.get(address) if address else reply in ENDS.values()


def message(address: str, *arguments: object) -> bytes:
    """A message with the OSC types of its arguments."""
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build().dgram


def parsed(packet: bytes) -> Heard:
    """A reply with its type tags."""
    tags = packet[packet.index(b",") :].split(b"\0", 1)[0].decode()[1:]
    said = OscMessage(packet)
    return said.address, tags, tuple(said.params)


def shown(atom: object) -> str:
    """An argument as the record shows it."""
    return json.dumps(atom, ensure_ascii=False) if isinstance(atom, str) else repr(atom)


def folder_names(folder: Path) -> dict[str, str]:
    """The temporary folder, also as links resolve it."""
    return {str(folder): "<tmp>", str(folder.resolve()): "<tmp>"}
