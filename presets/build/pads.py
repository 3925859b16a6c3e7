"""Sixteen pads for TouchOSC and Open Stage Control: `python -m presets.build.pads [BANK]` writes both layouts.

A pad sends `/bank/fire` with its slot, and 1.0 when it is hit, 0.0 when it is let go. Names and colours are those of a
bank when the layout is made, and follow the daemon's `/bank.slot` from then on; a bar and a line show what else it
answers.
"""

import argparse
import json
import uuid
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from plugin_server.settings import Settings
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.files import BankRegistry

FOLDER = Path(__file__).parent.parent / "clients"
TOUCHOSC = FOLDER / "touchosc" / "clipsonic-pads.tosc"
OPEN_STAGE_CONTROL = FOLDER / "open-stage-control" / "clipsonic-pads.json"

PICTURES = (FOLDER / "touchosc" / "clipsonic-pads.svg", FOLDER / "open-stage-control" / "clipsonic-pads.svg")

COLUMNS = 4
WIDTH, HEIGHT, GAP, STRIP = 1024, 768, 12, 96
"""Sizes of the TouchOSC page, in points; the strip at its foot has progress and status."""
COMMAND_WIDTH = 108


HELD = None
"""An argument: 1.0 when a button is hit, 0.0 when it is let go."""
CENTRED = {"textAlignH": 2, "textAlignV": 2, "textSize": 22}

BAR = "#2f6f9f"
RECEIVE_PORT = 9000
"""Port that TouchOSC receives on, as its page of help and ours say."""
COMMANDS = (
    ("connect", "Connect", "/notify", (1.0, float(RECEIVE_PORT))),
    ("previous", "<", "/bank/previous", ()),
    ("next", ">", "/bank/next", ()),
    ("render", "Make all", "/bank/render", ()),
    ("stop", "Silence", "/stop", ("all",)),
    ("cancel", "Cancel", "/cancel", ("all",)),
)
"""Buttons below the pads: name, label, address and arguments."""

SCRIPT = """function init()
  sendOSC('/bank/load')
end

function onReceiveOSC(message)
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
  elseif address == '/bank.slot' then
    local name = 'pad' .. math.floor(arguments[1].value + 1)
    local pad, label = self.children[name], self.children[name .. '-label']
    if pad then
      label.values.text = arguments[2].value
      pad.color = Color.fromHexString(arguments[3].value:sub(2))
    end
  elseif address == '/done' and arguments[1].value == '/notify' then
    line.values.text = 'connected'
    sendOSC('/bank/load')
  elseif address == '/done' and arguments[1].value:match('^/bank/[lnp]') then
    line.values.text = arguments[2].value
  elseif address == '/fail' then
    bar.values.x = 0
    line.values.text = arguments[3].value
  end
end
"""
"""TouchOSC hands every message to the script of the outermost group first, and calls `init` when the layout starts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both layouts, and say where."""
    parser = argparse.ArgumentParser(prog="python -m presets.build.pads", description=__doc__)
    parser.add_argument("bank", nargs="?", default=Settings().bank, help="as clipsonic banks lists it (default: mixed)")
    bank = BankRegistry(Settings().bank_folders).find(parser.parse_args(arguments).bank)
    TOUCHOSC.write_bytes(touchosc_layout(bank))
    OPEN_STAGE_CONTROL.write_text(open_stage_control_session(bank), "utf-8")
    for picture in PICTURES:
        picture.write_text(picture_of(bank), "utf-8")
    print(TOUCHOSC, OPEN_STAGE_CONTROL, *PICTURES, sep="\n")


def picture_of(bank: Bank) -> str:
    """Return the layout as SVG, drawn from the same frames; both programs show it so, each in its own manner."""
    pads = [(frame, slot.colour, slot.name) for slot, frame in zip(bank.slots, _frames(len(bank.slots)), strict=True)]
    commands = [(frame, "#505050", label) for frame, (_, label, _, _) in zip(_command_frames(), COMMANDS, strict=True)]
    bar, line = _progress_frames()
    parts = [_draw_frame(*one) for one in [*pads, *commands, (bar, "#1d2a36", "")]]
    done = (bar[0], bar[1], bar[2] * 0.4, bar[3])
    parts += [_draw_frame(done, BAR, ""), _draw_frame(line, "#000000", bank.name)]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH // 2}" height="{HEIGHT // 2}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}'
    ground = '<rect width="100%" height="100%" fill="#000000"/>'
    return "\n".join([f'{head} font-family="Arial, Helvetica, sans-serif">', ground, *parts, "</svg>", ""])


def _draw_frame(frame: tuple[float, float, float, float], colour: str, label: str) -> str:
    x, y, width, height = frame
    box = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{colour}"/>'
    centre = f'x="{x + width / 2:g}" y="{y + height / 2 + 8:g}" text-anchor="middle" font-size="22" fill="#ffffff"'
    return box + (f"<text {centre}>{escape(label)}</text>" if label else "")


def touchosc_layout(bank: Bank) -> bytes:
    """Return a `.tosc` file: zlib-compressed XML."""
    root = ET.Element("lexml", version="3")
    page = _node(root, "GROUP", "clipsonic", (0, 0, WIDTH, HEIGHT), "#000000", script=SCRIPT)
    children = ET.SubElement(page, "children")
    for number, (slot, frame) in enumerate(zip(bank.slots, _frames(len(bank.slots)), strict=True)):
        _button(children, f"pad{number + 1}", frame, slot.colour, slot.name, "/bank/fire", [float(number), HELD])
    for frame, (name, label, address, arguments) in zip(_command_frames(), COMMANDS, strict=True):
        _button(children, name, frame, "#505050", label, address, arguments)
    bar_frame, line_frame = _progress_frames()
    bar = _node(children, "FADER", "progress", bar_frame, BAR, orientation=1)
    _values(bar, x="0", touch="false")
    _label(children, "status", line_frame, bank.name)
    return zlib.compress(ET.tostring(root, encoding="UTF-8", xml_declaration=True))


def _frames(n_pads: int) -> Iterable[tuple[int, int, int, int]]:
    """Return x, y, width and height of each pad, row by row."""
    n_rows = -(-n_pads // COLUMNS)
    width = (WIDTH - GAP * (COLUMNS + 1)) // COLUMNS
    height = (HEIGHT - STRIP - GAP * (n_rows + 1)) // n_rows
    for i in range(n_pads):
        row, column = divmod(i, COLUMNS)
        yield GAP + column * (width + GAP), GAP + row * (height + GAP), width, height


def _command_frames() -> Iterable[tuple[int, int, int, int]]:
    for i in range(len(COMMANDS)):
        yield GAP + i * (COMMAND_WIDTH + GAP), HEIGHT - STRIP, COMMAND_WIDTH, STRIP - GAP


def _progress_frames() -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Return the frames of the bar and of the line below it."""
    left, top = GAP + len(COMMANDS) * (COMMAND_WIDTH + GAP), HEIGHT - STRIP
    width, half = WIDTH - left - GAP, (STRIP - 3 * GAP) // 2
    return (left, top, width, half), (left, top + half + GAP, width, half + GAP)


def _button(
    parent: ET.Element,
    name: str,
    frame: tuple[int, int, int, int],
    colour: str,
    label: str,
    address: str,
    arguments: Sequence[str | float | None],
) -> None:
    """A button that sends one message when it is hit, with HELD another one when it is let go, and its label on top."""
    node = _node(parent, "BUTTON", name, frame, colour, buttonType=0, press=True, release=True, interactive=True)
    _values(node, x="0", touch="false")
    osc = ET.SubElement(ET.SubElement(node, "messages"), "osc")
    for tag, text in {"enabled": "1", "send": "1", "receive": "0", "feedback": "0", "connections": "00001"}.items():
        ET.SubElement(osc, tag).text = text
    trigger = ET.SubElement(ET.SubElement(osc, "triggers"), "trigger")
    ET.SubElement(trigger, "var").text = "x"
    ET.SubElement(trigger, "condition").text = "ANY" if HELD in arguments else "RISE"
    _constant(ET.SubElement(osc, "path"), address)
    sent = ET.SubElement(osc, "arguments")
    for argument in arguments:
        _constant(sent, argument)
    _label(parent, f"{name}-label", frame, label)


def _label(parent: ET.Element, name: str, frame: tuple[int, int, int, int], text: str) -> None:
    node = _node(parent, "LABEL", name, frame, "#000000", background=False, outline=False, **CENTRED)
    _values(node, text=text, touch="false")


def _constant(parent: ET.Element, value: str | float | None) -> None:
    """A part of a message that never changes, but for HELD, the value of the button."""
    partial = ET.SubElement(parent, "partial")
    conversion = "STRING" if isinstance(value, str) else "FLOAT"
    kind, text = ("VALUE", "x") if value is HELD else ("CONSTANT", f"{value}")
    parts = {"type": kind, "conversion": conversion, "value": text, "scaleMin": "0", "scaleMax": "1"}
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
        _property(holder, kind_of_value, key).text = value if isinstance(value, str) else str(int(value))
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
    """Add the values that a control starts with."""
    holder = ET.SubElement(node, "values")
    for key, default in defaults.items():
        parts = {"key": key, "locked": "0", "lockedDefaultCurrent": "0", "default": default, "defaultPull": "0"}
        _parts(ET.SubElement(holder, "value"), parts)


def open_stage_control_session(bank: Bank) -> str:
    """Return a session file: JSON of nested widgets. What it leaves out has the program's defaults."""
    buttons = [_tap(number, slot) for number, slot in enumerate(bank.slots)]
    grid = {"type": "panel", "id": "pads", "expand": True, "layout": "grid", "gridTemplate": COLUMNS}
    content = {
        "type": "root",
        "id": "root",
        "layout": "vertical",
        "onCreate": "send('/bank/load')",
        "widgets": [grid | {"widgets": buttons}, _strip(bank), *_listeners()],
    }
    session = {"createdWith": "Open Stage Control", "version": "1.29.2", "type": "session", "content": content}
    return json.dumps(session, indent=1, ensure_ascii=False) + "\n"


def _tap(number: int, slot: Slot) -> dict[str, object]:
    """A button that sends its slot when it is hit and when it is let go.

    Its looks are variables that the daemon's answers set.
    """
    return {
        "type": "button",
        "id": f"pad_{number}",
        "label": f"VAR{{name, {slot.name}}}",
        "colorWidget": f"VAR{{colour, {slot.colour}}}",
        "alphaFillOff": 0.6,
        "mode": "push",
        "address": "/bank/fire",
        "preArgs": [number],
        "on": 1,
        "off": 0,
        # Floats are shares of full velocity.
        "typeTags": "ff",
    }


def _strip(bank: Bank) -> dict[str, object]:
    commands = [
        {"type": "button", "id": name, "label": label, "mode": "tap", "address": address}
        # A button sends a value always; what takes no argument sends nothing but its address by its own script.
        # Answers come to the port that it sends from, so that of another program is left out.
        | ({"on": arguments[0]} if arguments else {"bypass": True, "onValue": f"send('{address}')"})
        for name, label, address, arguments in COMMANDS
    ]
    bar = {"type": "fader", "id": "bar", "horizontal": True, "design": "compact", "expand": True}
    line = {"type": "text", "id": "line", "default": bank.name, "expand": True, "bypass": True}
    bar |= {"interaction": False, "bypass": True}
    return {"type": "panel", "id": "strip", "layout": "horizontal", "height": 80, "widgets": [*commands, bar, line]}


def _listeners() -> list[dict[str, object]]:
    """Return invisible widgets that listen to the daemon.

    A message of several arguments is an array in their scripts.
    """
    scripts = {
        "queued": "set('bar', 0); set('line', 'waiting')",
        "progress": "set('bar', value[1]); set('line', value[2])",
        "clip": r"set('line', value[2].split(/[\\/]/).pop())",
        "bank.slot": "setVar('pad_' + value[0], 'name', value[1]); setVar('pad_' + value[0], 'colour', value[2])",
        "done": "if (/^.bank.[lnp]/.test(value[0])) set('line', value[1]); "
        "if (value[0] === '/notify') { set('line', 'connected'); send('/bank/load') }",
        "fail": "set('bar', 0); set('line', value[2])",
    }
    return [
        {
            "type": "variable",
            "id": f"on_{name.replace('.', '_')}",
            "address": f"/{name}",
            "bypass": True,
            "onValue": script,
        }
        for name, script in scripts.items()
    ]


if __name__ == "__main__":
    main()
