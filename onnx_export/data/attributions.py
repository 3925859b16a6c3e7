"""The people behind the sounds and pictures that a model was trained on."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class CatalogRow(Protocol):
    """A row of a catalogue of sounds or pictures, with its licence."""

    source: str
    licence: str
    attribution: str


def write_attributions(sections: dict[str, Sequence[CatalogRow]], path: Path) -> None:
    """Write a Markdown table for each title: source, licence, how many, and the people to name."""
    path.write_text("\n\n".join(_table(title, rows) for title, rows in sections.items() if rows) + "\n", "utf-8")


def _table(title: str, rows: Sequence[CatalogRow]) -> str:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        groups[row.source, row.licence].append(row.attribution)
    lines = [f"# {title}", "", "| source | licence | number | by |", "|---|---|---|---|"]
    for (source, licence), people in sorted(groups.items()):
        names = "; ".join(dict.fromkeys(name.replace("|", "/").strip() for name in people if name.strip()))
        lines.append(f"| {source} | {licence} | {len(people)} | {names} |")
    return "\n".join(lines)
