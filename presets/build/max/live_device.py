"""The Max for Live device: an audio effect that lets sound through, with a prompt, pads, takes and Live's clips."""

from pathlib import Path

from presets.build.max import faces
from presets.build.max.parameters import HIDDEN, button, number, stored, switch
from presets.build.max.patcher import Box, Patch, Rect, Value

WIDTH, HEIGHT = 608, 169
"""Live gives every device a height of 169 pixels."""
N_PADS = 16
AMXD_TYPE = int.from_bytes(b"aaaa")
CLIENT, INSERT = "clipsonic-client.js", "clipsonic-insert.js"
BUFFER = "---clipsonic"
"""Max for Live puts a name of its own, for each device, in index of the three dashes."""

_LABEL = {"saved_attribute_attributes": faces.theme(textcolor="live_control_fg")}
_FIELD = {"saved_attribute_attributes": faces.theme(bgcolor="live_lcd_bg", textcolor="live_lcd_control_fg")}
_BAR = {"saved_attribute_attributes": faces.theme(bgcolor="live_lcd_bg", slidercolor="live_value_bar")}
_WAVE: dict[str, Value] = {
    "saved_attribute_attributes": faces.theme(bgcolor="live_lcd_bg", waveformcolor="live_lcd_control_fg")
}


def build_device(*folders: Path) -> Patch:
    """The patch inside `Clipsonic.amxd`; its scripts lie in `folders`."""
    patch = Patch("Clipsonic: words into sound", (80, 100, 1720, 800), *folders)
    patch.attributes = _device_attributes()
    client = faces.script(patch, CLIENT, 40, 290, 1000)
    insert = faces.script(patch, INSERT, 1140, 440)
    receiver = patch.object("udpreceive 7461 @quiet 1", 1028, 250)
    patch.chain(patch.object("r ---ear", 1028, 215), receiver)
    patch.chain(patch.object("r ---ask", 790, 200), client)
    patch.join(receiver, 0, client, 1)
    patch.join(client, 0, patch.object("udpsend 127.0.0.1 9460", 40, 340))
    patch.join(client, 1, patch.object("s ---ear", 369, 340))
    kinds = patch.object("route progress status takes banks pad", 699, 360, 300)
    patch.join(client, 2, kinds)
    patch.chain(patch.object("r ---show", 600, 330), kinds)
    patch.chain(insert, patch.object("s ---show", 1140, 480))
    patch.join(insert, 1, patch.object("s ---ask", 1270, 480))
    _start(patch, client)
    _add_request(patch, client, insert)
    _progress(patch, kinds)
    _pads(patch, kinds)
    _takes(patch, client, insert, kinds)
    values = {box.id: _value_of(box) for box in patch.boxes}
    patch.attributes["parameters"] = _parameters({name: value for name, value in values.items() if value})
    return patch


def _device_attributes() -> dict[str, Value]:
    project = {
        "version": 1,
        "creationdate": 3590052493,
        "modificationdate": 3590052493,
        "viewrect": [0.0, 0.0, 300.0, 500.0],
        "autoorganize": 1,
        "hideprojectwindow": 1,
        "showdependencies": 1,
        "autolocalize": 0,
        "contents": {"patchers": {}, "code": {name: {"kind": "javascript", "local": 1} for name in (CLIENT, INSERT)}},
        "layout": {},
        "searchpath": {},
        "detailsvisible": 0,
        "amxdtype": AMXD_TYPE,
        "readonly": 0,
        "devpathtype": 0,
        "devpath": ".",
        "sortmode": 0,
        "viewmode": 0,
        "includepackages": 0,
    }
    size: dict[str, Value] = {"openrect": [0.0, 0.0, float(WIDTH), float(HEIGHT)], "devicewidth": float(WIDTH)}
    look: dict[str, Value] = {"default_fontsize": 10.0, "default_fontname": "Arial Bold"}
    files = [{"name": name, "bootpath": ".", "type": "TEXT", "implicit": 1} for name in (CLIENT, INSERT)]
    rest: dict[str, Value] = {"latency": 0, "is_mpe": 0, "minimum_live_version": "", "minimum_max_version": ""}
    return size | look | rest | {"platform_compatibility": 0, "dependency_cache": files, "project": project}


def _value_of(box: Box) -> dict[str, Value]:
    """Return the values of a box's parameter for Live, or nothing where the box has none."""
    attributes = box.attributes.get("saved_attribute_attributes")
    return attributes.get("valueof", {}) if isinstance(attributes, dict) else {}


def _parameters(values: dict[str, dict[str, Value]]) -> dict[str, Value]:
    """Names for Live, and the banks that Push shows, of the parameters' values by their boxes' ids."""
    names: dict[str, Value] = {
        id_: [value["parameter_longname"], value["parameter_shortname"], 0] for id_, value in values.items()
    }
    pads = [f"Pad {number}" for number in range(1, N_PADS + 1)]
    banks = [("Clipsonic", ["Make", "Stop", "Seconds", "Takes", "Bars", "Play", "To Slot", "To Arrangement"])]
    banks += [("Pads 1-8", pads[:8]), ("Pads 9-16", pads[8:])]
    listed = {str(i): {"index": i, "name": name, "parameters": row} for i, (name, row) in enumerate(banks)}
    return names | {"parameterbanks": listed, "inherited_shortname": 1}


def _start(patch: Patch, client: Box) -> None:
    patch.chain(patch.object("live.thisdevice", 590, 200), client)
    patch.chain(patch.object("freebang", 715, 160), patch.message("leave", 715, 200), client)


def _add_request(patch: Patch, client: Box, insert: Box) -> None:
    """Add the boxes of a request: prompt, lengths, takes, Make and Stop."""
    prompt = faces.prompt_box(patch, (40, 56, 170, 40), (8, 8, 200, 42), varname="prompt", fontsize=12.0, **_FIELD)
    patch.object("pattr prompt_text @bindto prompt", 560, 56, 0.0, **stored("Prompt"))
    text = patch.object("route text", 40, 110)
    both = patch.object("t l b", 40, 144)
    make = button(patch, "Make", (40, 20, 60, 20), (8, 102, 96, 20), "Make a clip of the prompt.")
    make.attributes |= faces.LOUD
    stop = button(patch, "Stop", (250, 20, 60, 20), (112, 102, 96, 20), "Stop what this device has asked for.")
    patch.chain(make, prompt, text, both, patch.object("prepend generate", 40, 200), client)
    patch.join(both, 1, patch.object("s ---measure", 110, 170))
    patch.chain(patch.object("r ---measure", 1230, 340), patch.message("measure", 1230, 376), insert)
    patch.chain(stop, patch.message("stop", 250, 200), client)
    rows = (
        ("Seconds", "seconds", client, 340, (8, 56), (58, 57), (1, 0.5, 30.0, 5.0), "Length of a clip."),
        ("Takes", "variations", client, 455, (112, 56), (162, 57), (0, 1, 16, 1), "How many takes at once."),
        ("Bars", "bars", insert, 1270, (8, 76), (58, 77), (0, 0, 16, 0), "Length in bars; 0: as Seconds says."),
    )
    for name, word, script, x, label, face, limits, hint in rows:
        _label(patch, name, (x, 20, 60, 18), (*label, 48, 18))
        box = number(patch, name, (x, 44, 60, 15), (*face, 46, 15), limits, hint)
        patch.chain(box, patch.object(f"prepend {word}", x - 14, 200), script)
    _drop(patch, prompt)


def _drop(patch: Patch, prompt: Box) -> None:
    """A field for pictures: what is seen in one that is dropped there is heard, with the words of the prompt."""
    _label(patch, "drop picture", (1640, 20, 80, 18), (112, 76, 64, 18))
    field, dropped = faces.drop(patch, (1640, 56, 60, 22), (176, 76, 32, 18), **_FIELD)
    patch.chain(field, dropped, patch.object("s ---words", 1640, 128))
    patch.chain(patch.object("r ---words", 150, 20), prompt)
    patch.join(dropped, 1, path := patch.object("prepend dropped", 1740, 128))
    patch.join(path, 0, patch.object("s ---ask", 1740, 164))


def _progress(patch: Patch, kinds: Box) -> None:
    patch.join(kinds, 0, faces.bar(patch, (590, 404, 100, 20), (8, 128, 200, 7), **_BAR))
    status = patch.object("prepend set", 699, 420)
    patch.join(kinds, 1, status)
    line = _label(patch, "looking for the daemon", (699, 456, 150, 20), (6, 138, 204, 28), linecount=2)
    patch.join(status, 0, line)


def _pads(patch: Patch, kinds: Box) -> None:
    menu = faces.menu(patch, "prompt banks", (965, 456, 90, 20), (218, 8, 176, 18), "Prompt banks of the daemon.")
    patch.join(kinds, 3, menu)
    asked = patch.object("s ---ask", 40, 700)
    patch.join(menu, 1, load := patch.object("prepend bank", 965, 486))
    patch.join(load, 0, banks := patch.object("s ---ask", 965, 520))
    again = button(patch, "Reload", (1065, 456, 60, 20), (400, 8, 58, 18), "Ask for the list of banks again.", HIDDEN)
    patch.chain(again, patch.message("banks", 1065, 486), banks)
    numbers = patch.object("route " + " ".join(str(number) for number in range(1, N_PADS + 1)), 40, 560, 1146)
    patch.join(kinds, 4, patch.object("s ---pads", 1000, 410))
    patch.chain(patch.object("r ---pads", 40, 526), numbers)
    for index in range(N_PADS):
        column, row = index % 4, index // 4
        face = (218 + 61 * column, 32 + 33 * row, 57, 30)
        at = (40 + 71 * index, 610, 62, 30)
        pad = button(patch, str(index + 1), at, face, "Make this pad's clip.", name=f"Pad {index + 1}")
        patch.join(numbers, index, pad)
        patch.chain(pad, patch.message(f"fire {index + 1}", 40 + 71 * index, 656), asked)


def _takes(patch: Patch, client: Box, insert: Box, kinds: Box) -> None:
    """The clips, their sound, and their way into the set."""
    asked = patch.object("s ---ask", 1350, 130)
    menu = faces.menu(patch, "takes", (860, 456, 90, 20), (468, 8, 132, 18), "Clips of this device, the newest last.")
    patch.join(kinds, 2, menu)
    patch.chain(menu, patch.object("prepend take", 860, 486), patch.object("s ---ask", 860, 520))
    route = patch.object("route clip", 1028, 340)
    patch.join(client, 3, route)
    patch.join(route, 1, insert)
    for text, x, y, where in (("To Slot", 1350, 110, "slot"), ("To Arrangement", 1480, 138, "arrangement")):
        hint = f"Put the chosen clip into the {'chosen slot' if where == 'slot' else 'Arrangement, at the playhead'}."
        into = button(patch, text, (x, 60, 100, 20), (468, y, 132, 23), hint)
        patch.chain(into, patch.message(f"insert {where}", x, 90), asked)
    _player(patch, route)


def _player(patch: Patch, route: Box) -> None:
    """The device's input, with the clip added when it is played."""
    buffer = patch.object(f"buffer~ {BUFFER}", 1350, 420)
    patch.chain(route, patch.object("prepend replace", 1350, 384), buffer)
    wave: dict[str, Value] = {"buffername": BUFFER, "bgcolor": faces.FIELD, "waveformcolor": faces.ACCENT}
    patch.box("waveform~", (1560, 370, 130, 40), (468, 32, 132, 44), "", **(wave | _WAVE))
    auto = switch(patch, "Auto", (1520, 330, 60, 20), (558, 82, 42, 20), "Play every new clip at once.")
    loop = switch(patch, "Loop", (1620, 330, 60, 20), (513, 82, 42, 20), "Play round and round.")
    play = button(patch, "Play", (1490, 460, 60, 20), (468, 82, 42, 20), "Play the chosen clip through this track.")
    gate = patch.object("gate 1 0", 1420, 460)
    start = patch.message("0", 1420, 500)
    groove = patch.object(f"groove~ {BUFFER}", 1350, 540)
    patch.join(auto, 0, gate)
    patch.join(buffer, 1, gate, 1)
    patch.chain(gate, start, groove)
    patch.chain(play, start)
    patch.chain(loop, patch.message("loop $1", 1620, 500), groove)
    patch.chain(patch.object("sig~ 1.", 1350, 500), groove)
    through, out = patch.object("plugin~", 1530, 540), patch.object("plugout~", 1530, 640)
    for side, x in ((0, 1530), (1, 1590)):
        mix = patch.object("+~", x, 590)
        patch.join(through, side, mix)
        patch.join(groove, 0, mix, 1)
        patch.join(mix, 0, out, side)


def _label(patch: Patch, text: str, at: Rect, face: Rect, **attributes: Value) -> Box:
    return faces.label(patch, text, at, face, fontsize=10.0, **(_LABEL | attributes))
