"""Draws a patch from its own JSON, so that the picture shows what the file holds."""

from collections.abc import Callable
from html import escape

from presets.build.max.patcher import Rect

PAPER, GROUND = "#f2f3f5", "#21262e"
OBJECT, OBJECT_EDGE, OBJECT_INK = "#ffffff", "#8a939e", "#1d2329"
CABLE, AUDIO_CABLE = "#6d7681", "#b0a02a"
DEFAULTS = {
    "activebgcolor": [0.35, 0.38, 0.42, 1.0],
    "activetextcolor": [0.93, 0.95, 0.96, 1.0],
    "bgcolor": [0.93, 0.94, 0.95, 1.0],
    "textcolor": [0.15, 0.17, 0.2, 1.0],
}
LETTER = 0.56
"""Average width of a letter of Arial, in font sizes."""
ROUND = {"live.text": 3, "umenu": 4, "textedit": 4, "multislider": 2}


def draw_face(patch: dict, **inner: dict) -> str:
    """Return the presentation view as SVG, on the dark ground of Live's default theme.

    `inner` are the patches of its bpatchers, by the middle part of their names.
    """
    boxes = [box for box in _boxes(patch) if box.get("presentation")]
    rects = [box["presentation_rect"] for box in boxes]
    width, height = _extent([*rects, patch["patcher"].get("openrect", rects[0])], margin=0)
    drawn = [_draw(box, box["presentation_rect"], inner) for box in boxes]
    return _svg(width, height, drawn, GROUND)


def draw_patching(patch: dict, **inner: dict) -> str:
    """SVG of the patching view, with its lines."""
    boxes = {box["id"]: box for box in _boxes(patch)}
    width, height = _extent([box["patching_rect"] for box in boxes.values()], margin=16)
    drawn = [_draw(box, box["patching_rect"], inner) for box in boxes.values()]
    lines = [_cable(line["patchline"], boxes) for line in patch["patcher"]["lines"]]
    return _svg(width, height, lines + drawn)


def _boxes(patch: dict) -> list[dict]:
    """Boxes, each with the value that a [loadmess] gives it when the patch opens."""
    boxes = {entry["box"]["id"]: dict(entry["box"]) for entry in patch["patcher"]["boxes"]}
    for line in (entry["patchline"] for entry in patch["patcher"]["lines"]):
        name, _, value = boxes[line["source"][0]].get("text", "").partition(" ")
        if name == "loadmess":
            boxes[line["destination"][0]]["shown"] = value
    return list(boxes.values())


def _extent(rects: list[Rect], margin: float) -> tuple[float, float]:
    width, height = (max(rect[side] + rect[side + 2] for rect in rects) + margin for side in (0, 1))
    return width, height


def _svg(width: float, height: float, parts: list[str], ground: str = PAPER) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
    body = "\n".join(part for part in parts if part)
    font = 'font-family="Arial, Helvetica, sans-serif"'
    return f'{head} {font}>\n<rect width="100%" height="100%" fill="{ground}"/>\n{body}\n</svg>\n'


def _draw(box: dict, rect: Rect, inner: dict[str, dict]) -> str:
    if box["maxclass"] != "bpatcher":
        return _DRAWN.get(box["maxclass"], _draw_object)(box, rect)
    shown = [part for part in _boxes(inner[box["name"].split(".")[1]]) if part.get("presentation")]
    parts = [_draw(part, part["presentation_rect"], inner) for part in shown]
    return f'<g transform="translate({rect[0]:g} {rect[1]:g})">' + "\n".join(parts) + "</g>"


def _plate(rect: Rect, fill: str, radius: float = 0.0, edge: str = "none") -> str:
    x, y, width, height = rect
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}"'
        f' stroke="{edge}"/>'
    )


def _words(text: str, x: float, y: float, size: float, ink: str, anchor: str = "start") -> str:
    """Text whose middle is at height `y`."""
    place = f'x="{x:g}" y="{y + 0.35 * size:.4g}" font-size="{size:g}" text-anchor="{anchor}"'
    return f'<text {place} fill="{ink}">{escape(text)}</text>'


def _colour(box: dict, name: str) -> str:
    numbers = box[name] if name in box else DEFAULTS[name]
    return "#" + "".join(f"{round(255 * number):02x}" for number in numbers[:3])


def _draw_object(box: dict, rect: Rect) -> str:
    text = box.get("text", box["maxclass"])
    radius = 8 if box["maxclass"] == "message" else 2
    middle = rect[1] + rect[3] / 2
    return _plate(rect, OBJECT, radius, OBJECT_EDGE) + _words(text, rect[0] + 6, middle, 11.5, OBJECT_INK)


def _draw_panel(box: dict, rect: Rect) -> str:
    return _plate(rect, _colour(box, "bgcolor"), box.get("rounded", 0))


def _draw_comment(box: dict, rect: Rect) -> str:
    size = box.get("fontsize", 12.0)
    letters = max(int((rect[2] - 6) / (LETTER * size)), 1)
    lines = _wrap(box.get("text", ""), letters) if rect[3] > 2 * size else [box.get("text", "")]
    ink = _colour(box, "textcolor")
    first = rect[1] + 3 + 0.6 * size
    return "".join(_words(line, rect[0] + 4, first + 1.2 * size * i, size, ink) for i, line in enumerate(lines))


def _wrap(text: str, letters: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _draw_textedit(box: dict, rect: Rect) -> str:
    size = box.get("fontsize", 12.0)
    plate = _plate(rect, _colour(box, "bgcolor"), ROUND["textedit"])
    return plate + _words(box.get("text", ""), rect[0] + 8, rect[1] + 6 + size * 0.6, size, _colour(box, "textcolor"))


def _draw_button(box: dict, rect: Rect) -> str:
    size = min(box.get("fontsize", 10.0), rect[3] - 4)
    fill, ink = _colour(box, "activebgcolor"), _colour(box, "activetextcolor")
    middle = rect[0] + rect[2] / 2, rect[1] + rect[3] / 2
    return _plate(rect, fill, ROUND[box["maxclass"]]) + _words(box["text"], *middle, size, ink, "middle")


def _draw_menu(box: dict, rect: Rect) -> str:
    right, middle = rect[0] + rect[2] - 10, rect[1] + rect[3] / 2
    arrow = f'<path d="M{right - 4:g} {middle - 2:g}h8l-4 5z" fill="#c9d0d8"/>'
    words = "".join(_words(item, rect[0] + 6, middle, 10.5, "#c9d0d8") for item in box["items"][:1])
    return _plate(rect, "#3f4751", ROUND["umenu"]) + arrow + words


def _draw_number(box: dict, rect: Rect) -> str:
    plate = _plate(rect, "#3f4751", 2)
    shown = _first_value(box)
    return plate + _words(shown, rect[0] + rect[2] / 2, rect[1] + rect[3] / 2, 10.5, "#eef1f4", "middle")


def _first_value(box: dict) -> str:
    """Return the value that Live shows at first, or the patch when it opens."""
    if "shown" in box:
        return f"{float(box['shown']):g}"
    value: dict = box.get("saved_attribute_attributes", {}).get("valueof", {})
    return f"{value.get('parameter_initial', [0])[0]:g}"


def _draw_bar(box: dict, rect: Rect) -> str:
    done = (rect[0], rect[1], rect[2] * 0.6, rect[3])
    return _plate(rect, _colour(box, "bgcolor"), 2) + _plate(done, _colour(box, "slidercolor"), 2)


def _draw_wave(box: dict, rect: Rect) -> str:
    x, y, width, height = rect
    step, middle = 4, y + height / 2
    strokes = ""
    for i in range(1, int(width / step)):
        loud = height * 0.42 * abs(((i * 37) % 101) / 101 - 0.3) * (1 - i * step / width)
        strokes += f"M{x + i * step:g} {middle - loud:.3g}v{2 * loud:.3g}"
    ink = _colour(box, "waveformcolor")
    return _plate(rect, _colour(box, "bgcolor"), 2) + f'<path d="{strokes}" stroke="{ink}" stroke-width="2"/>'


def _draw_toggle(box: dict, rect: Rect) -> str:
    x, y, width, height = rect
    w, h = width - 10, height - 10
    cross = f'<path d="M{x + 5:g} {y + 5:g}l{w:g} {h:g}m0 {-h:g}l{-w:g} {h:g}"'
    on = f'{cross} stroke="#eef1f4" stroke-width="2"/>' if box.get("shown") == "1" else ""
    return _plate(rect, "#3f4751", 3, "#7f8893") + on


def _draw_gain(box: dict, rect: Rect) -> str:
    knob = (rect[0] + rect[2] * 0.75, rect[1], 5, rect[3])
    return _plate(rect, "#3f4751", 3) + _plate(knob, "#c9d0d8", 1)


def _draw_port(box: dict, rect: Rect) -> str:
    """Return the drawing of an [inlet] or an [outlet]."""
    x, y = rect[0] + rect[2] / 2, rect[1] + rect[3] / 2
    return _plate(rect, OBJECT, 2, OBJECT_EDGE) + f'<path d="M{x - 7:g} {y - 4:g}h14l-7 9z" fill="{CABLE}"/>'


def _draw_drop(box: dict, rect: Rect) -> str:
    """A field that files are dropped on; Max draws nothing, or a frame."""
    return _plate(rect, "none", 3, OBJECT_EDGE).replace("/>", ' stroke-dasharray="3 2"/>')


def _draw_speaker(box: dict, rect: Rect) -> str:
    x, y = rect[0] + rect[2] / 2, rect[1] + rect[3] / 2
    horn = f'<path d="M{x - 10:g} {y - 5:g}h6l8 -8v26l-8 -8h-6z" fill="#eef1f4"/>'
    return _plate(rect, "#5a626c", 6) + horn


_DRAWN: dict[str, Callable[[dict, Rect], str]] = {
    "comment": _draw_comment,
    "dropfile": _draw_drop,
    "ezdac~": _draw_speaker,
    "flonum": _draw_number,
    "gain~": _draw_gain,
    "inlet": _draw_port,
    "live.numbox": _draw_number,
    "live.text": _draw_button,
    "multislider": _draw_bar,
    "number": _draw_number,
    "outlet": _draw_port,
    "panel": _draw_panel,
    "textedit": _draw_textedit,
    "toggle": _draw_toggle,
    "umenu": _draw_menu,
    "waveform~": _draw_wave,
}


def _cable(line: dict, boxes: dict[str, dict]) -> str:
    source, outlet = boxes[line["source"][0]], line["source"][1]
    target, inlet = boxes[line["destination"][0]], line["destination"][1]
    x, y = _port(source["patching_rect"], outlet, source["numoutlets"]), sum(source["patching_rect"][1::2])
    to_x, to_y = _port(target["patching_rect"], inlet, target["numinlets"]), target["patching_rect"][1]
    bend = max(14.0, abs(to_y - y) / 2)
    ink = AUDIO_CABLE if source["outlettype"][outlet] == "signal" else CABLE
    path = f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"
    return f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="1.3"/>'


def _port(rect: Rect, index: int, count: int) -> float:
    """Return the x of a port; ports lie from the left edge to the right edge."""
    return rect[0] + 6 + (rect[2] - 12) * (index / (count - 1) if count > 1 else 0)
