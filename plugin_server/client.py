"""A client in Python: send a prompt, follow its events. The tests and the demo use it too."""

import selectors
import socket
import time
import uuid
from collections.abc import Iterator, Sequence

from plugin_server.errors import ClipsonicError, NoDaemon, short_repr
from plugin_server.protocol.packets import Atom, Message, decode_packet, encode_message
from plugin_server.settings import Settings

FIRST_S = 5.0
"""Seconds in which a daemon gives its first answer, when it is there."""
HEARD_S = 1.0
"""Seconds after an answer in which the daemon is taken to be there still."""
_NOTHING = b"#bundle\0" + bytes(7) + b"\1"
"""A bundle of no messages, which nobody answers."""


class Client:
    """A client that talks OSC over UDP with a daemon; use it in a `with` block."""

    def __init__(self, port: int = 9460, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, 0))
        except OSError:
            # A host that is not this machine: its answers come to whatever address leads there.
            self._socket.bind(("", 0))
        self._server = (host, port)
        self._probe: socket.socket | None = None
        self._heard_at = -HEARD_S
        self.port = self._socket.getsockname()[1]
        """Port of this client, which replies come to."""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, so that its port is free again."""
        self._close_probe()
        self._socket.close()

    def send(self, address: str, *arguments: str | int | float) -> None:
        """Send one message; `arguments` become its s, i and f."""
        self.send_packet(encode_message(address, *arguments))

    def send_packet(self, packet: bytes) -> None:
        """Send the bytes of a packet as they are."""
        self._socket.sendto(packet, self._server)

    def receive(self, timeout_s: float = 5.0) -> Message:
        """Return the next message. Raises TimeoutError when none comes in time."""
        until = time.monotonic() + timeout_s
        while True:
            left_s = max(until - time.monotonic(), 1e-3)
            try:
                self._wait_refused(left_s)
                self._socket.settimeout(max(until - time.monotonic(), 1e-3))
                message = decode_packet(self._socket.recv(65536))[0]
            except ConnectionResetError:
                # Windows' way to say that nobody listens where we sent; a daemon may be about to.
                continue
            self._heard_at = time.monotonic()
            self._close_probe()
            return message

    def ask(self, address: str, *arguments: str | int | float, reply: str, timeout_s: float = 5.0) -> tuple[Atom, ...]:
        """Send a message and return the arguments of the first one that comes with the address `reply`.

        Raises ClipsonicError with the sentence of a /fail, NoDaemon when nobody listens, or TimeoutError.
        """
        self._open_probe()
        self.send(address, *arguments)
        until = time.monotonic() + timeout_s
        while True:
            message = self._receive_first(until - time.monotonic(), timeout_s)
            if message.address == reply:
                return message.arguments
            if message.address == "/fail" and message.arguments[0] == address:
                raise ClipsonicError(str(message.arguments[2]))

    def generate(
        self,
        prompt: str = "",
        seconds: float | None = None,
        timeout_s: float = 120.0,
        **attributes: str | int | float | Sequence[str],
    ) -> Iterator[Message]:
        """Ask for a clip and yield every message about it, until /done or /fail, which are yielded too.

        Attributes are those of `/generate`: `seed=42, variations=4`, or `image=["/home/me/cat.png"]`, beside which the
        prompt may be left out. Raises NoDaemon when nobody answers, at once where this can be known and after FIRST_S
        elsewhere, and TimeoutError when a daemon that has answered is silent.
        """
        attributes.setdefault("id", uuid.uuid4().hex[:12])
        positional = (prompt,) if seconds is None else (prompt, float(seconds))
        flat: list[str | int | float] = []
        for name, value in attributes.items():
            flat += [f"@{name}", *([value] if isinstance(value, str | int | float) else value)]
        self._open_probe()
        self.send("/generate", *positional, *flat)
        while True:
            message = self._receive_first(timeout_s, FIRST_S)
            if message.address in ("/queued", "/progress", "/clip") and message.arguments[0] == attributes["id"]:
                yield message
            elif message.address == "/done" and message.arguments[:2] == ("/generate", attributes["id"]):
                yield message
                return
            elif message.address == "/fail" and message.arguments[0] == "/generate":
                if message.arguments[3] not in ("", attributes["id"]):
                    continue
                yield message
                return

    def _receive_first(self, timeout_s: float, first_s: float) -> Message:
        """Return the next message; where none came for a while, it has to come within `first_s`. Raises NoDaemon."""
        if self._probe is None:
            return self.receive(timeout_s)
        try:
            return self.receive(min(timeout_s, first_s))
        except TimeoutError as error:
            raise self._no_daemon() from error

    def _open_probe(self) -> None:
        """Send a packet without a message from a socket of its own, to which systems say that nobody listens."""
        if self._probe or time.monotonic() - self._heard_at < HEARD_S:
            return
        self._probe = probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            probe.connect(self._server)
            probe.send(_NOTHING)
        except OSError as error:
            self._close_probe()
            raise self._no_daemon() from error

    def _wait_refused(self, timeout_s: float) -> None:
        """Wait for a message, or raise NoDaemon when it turns out that nobody listens."""
        if self._probe is None:
            return
        with selectors.DefaultSelector() as selector:
            for each in (self._socket, self._probe):
                selector.register(each, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(timeout_s)]
        if self._socket in ready or not ready:
            return
        try:
            self._probe.recv(1)
        except OSError as error:
            self._close_probe()
            raise self._no_daemon() from error

    def _close_probe(self) -> None:
        if self._probe:
            self._probe.close()
        self._probe = None

    def _no_daemon(self) -> NoDaemon:
        host, port = self._server
        flag = "" if port == Settings().osc_port else f" --osc-port {port}"
        return NoDaemon(f"no daemon answers at {host}:{port}; start one with: clipsonic serve{flag}")


def number_of(value: Atom) -> float:
    """Return an argument of a reply that is a number. Raises ClipsonicError when it is none."""
    if not isinstance(value, int | float):
        raise ClipsonicError(f"the daemon said {short_repr(value)}, expected a number")
    return float(value)
