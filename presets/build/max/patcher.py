"""A small vocabulary for Max patches: boxes with a place, lines between them, and the JSON that Max reads."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from presets.build.max.objects import Shape, shape_of

Rect = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""
Value = str | int | float | list | dict

MAX_VERSION = {"major": 8, "minor": 6, "revision": 0, "architecture": "x64", "modernui": 1}
"""Live 12.0 ships Max 8.6; later ones read its files."""
LINE_HEIGHT = 22.0
LETTER = 6.6
"""Width in pixels of an average letter of Max's 12 point font."""


@dataclass(eq=False)
class Box:
    """One box of a patch."""

    id: str
    maxclass: str
    text: str
    at: Rect
    """Where it is in the patching view."""
    face: Rect | None
    """Where it is in the presentation view; None hides it there."""
    shape: Shape
    attributes: dict[str, Value] = field(default_factory=dict)

    def to_json(self) -> dict[str, Value]:
        """Return the box as Max writes it."""
        box: dict[str, Value] = {
            "id": self.id,
            "maxclass": self.maxclass,
            "numinlets": self.shape.n_inlets,
            "numoutlets": len(self.shape.outlets),
            "patching_rect": [float(number) for number in self.at],
        }
        if self.shape.outlets:
            box["outlettype"] = list(self.shape.outlets)
        if self.face is not None:
            box |= {"presentation": 1, "presentation_rect": [float(number) for number in self.face]}
        if self.text:
            box["text"] = self.text
        return dict(sorted((box | self.attributes).items()))


class Patch:
    """A patch under construction. Scripts that it names lie in one of `folders`."""

    def __init__(self, title: str, window: Rect, *folders: Path) -> None:
        self.title, self.window, self.folders = title, window, folders
        self.attributes: dict[str, Value] = {}
        self.boxes: list[Box] = []
        self.lines: list[tuple[Box, int, Box, int]] = []

    def box(self, maxclass: str, at: Rect, face: Rect | None = None, text: str = "", **attributes: Value) -> Box:
        """Add a box; those added later lie above earlier ones."""
        shape = shape_of(maxclass, text, self.folders)
        box = Box(f"obj-{len(self.boxes) + 1}", maxclass, text, at, face, shape, attributes)
        self.boxes.append(box)
        return box

    def object(self, text: str, x: float, y: float, width: float = 0.0, **attributes: Value) -> Box:
        """Add an object such as `udpsend 127.0.0.1 9460`, as wide as its text unless told."""
        return self.box("newobj", (x, y, width or text_width(text), LINE_HEIGHT), None, text, **attributes)

    def message(self, text: str, x: float, y: float) -> Box:
        """Add a message box."""
        return self.box("message", (x, y, text_width(text), LINE_HEIGHT), None, text)

    def note(self, text: str, x: float, y: float, width: float = 0.0, lines: int = 1) -> Box:
        """Add a comment for who reads the patch."""
        return self.box("comment", (x, y, width or text_width(text), 6 + 14.0 * lines), None, text)

    def join(self, source: Box, outlet: int, destination: Box, inlet: int = 0) -> None:
        """Add a patchline. Raises ValueError when one of its ends does not exist."""
        if not 0 <= outlet < len(source.shape.outlets):
            raise ValueError(f"{self.title}: {source.maxclass} {source.text!r} has no outlet {outlet}")
        if not 0 <= inlet < destination.shape.n_inlets:
            raise ValueError(f"{self.title}: {destination.maxclass} {destination.text!r} has no inlet {inlet}")
        self.lines.append((source, outlet, destination, inlet))

    def chain(self, *boxes: Box) -> None:
        """Join the first outlet of each box to the first inlet of the next."""
        for source, destination in pairwise(boxes):
            self.join(source, 0, destination, 0)

    def to_json(self) -> dict[str, Value]:
        """The patch as Max writes it."""
        patcher: dict[str, Value] = {
            "fileversion": 1,
            "appversion": MAX_VERSION,
            "classnamespace": "box",
            "rect": [float(number) for number in self.window],
            "openinpresentation": 1,
            "default_fontsize": 12.0,
            "default_fontname": "Arial",
            "gridsize": [8.0, 8.0],
            "description": self.title,
            "boxes": [{"box": box.to_json()} for box in self.boxes],
            "lines": [{"patchline": line} for line in self._lines()],
            "dependency_cache": [],
            "autosave": 0,
        }
        return {"patcher": patcher | self.attributes}

    def _lines(self) -> Iterable[dict[str, Value]]:
        for source, outlet, destination, inlet in self.lines:
            yield {"destination": [destination.id, inlet], "source": [source.id, outlet]}

    def to_text(self) -> str:
        """JSON with a newline at its end."""
        return json.dumps(self.to_json(), indent="\t", ensure_ascii=False) + "\n"


def text_width(text: str) -> float:
    """Width in pixels of a box around `text`."""
    return round(max(28.0, LETTER * len(text) + 14.0), 1)
