"""`python -m tests.fuzz --seconds N`: fuzz a daemon of its own, and tell what was seen."""

import argparse
import secrets
import sys
from pathlib import Path

from tests.fuzz.daemon import ROOT
from tests.fuzz.run import fuzz, report
from tests.fuzz.senders import SENDERS, USUAL


def main() -> int:
    """Return 0 when nothing was found, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random inputs for a daemon of its own.")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, help="of the inputs (default: another each time)")
    parser.add_argument("--at-most", type=int, metavar="N", help="inputs of each kind")
    parser.add_argument("--code", type=Path, default=ROOT, metavar="DIR", help="a checkout whose daemon is fuzzed")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(SENDERS)} (default: all but plays)")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(SENDERS):
        parser.error(f"TARGET: got {', '.join(sorted(unknown))}, expected some of {', '.join(SENDERS)}")
    seed = secrets.randbits(31) if options.seed is None else options.seed
    print(f"seed         {seed}", flush=True)
    findings = fuzz(options.seconds, seed, options.targets or USUAL, options.at_most, options.code.resolve())
    print(report(findings))
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())
