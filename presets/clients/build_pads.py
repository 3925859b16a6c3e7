"""Sixteen pads for TouchOSC and Open Stage Control: `python -m presets.clients.build_pads` writes both layouts.

A pad sends `/generate` with its prompt and seconds; a bar and a line show what the daemon answers.
"""

import json
import uuid
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TOUCHOSC = FOLDER / "touchosc" / "clipsonic-pads.tosc"
OPEN_STAGE_CONTROL = FOLDER / "open-stage-control" / "clipsonic-pads.json"

COLUMNS = 4
WIDTH, HEIGHT, GAP, STRIP = 1024, 768, 12, 96
"""Of the TouchOSC page, in points; the strip at its foot has progress and status."""


@dataclass(frozen=True, slots=True)
class Pad:
    """One pad: what is written on it, what it asks for, and how it looks."""

    name: str
    prompt: str
    colour: str
    """#rrggbb"""
    seconds: float = 4.0


CENTRED = {"textAlignH": 2, "textAlignV": 2, "textSize": 22}

BLUE, GREEN, AMBER, RED = "#2f6f9f", "#3f7f4f", "#a9761f", "#9f3f3f"
PADS = (
    Pad("Sea", "sea waves", BLUE, 8),
    Pad("Rain", "soft rain on leaves", BLUE, 8),
    Pad("Wind", "wind in the trees", BLUE, 8),
    Pad("Thunder", "thunder far away", BLUE, 6),
    Pad("Birds", "birds singing in the morning", GREEN, 6),
    Pad("Frogs", "frogs at night", GREEN, 6),
    Pad("Dog", "a dog barking", GREEN, 2),
    Pad("Fire", "a crackling fire", GREEN, 6),
    Pad("Bells", "church bells", AMBER, 5),
    Pad("Piano", "a piano chord", AMBER, 4),
    Pad("Strings", "violins playing a long note", AMBER, 5),
    Pad("Glass", "glass breaking", AMBER, 2),
    Pad("Kick", "a kick drum", RED, 1),
    Pad("Snare", "a snare drum", RED, 1),
    Pad("Hat", "a closed hi-hat", RED, 1),
    Pad("Engine", "an engine starting", RED, 4),
)

SCRIPT = """function onReceiveOSC(message)
  local address, arguments = message[1], message[2]
  local bar, line = self.children.progress, self.children.status
  if address == '/queued' then
    bar.values.x = 0
    line.values.text = 'waiting'
  elseif address == '/progress' then
    bar.values.x = arguments[2].value
    line.values.text = arguments[3].value
  elseif address == '/clip' then
    line.values.text = arguments[3].value:match('[^/\\\\]+$')
  elseif address == '/fail' then
    bar.values.x = 0
    line.values.text = arguments[3].value
  end
end
"""
"""TouchOSC hands every message to the script of the outermost group first."""


def main() -> None:
    """Write both layouts, and say where."""
    TOUCHOSC.write_bytes(touchosc_layout(PADS))
    OPEN_STAGE_CONTROL.write_text(open_stage_control_session(PADS), "utf-8")
    print(TOUCHOSC, OPEN_STAGE_CONTROL, sep="\n")


def touchosc_layout(pads: Sequence[Pad]) -> bytes:
    """A `.tosc` file: zlib-compressed XML."""
    root = ET.Element("lexml", version="3")
    page = _node(root, "GROUP", "clipsonic", (0, 0, WIDTH, HEIGHT), "#000000", script=SCRIPT)
    children = ET.SubElement(page, "children")
    for number, (pad, frame) in enumerate(zip(pads, _frames(len(pads)), strict=True), 1):
        _button(children, f"pad{number}", frame, pad.colour, pad.name, "/generate", [pad.prompt, float(pad.seconds)])
    top = HEIGHT - STRIP
    half = (STRIP - 3 * GAP) // 2
    _button(children, "cancel", (GAP, top, 160, STRIP - GAP), "#505050", "Cancel", "/cancel", ["all"])
    bar = _node(children, "FADER", "progress", (184, top, WIDTH - 184 - GAP, half), BLUE, orientation=1)
    _values(bar, x="0", touch="false")
    _label(children, "status", (184, top + half + GAP, WIDTH - 184 - GAP, half + GAP), "ready")
    return zlib.compress(ET.tostring(root, encoding="UTF-8", xml_declaration=True))


def _frames(n_pads: int) -> Iterable[tuple[int, int, int, int]]:
    """x, y, width and height of each pad, row by row."""
    n_rows = -(-n_pads // COLUMNS)
    width = (WIDTH - GAP * (COLUMNS + 1)) // COLUMNS
    height = (HEIGHT - STRIP - GAP * (n_rows + 1)) // n_rows
    for i in range(n_pads):
        row, column = divmod(i, COLUMNS)
        yield GAP + column * (width + GAP), GAP + row * (height + GAP), width, height


def _button(
    parent: ET.Element,
    name: str,
    frame: tuple[int, int, int, int],
    colour: str,
    label: str,
    address: str,
    arguments: Sequence[str | float],
) -> None:
    """A button that sends one message when it is pressed, with its label on top."""
    node = _node(parent, "BUTTON", name, frame, colour, buttonType=0, press=True, release=True, interactive=True)
    _values(node, x="0", touch="false")
    osc = ET.SubElement(ET.SubElement(node, "messages"), "osc")
    for tag, text in {"enabled": "1", "send": "1", "receive": "0", "feedback": "0", "connections": "00001"}.items():
        ET.SubElement(osc, tag).text = text
    trigger = ET.SubElement(ET.SubElement(osc, "triggers"), "trigger")
    ET.SubElement(trigger, "var").text = "x"
    ET.SubElement(trigger, "condition").text = "RISE"
    _constant(ET.SubElement(osc, "path"), address)
    sent = ET.SubElement(osc, "arguments")
    for argument in arguments:
        _constant(sent, argument)
    _label(parent, f"{name}-label", frame, label)


def _label(parent: ET.Element, name: str, frame: tuple[int, int, int, int], text: str) -> None:
    node = _node(parent, "LABEL", name, frame, "#000000", background=False, outline=False, **CENTRED)
    _values(node, text=text, touch="false")


def _constant(parent: ET.Element, value: str | float) -> None:
    """A part of a message that never changes."""
    partial = ET.SubElement(parent, "partial")
    conversion = "STRING" if isinstance(value, str) else "FLOAT"
    parts = {"type": "CONSTANT", "conversion": conversion, "value": f"{value}", "scaleMin": "0", "scaleMax": "1"}
    for tag, text in parts.items():
        ET.SubElement(partial, tag).text = text


def _node(
    parent: ET.Element,
    kind: str,
    name: str,
    frame: tuple[int, int, int, int],
    colour: str,
    **properties: bool | int | str,
) -> ET.Element:
    """A control with its properties, in TouchOSC's order and types. Its id is the same in every build."""
    node = ET.SubElement(parent, "node", ID=str(uuid.uuid5(uuid.NAMESPACE_URL, f"clipsonic/{name}")), type=kind)
    holder = ET.SubElement(node, "properties")
    common = {"background": True, "grabFocus": False, "interactive": False, "outline": True, "visible": True}
    for key, value in sorted((common | properties | {"name": name}).items()):
        kind_of_value = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "s"
        _property(holder, kind_of_value, key).text = str(int(value)) if kind_of_value != "s" else value
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    _parts(_property(holder, "c", "color"), {"r": f"{red:.4f}", "g": f"{green:.4f}", "b": f"{blue:.4f}", "a": "1"})
    _parts(_property(holder, "r", "frame"), dict(zip("xywh", map(str, frame), strict=True)))
    return node


def _property(holder: ET.Element, kind: str, key: str) -> ET.Element:
    element = ET.SubElement(holder, "property", type=kind)
    ET.SubElement(element, "key").text = key
    return ET.SubElement(element, "value")


def _parts(element: ET.Element, parts: dict[str, str]) -> None:
    for tag, text in parts.items():
        ET.SubElement(element, tag).text = text


def _values(node: ET.Element, **defaults: str) -> None:
    """What a control starts with."""
    holder = ET.SubElement(node, "values")
    for key, default in defaults.items():
        parts = {"key": key, "locked": "0", "lockedDefaultCurrent": "0", "default": default, "defaultPull": "0"}
        _parts(ET.SubElement(holder, "value"), parts)


def open_stage_control_session(pads: Sequence[Pad]) -> str:
    """A session file: JSON of nested widgets. What it leaves out has the program's defaults."""
    buttons = [_tap(f"pad_{number}", pad) for number, pad in enumerate(pads, 1)]
    grid = {"type": "panel", "id": "pads", "expand": True, "layout": "grid", "gridTemplate": COLUMNS}
    content = {
        "type": "root",
        "id": "root",
        "layout": "vertical",
        "widgets": [grid | {"widgets": buttons}, _strip(), *_ears()],
    }
    session = {"createdWith": "Open Stage Control", "version": "1.29.2", "type": "session", "content": content}
    return json.dumps(session, indent=1, ensure_ascii=False) + "\n"


def _tap(name: str, pad: Pad) -> dict[str, object]:
    """A button that sends its arguments and then its value, the seconds, when it is touched."""
    return {
        "type": "button",
        "id": name,
        "label": pad.name,
        "colorWidget": pad.colour,
        "alphaFillOff": 0.6,
        "mode": "tap",
        "address": "/generate",
        "preArgs": [pad.prompt],
        "on": pad.seconds,
    }


def _strip() -> dict[str, object]:
    cancel = {"type": "button", "id": "cancel", "label": "Cancel", "mode": "tap", "address": "/cancel", "on": "all"}
    bar = {"type": "fader", "id": "bar", "horizontal": True, "design": "compact", "expand": True}
    line = {"type": "text", "id": "line", "default": "ready", "expand": True, "bypass": True}
    bar |= {"interaction": False, "bypass": True}
    return {"type": "panel", "id": "strip", "layout": "horizontal", "height": 80, "widgets": [cancel, bar, line]}


def _ears() -> list[dict[str, object]]:
    """Invisible widgets that hear the daemon. A message of several arguments is an array in their scripts."""
    scripts = {
        "queued": "set('bar', 0); set('line', 'waiting')",
        "progress": "set('bar', value[1]); set('line', value[2])",
        "clip": r"set('line', value[2].split(/[\\/]/).pop())",
        "fail": "set('bar', 0); set('line', value[2])",
    }
    return [
        {"type": "variable", "id": f"on_{name}", "address": f"/{name}", "bypass": True, "onValue": script}
        for name, script in scripts.items()
    ]


if __name__ == "__main__":
    main()
