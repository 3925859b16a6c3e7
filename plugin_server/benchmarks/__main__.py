"""Benchmarks that anyone can run: `python -m plugin_server.benchmarks generation | library | packets | playback`."""

import argparse
import sys
from collections.abc import Sequence

from plugin_server.benchmarks import generation, library, packets, playback
from plugin_server.benchmarks.report import write_figures
from plugin_server.errors import ClipsonicError


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; `--json FILE` also writes the figures.

    Returns:
        0, or 1 with one sentence on standard error when something cannot be measured.
    """
    parser = argparse.ArgumentParser(prog="python -m plugin_server.benchmarks", description=__doc__)
    benchmarks = parser.add_subparsers(title="benchmarks", required=True, metavar="NAME")
    for module in (generation, library, packets, playback):
        module.add_parser(benchmarks)
    options = parser.parse_args(arguments)
    try:
        figures = options.measure(options)
    except (ClipsonicError, TimeoutError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(figures.table())
    if options.json:
        write_figures(figures, options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
