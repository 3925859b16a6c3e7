"""Metrics of a training run: a CSV file beside the checkpoint, and TensorBoard's events where it is installed."""

import csv
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

COLUMNS = ("step", "split", "name", "value")


def metrics_path(checkpoint: Path) -> Path:
    """Return the CSV file of a checkpoint: 'runs/denoiser.pt' has 'runs/denoiser.metrics.csv'."""
    return checkpoint.with_suffix(".metrics.csv")


class MetricsLog:
    """Writes one row a metric: the step, 'train' or 'valid', its name, its value.

    A run that is resumed continues the file. Rows of steps after the one it begins with are removed: a run that
    stopped between two saves does these steps again.
    """

    def __init__(self, path: Path, start: int):
        """Open the file `path`, and keep what is in it up to step `start`."""
        rows = [row for row in _read_rows(path) if int(row["step"]) <= start] if start else []
        path.parent.mkdir(parents=True, exist_ok=True)
        # Closed by __exit__.
        self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115
        self._rows = csv.DictWriter(self._file, COLUMNS)
        self._rows.writeheader()
        self._rows.writerows(rows)
        self._events = _open_events(path.with_suffix(".events"), start)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._events:
            self._events.close()

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Write the metrics of one step, at once, so that a run can be watched."""
        for name, value in values.items():
            self._rows.writerow({"step": step, "split": split, "name": name, "value": f"{value:.6g}"})
            if self._events:
                self._events.add_scalar(f"{name}/{split}", value, step)
        self._file.flush()


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _open_events(folder: Path, start: int) -> Any:
    """Return a writer of TensorBoard's events, or None where the package is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=start)
