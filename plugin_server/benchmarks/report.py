"""Parts of every benchmark: its figures, how they are written, and how calls are timed."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

Benchmarks: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The parser's list of benchmarks."""


class Figures(Protocol):
    """Figures of one benchmark: a dataclass of numbers, dictionaries and tuples."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def table(self) -> str:
        """Return the figures as Markdown."""
        ...


def add_benchmark(
    benchmarks: Benchmarks, name: str, description: str, measure: Callable[[argparse.Namespace], Figures]
) -> argparse.ArgumentParser:
    """Return the parser of a new benchmark, whose options `measure` gets."""
    first, *_ = description.splitlines()
    parser = benchmarks.add_parser(name, help=first.rstrip("."), description=description)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.set_defaults(measure=measure)
    return parser


def write_figures(figures: Figures, path: Path) -> None:
    """Write figures as JSON, a key for each field."""
    path.write_text(json.dumps(asdict(figures), indent=1) + "\n", "utf-8")


def time_call(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_time(work: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of `rounds` calls, after one that does not count."""
    work()
    return statistics.median(time_call(work) for _ in range(rounds))


def percentiles(values: Sequence[float], high: float) -> tuple[float, float]:
    """Return the median and the percentile `high` of values."""
    return float(np.median(values)), float(np.percentile(values, high))
