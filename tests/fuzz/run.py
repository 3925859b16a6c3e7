"""One run of the fuzzer: all senders at the same time, for a time or until each has sent a number of inputs."""

import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.daemon import ROOT
from tests.fuzz.inputs import Inputs
from tests.fuzz.senders import SENDERS, USUAL
from tests.fuzz.subject import Findings, Subject


def fuzz(
    seconds: float, seed: int, targets: Sequence[str] = USUAL, at_most: int | None = None, code: Path = ROOT
) -> Findings:
    """Fuzz a daemon of its own, and return what was seen.

    Args:
        seconds: How long.
        seed: Of all inputs; threads and the daemon run at their own pace.
        targets: Names of `SENDERS`.
        at_most: Inputs of each target after which it ends.
        code: A checkout whose daemon is fuzzed.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Subject(Path(folder), code) as subject,
    ):
        until = time.monotonic() + seconds

        def going(sent: int) -> bool:
            return time.monotonic() < until and subject.is_alive and (at_most is None or sent < at_most)

        def send(number: int, name: str) -> None:
            inputs = Inputs(seed + number, (subject.daemon.osc_port, subject.daemon.http_port))
            try:
                subject.findings.inputs[name] = SENDERS[name](subject, inputs, going)
            except Exception as error:
                # Told with what was seen, or a sender that ended early would pass for one that found nothing.
                subject.findings.errors.append(f"the sender of {name} failed: {error!r}")

        threads = [threading.Thread(target=send, args=(i, name)) for i, name in enumerate(targets)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return subject.findings


def report(findings: Findings) -> str:
    """Return the findings as lines of text."""
    delays = sorted(findings.delays_s) or [0.0]
    before, after = findings.memory_mb
    sent = ", ".join(f"{count} {name}" for name, count in findings.inputs.items())
    lines = [
        f"inputs       {sent}; {findings.dropped} datagrams lost in the system's buffer",
        f"answers      {len(delays)}: median {1000 * delays[len(delays) // 2]:.1f} ms, "
        f"99 of 100 within {1000 * delays[int(len(delays) * 0.99)]:.1f} ms, longest {1000 * delays[-1]:.1f} ms",
        f"memory       {before:.0f} MB before, {after:.0f} MB after",
        f"log          {findings.log_bytes} bytes, {findings.tracebacks} tracebacks",
        f"end          status {findings.exit_status} after {findings.stop_s:.1f} s",
    ]
    return "\n".join([*lines, *(f"FAULT        {fault}" for fault in findings.faults)])
