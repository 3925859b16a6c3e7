"""What `evaluate` found, as Markdown and JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from onnx_export.evaluation.distances import Value
from onnx_export.evaluation.vocoders import Fidelity

COLUMNS = ("top-1", "top-5", "FAD", "text-audio", "nearest")


@dataclass(slots=True)
class Report:
    """All figures of a bundle."""

    bundle: str = ""
    n_concepts: int = 0
    tower: dict[str, Value] = field(default_factory=dict)
    """How often a paraphrase lies nearest its own label among all labels."""
    pictures: dict[str, dict[str, Value]] = field(default_factory=dict)
    """Set of held-out photos, to how often the image tower knows their group, and finds captions and photos."""
    shown: dict[str, dict[str, dict[str, Value]]] = field(default_factory=dict)
    """Ear, then what clips were made of, to how often a sound of what the picture shows is heard."""
    heard: dict[str, dict[str, dict[str, Value]]] = field(default_factory=dict)
    """Ear, then what was played, then figure."""
    diversity: dict[str, dict[str, Value]] = field(default_factory=dict)
    """Ear, then what was played, to the mean distance between takes, relative to recordings of one label."""
    categories: dict[str, dict[str, dict[str, Value]]] = field(default_factory=dict)
    """Ear, then category, then what was played, to top-1."""
    vocoder: dict[str, dict[str, Fidelity]] = field(default_factory=dict)
    """Category, then vocoder."""

    def to_json(self) -> str:
        """Text of a file."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def table(self) -> str:
        """Markdown."""
        parts = [f"{self.bundle}, {self.n_concepts} concepts; 95 % intervals in brackets."]
        parts += [_table("text tower", {"paraphrases, nearest label of all": self.tower}, ("top-1", "top-5"))]
        parts += [_table("image tower", self.pictures, _keys(self.pictures))]
        parts += [_table(f"of pictures, heard by {ear}", rows, _keys(rows)) for ear, rows in self.shown.items()]
        parts += [_table(f"heard by {ear}", rows, COLUMNS) for ear, rows in self.heard.items()]
        parts += [_table(f"top-1 by {ear}", rows, _keys(rows)) for ear, rows in self.categories.items()]
        parts += [_table("difference between takes", self.diversity, _keys(self.diversity))]
        parts += [_vocoder_table(self.vocoder)]
        return "\n\n".join(part for part in parts if part) + "\n"


def _keys(rows: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows.values() for name in row))


def _table(corner: str, rows: Mapping[str, Mapping[str, Value]], columns: tuple[str, ...]) -> str:
    """Nothing when no row has a figure."""
    if not any(rows.values()):
        return ""
    lines = ["| " + " | ".join([corner, *columns]) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        "| " + " | ".join([name, *(str(row[c]) if c in row else "–" for c in columns)]) + " |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def _vocoder_table(rows: Mapping[str, Mapping[str, Fidelity]]) -> str:
    if not rows:
        return ""
    ways = _keys(rows)
    lines = [
        "| log-mel L1 / up to 11 kHz / STFT loss / cents | " + " | ".join(ways) + " |",
        "|---" * (len(ways) + 1) + "|",
    ]
    lines += ["| " + " | ".join([name, *(_fidelity(row[way]) for way in ways)]) + " |" for name, row in rows.items()]
    return "\n".join(lines)


def _fidelity(f: Fidelity) -> str:
    return f"{f.mel:.3f} / {f.mel_half:.3f} / {f.stft:.2f} / " + ("–" if f.cents is None else f"{f.cents:.1f}")
