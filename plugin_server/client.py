"""A client in Python: send a prompt, follow its events. The tests and the demo use it too."""

import socket
import time
import uuid
from collections.abc import Iterator, Sequence

from plugin_server.errors import ClipsonicError, short_repr
from plugin_server.protocol.packets import Atom, Message, decode_packet, encode_message


class Client:
    """A client that talks OSC over UDP with a daemon; use it in a `with` block."""

    def __init__(self, port: int = 9460, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._server = (host, port)
        self.port = self._socket.getsockname()[1]
        """Port of this client, which replies come to."""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, so that its port is free again."""
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
            self._socket.settimeout(max(until - time.monotonic(), 1e-3))
            try:
                return decode_packet(self._socket.recv(65536))[0]
            except ConnectionResetError:
                # Windows' way to say that nobody listens where we sent; a daemon may be about to.
                continue

    def ask(self, address: str, *arguments: str | int | float, reply: str, timeout_s: float = 5.0) -> tuple[Atom, ...]:
        """Send a message and return the arguments of the first one that comes with the address `reply`.

        Raises ClipsonicError with the sentence of a /fail, or TimeoutError.
        """
        self.send(address, *arguments)
        until = time.monotonic() + timeout_s
        while True:
            message = self.receive(until - time.monotonic())
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
        prompt may be left out. Raises TimeoutError when the daemon is silent.
        """
        attributes.setdefault("id", uuid.uuid4().hex[:12])
        positional = (prompt,) if seconds is None else (prompt, float(seconds))
        flat: list[str | int | float] = []
        for name, value in attributes.items():
            flat += [f"@{name}", *([value] if isinstance(value, str | int | float) else value)]
        self.send("/generate", *positional, *flat)
        while True:
            message = self.receive(timeout_s)
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


def number_of(value: Atom) -> float:
    """Return an argument of a reply that is a number. Raises ClipsonicError when it is none."""
    if not isinstance(value, int | float):
        raise ClipsonicError(f"the daemon said {short_repr(value)}, expected a number")
    return float(value)
