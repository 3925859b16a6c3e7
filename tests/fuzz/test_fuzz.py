"""The fuzzer itself, and half a minute of it against the daemon."""

import sys

import pytest

from tests.fuzz.inputs import Inputs
from tests.fuzz.run import fuzz, report
from tests.fuzz.subject import Findings

SECONDS = 30
SEED = 20_261_127


def test_a_seed_gives_the_same_inputs():
    first, second = Inputs(7), Inputs(7)
    for name in ("packet", "stream", "request", "frame"):
        assert [getattr(first, name)() for _ in range(50)] == [getattr(second, name)() for _ in range(50)]


def test_a_fault_is_told():
    findings = Findings(hangs=2, tracebacks=1, memory_mb=(50.0, 111.0), exit_status=-9, stop_s=6.0)
    assert len(findings.faults) == 5
    assert "FAULT        no answer within 5 s, 2 times" in report(findings)


@pytest.mark.skipif(sys.platform == "win32", reason="makes FIFOs")
def test_random_inputs_neither_crash_nor_hang_nor_fill_the_daemon():
    findings = fuzz(SECONDS, SEED)
    assert not findings.faults, report(findings)
    assert all(findings.inputs.values()), report(findings)
