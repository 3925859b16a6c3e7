"""Ways to the daemon: each sends inputs of one kind until it is told to stop, and counts them."""

import contextlib
import socket
import time
from collections.abc import Callable

from plugin_server.protocol.packets import encode_message
from tests.fuzz.files import Files
from tests.fuzz.inputs import Inputs
from tests.fuzz.subject import Subject

CONNECT_S = 2.0
READ_S = 0.02
"""Time that a client waits for an answer before it goes on."""
UDP_BURST = 20
UDP_PAUSE_S = 0.002
"""Time between bursts: as fast as a program may be, and no faster than the buffer of a loopback's socket."""
FILES_PAUSE_S = 0.05

Going = Callable[[int], bool]
"""Whether to go on after so many inputs."""


def send_udp(subject: Subject, inputs: Inputs, going: Going) -> int:
    """Send packets from several sockets, and read replies now and then. Return how many were sent."""
    sent, server = 0, ("127.0.0.1", subject.daemon.osc_port)
    while going(sent):
        client = inputs.rng.choice(subject.clients)
        for _ in range(UDP_BURST):
            with contextlib.suppress(OSError):
                client.sendto(inputs.packet(), server)
            sent += 1
        time.sleep(UDP_PAUSE_S)
        subject.read_replies(client)
    return sent


def send_plays(subject: Subject, _inputs: Inputs, going: Going) -> int:
    """Ask to play the newest clip over and over, from one socket. Return how often."""
    sent, play = 0, encode_message("/play", "last")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", subject.daemon.osc_port))
        while going(sent):
            for _ in range(UDP_BURST):
                with contextlib.suppress(OSError):
                    client.send(play)
                sent += 1
            time.sleep(UDP_PAUSE_S)
            subject.read_replies(client)
    return sent


def _exchange(port: int, *pieces: bytes) -> None:
    """Send pieces over one connection; read a little after each."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), CONNECT_S) as connection:
        connection.settimeout(READ_S)
        for piece in pieces:
            with contextlib.suppress(TimeoutError):
                connection.sendall(piece)
                connection.recv(65_536)


def send_tcp(subject: Subject, inputs: Inputs, going: Going) -> int:
    """Send streams over connections of their own. Return how many packets or pieces were sent."""
    sent = 0
    while going(sent):
        streams = [inputs.stream() for _ in range(inputs.rng.choice((1, 1, 4)))]
        _exchange(subject.daemon.osc_port, *streams)
        sent += 4 * len(streams)
    return sent


def send_http(subject: Subject, inputs: Inputs, going: Going) -> int:
    """Send requests, one to three over a connection. Return how many were sent."""
    sent = 0
    while going(sent):
        requests = [inputs.request() for _ in range(inputs.rng.choice((1, 1, 3)))]
        _exchange(subject.daemon.http_port, *requests)
        sent += len(requests)
    return sent


def send_websocket(subject: Subject, inputs: Inputs, going: Going) -> int:
    """Open WebSockets and send frames. Return how many were sent."""
    sent = 0
    while going(sent):
        frames = [inputs.frame() for _ in range(inputs.rng.randint(1, 12))]
        _exchange(subject.daemon.http_port, inputs.handshake(), *frames)
        sent += len(frames)
    return sent


def write_files(subject: Subject, inputs: Inputs, going: Going) -> int:
    """Put files into the daemon's folders, and have it look. Return how many were written."""
    daemon = subject.daemon
    files = Files(inputs.rng.randrange(2**31), daemon.clips, daemon.banks, daemon.bundles)
    names = ("clip/scan", "clip/list", "bank/list", "model/list", "status")
    looks = [encode_message(f"/{name}") for name in names]
    written = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        while going(written):
            with contextlib.suppress(OSError):
                files.write_one()
            with contextlib.suppress(OSError):
                client.sendto(inputs.rng.choice(looks), ("127.0.0.1", daemon.osc_port))
            written += 1
            time.sleep(FILES_PAUSE_S)
    return written


SENDERS: dict[str, Callable[[Subject, Inputs, Going], int]] = {
    "udp": send_udp,
    "tcp": send_tcp,
    "http": send_http,
    "websocket": send_websocket,
    "files": write_files,
    "plays": send_plays,
}
"""By the name of what is fuzzed."""
USUAL = ("udp", "tcp", "http", "websocket", "files")
"""Those that are random."""
