"""How long a packet of one client keeps another one from its answer.

Real daemons get packets that ask for as much as a packet can, each by itself, while another client asks for the
version again and again. Compare runs of one machine only.
"""

import argparse
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plugin_server.benchmarks.report import Benchmarks, add_benchmark
from plugin_server.client import Client
from plugin_server.daemon_process import start_daemon
from plugin_server.protocol.packets import BUNDLE_MARK, MAX_ARGUMENTS, MAX_MESSAGES, MAX_PACKET, encode_message

LONG = "sea " * 10_000
START_S = 2.0
"""Seconds that a daemon has before it is measured."""
WATCH_S = 1.0
"""Seconds for which the other client asks after each packet."""


def bundle(*messages: bytes, time_tag: int = 1) -> bytes:
    """Return a bundle of messages, without those at the end that no packet has room for."""
    out = BUNDLE_MARK + time_tag.to_bytes(8, "big")
    for message in messages[:MAX_MESSAGES]:
        if len(out) + 4 + len(message) <= MAX_PACKET - 512:
            out += len(message).to_bytes(4, "big") + message
    return out


def hostile_packets() -> dict[str, bytes]:
    """Return packets that ask for much, by what they are; each is one datagram."""
    return {
        "one /version": encode_message("/version"),
        "a bundle of /help": bundle(*[encode_message("/help")] * MAX_MESSAGES),
        "a bundle of /*/*": bundle(*[encode_message("/*/*")] * MAX_MESSAGES),
        "a bundle of /generate": bundle(*[encode_message("/generate", "rain", 0.5)] * MAX_MESSAGES),
        "a bundle of /clip/list 200": bundle(*[encode_message("/clip/list", 200)] * MAX_MESSAGES),
        "a bundle of /play": bundle(*[encode_message("/play", "last")] * MAX_MESSAGES),
        "a bundle of /notify": bundle(*[encode_message("/notify", 1, port) for port in range(2000, 3000)]),
        "a bundle of unknown addresses": bundle(*[encode_message("/a")] * MAX_MESSAGES),
        "a bundle of patterns": bundle(*[encode_message("/" + "*{}" * 16)] * MAX_MESSAGES),
        "a pattern": encode_message("/" + "*{}" * 16 + "x" * 200),
        "a long prompt": encode_message("/generate", LONG),
        "many words": encode_message("/generate", *["sea"] * (MAX_ARGUMENTS - 1)),
        "a long key": encode_message("/generate", "rain", "@key", "C" + " " * 60_000 + "x"),
        "paths": encode_message("/generate", "@image", "a" * 4000, *["/"] * (MAX_ARGUMENTS - 2)),
        "long words to search": encode_message("/clip/search", LONG),
        "many words to search": encode_message("/clip/search", " ".join(f"w{number}" for number in range(9000))),
        "long tags": encode_message("/clip/tag", "last", LONG),
        "a long name of a bank": encode_message("/bank/load", "x" * 60_000),
        "a long slot": encode_message("/bank/set", 0, LONG),
        "60,000 type tags": b"/a\0\0," + b"T" * 60_000 + bytes(3),
    }


@dataclass(slots=True)
class PacketFigures:
    """Milliseconds that another client's longest answer took, by the packet."""

    longest_ms: dict[str, float] = field(default_factory=dict)

    def table(self) -> str:
        """Return the figures as Markdown."""
        rows = [f"| {name} | {longest:.1f} ms |" for name, longest in self.longest_ms.items()]
        return "\n".join(["| while the daemon was sent | another client's longest wait |", "|---|---|", *rows])


def add_parser(benchmarks: Benchmarks) -> None:
    """Add the benchmark `packets` to the parser of all."""
    add_benchmark(benchmarks, "packets", __doc__ or "", run)


def run(_options: argparse.Namespace) -> PacketFigures:
    """Measure with a daemon of its own. Raises ClipsonicError and TimeoutError when that fails."""
    figures = PacketFigures()
    for name, packet in hostile_packets().items():
        # A daemon for each: what one packet asks for may go on for seconds.
        with tempfile.TemporaryDirectory() as temporary:
            folders = {"CLIPSONIC_INDEX_FOLDER": temporary, "CLIPSONIC_BANK_FOLDER": str(Path(temporary, "banks"))}
            with start_daemon(["--folder", temporary], lambda line: None, folders) as daemon:
                port = daemon.port()
                daemon.wait_until_ready()
                # HTTP and zeroconf are still imported.
                watch(port, lambda: None, START_S)
                figures.longest_ms[name] = 1000 * longest_wait(port, [packet])
    return figures


def longest_wait(port: int, packets: Sequence[bytes], watch_s: float = WATCH_S) -> float:
    """Return the seconds of the longest answer to a client while another one sends packets and reads no reply."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.connect(("127.0.0.1", port))

        def send() -> None:
            for packet in packets:
                other.send(packet)

        return watch(port, send, watch_s)


def watch(port: int, work: Callable[[], None], watch_s: float = WATCH_S) -> float:
    """Return the seconds of the longest answer to a client that asks all the time while `work` is done, and after."""
    with Client(port) as client:
        client.ask("/version", reply="/version.reply")
        worker = threading.Thread(target=work)
        worker.start()
        longest, until = 0.0, time.perf_counter() + watch_s
        while worker.is_alive() or time.perf_counter() < until:
            began = time.perf_counter()
            client.ask("/version", reply="/version.reply", timeout_s=60)
            longest = max(longest, time.perf_counter() - began)
        worker.join()
    return longest
