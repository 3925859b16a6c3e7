"""Who made the sounds that a model was trained on."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from onnx_export.corpus import Sound


def write_attributions(sounds: Sequence[Sound], path: Path) -> None:
    """A Markdown table: source, licence, how many clips, and the people to name."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sound in sounds:
        groups[sound.source, sound.licence].append(sound.attribution)
    lines = ["# Sounds behind this model", "", "| source | licence | clips | by |", "|---|---|---|---|"]
    for (source, licence), people in sorted(groups.items()):
        names = "; ".join(dict.fromkeys(name.replace("|", "/").strip() for name in people if name.strip()))
        lines.append(f"| {source} | {licence} | {len(people)} | {names} |")
    path.write_text("\n".join(lines) + "\n", "utf-8")
