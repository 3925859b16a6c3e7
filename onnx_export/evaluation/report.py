"""The report of an evaluation, as Markdown and JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

from onnx_export.evaluation.distances import ConfidenceInterval
from onnx_export.evaluation.vocoders import Fidelity

COLUMNS = ("top-1", "top-5", "FAD", "text-audio", "nearest")
JSON_KEYS = {
    "n_labels": "n_concepts",
    "text_tower": "tower",
    "image_tower": "pictures",
    "image_clips": "shown",
    "clips": "heard",
    "vocoders": "vocoder",
}
"""Fields of a report to their keys in the JSON file, where these are others."""

Metrics: TypeAlias = dict[str, ConfidenceInterval]
"""Name of a figure to its value."""


@dataclass(slots=True)
class EvaluationReport:
    """All figures of a bundle."""

    bundle: str = ""
    """The title: name and version of the bundle."""
    n_labels: int = 0
    """Labels that were evaluated."""
    text_tower: Metrics = field(default_factory=dict)
    """How often a paraphrase lies nearest its own label among all labels."""
    image_tower: dict[str, Metrics] = field(default_factory=dict)
    """Set of held-out photos, to how often the image tower knows their group, and finds captions and photos."""
    image_clips: dict[str, dict[str, Metrics]] = field(default_factory=dict)
    """Judge, then what clips were made of, to how often they are named as what the picture shows."""
    clips: dict[str, dict[str, Metrics]] = field(default_factory=dict)
    """Judge, then set of clips, to its figures."""
    diversity: dict[str, Metrics] = field(default_factory=dict)
    """Judge, then kind of group, to the mean distance between its clips, relative to recordings of one label."""
    textures: dict[str, Metrics] = field(default_factory=dict)
    """Kind of clip, to the grain of textures, of which recordings have 1: of estimates by noise level, of samples."""
    categories: dict[str, dict[str, Metrics]] = field(default_factory=dict)
    """Judge, then category, then set of clips, to top-1."""
    vocoders: dict[str, dict[str, Fidelity]] = field(default_factory=dict)
    """Category, then vocoder, to its errors."""

    def to_json(self) -> str:
        """Return the text of a JSON file with all figures."""
        return json.dumps({JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}, indent=1) + "\n"

    def table(self) -> str:
        """Return all figures as tables in Markdown; a table without figures is left out."""
        parts = [f"{self.bundle}, {self.n_labels} concepts; 95 % intervals in brackets."]
        parts += [_table("text tower", {"paraphrases, nearest label of all": self.text_tower}, ("top-1", "top-5"))]
        parts += [_table("image tower", self.image_tower, _columns(self.image_tower))]
        parts += [_table(f"of pictures, heard by {n}", rows, _columns(rows)) for n, rows in self.image_clips.items()]
        parts += [_table(f"heard by {name}", rows, COLUMNS) for name, rows in self.clips.items()]
        parts += [_table(f"top-1 by {name}", rows, _columns(rows)) for name, rows in self.categories.items()]
        parts += [_table("difference between takes", self.diversity, _columns(self.diversity))]
        parts += [_table("grain of textures, recordings 1", self.textures, _columns(self.textures))]
        parts += [_vocoder_table(self.vocoders)]
        return "\n\n".join(part for part in parts if part) + "\n"


def _columns(rows: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    """Return the names of all figures that any row has, in the order in which they appear."""
    return tuple(dict.fromkeys(name for row in rows.values() for name in row))


def _table(corner: str, rows: Mapping[str, Mapping[str, ConfidenceInterval]], columns: tuple[str, ...]) -> str:
    """Return a table, empty when no row has a figure."""
    if not any(rows.values()):
        return ""
    cells = {name: [str(row[c]) if c in row else "–" for c in columns] for name, row in rows.items()}
    return _markdown([corner, *columns], cells)


def _vocoder_table(rows: Mapping[str, Mapping[str, Fidelity]]) -> str:
    """Return the errors of the vocoders as a table, empty when there are none."""
    if not rows:
        return ""
    columns = _columns(rows)
    cells = {name: [_fidelity_cell(row[column]) for column in columns] for name, row in rows.items()}
    return _markdown(["log-mel L1 / up to 11 kHz / STFT loss / cents / grain / modulation", *columns], cells)


def _markdown(header: list[str], rows: Mapping[str, list[str]]) -> str:
    lines = [header, *([name, *cells] for name, cells in rows.items())]
    first, *others = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([first, "|---" * len(header) + "|", *others])


def _fidelity_cell(f: Fidelity) -> str:
    cents = "–" if f.cents is None else f"{f.cents:.1f}"
    return f"{f.mel:.3f} / {f.mel_half:.3f} / {f.stft:.2f} / {cents} / {f.grain:.2f} / {f.modulation:.2f}"
