"""The layouts of presets/clients for TouchOSC and Open Stage Control."""

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zlib

import pytest

from plugin_server.protocol.addresses import ADDRESSES
from plugin_server.settings import Settings
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.files import BankRegistry
from plugin_server.studio.requests import Generate
from presets.build.pads import (
    COMMANDS,
    HEIGHT,
    OPEN_STAGE_CONTROL,
    PICTURES,
    RECEIVE_PORT,
    SCRIPT,
    TOUCHOSC,
    WIDTH,
    open_stage_control_session,
    picture_of,
    touchosc_layout,
)

EVENTS = [
    ("/queued", ["j1", "/generate", 0], 0.0, "waiting"),
    ("/progress", ["j1", 0.5, "sampling"], 0.5, "sampling"),
    ("/clip", ["j1", "ab12", "/music/sea-waves_8s_s42_t1.wav", 8.0, 1, 42], None, "sea-waves_8s_s42_t1.wav"),
    ("/clip", ["j1", "ab12", "C:\\music\\sea.wav", 8.0, 1, 42], None, "sea.wav"),
    ("/done", ["/bank/next", "sea", 16], None, "sea"),
    ("/done", ["/notify", 0, 64], None, "connected"),
    ("/fail", ["/generate", "queue_full", "64 jobs wait already", "j1"], 0.0, "64 jobs wait already"),
]
"""What the daemon says, then where the bar stands and what the line shows."""

BANK = BankRegistry(Settings().bank_folders[1:]).find(Settings().bank)


def layout(packed: bytes) -> ET.Element:
    return ET.fromstring(zlib.decompress(packed))


def properties(node: ET.Element) -> dict[str, ET.Element]:
    return {p.findtext("key"): p.find("value") for p in node.find("properties")}


def nodes(root: ET.Element, kind: str) -> dict[str, ET.Element]:
    return {properties(node)["name"].text: node for node in root.iter("node") if node.get("type") == kind}


def sent_by(button: ET.Element) -> tuple[str, list[str | float]]:
    """Address and arguments of a button's only message; 'x' is 1.0 when it is hit, and 0.0 in another when let go."""
    (message,) = button.find("messages")
    is_held = "VALUE" in [part.findtext("type") for part in message.find("arguments")]
    assert message.tag == "osc"
    assert message.findtext("triggers/trigger/condition") == ("ANY" if is_held else "RISE")
    (address,) = message.find("path")
    arguments = [
        float(part.findtext("value"))
        if (part.findtext("conversion"), part.findtext("type")) == ("FLOAT", "CONSTANT")
        else part.findtext("value")
        for part in message.find("arguments")
    ]
    return address.findtext("value"), arguments


def test_both_files_are_what_the_bank_makes():
    assert zlib.decompress(TOUCHOSC.read_bytes()) == zlib.decompress(touchosc_layout(BANK))
    assert OPEN_STAGE_CONTROL.read_text("utf-8") == open_stage_control_session(BANK)
    for picture in PICTURES:
        assert picture.read_text("utf-8") == picture_of(BANK)


def test_touchosc_buttons_fire_their_slots():
    root = layout(TOUCHOSC.read_bytes())
    buttons, labels = nodes(root, "BUTTON"), nodes(root, "LABEL")
    assert len(buttons) == 16 + len(COMMANDS) and sent_by(buttons["cancel"]) == ("/cancel", ["all"])
    assert sent_by(buttons["next"]) == ("/bank/next", [])
    for number, slot in enumerate(BANK.slots):
        assert sent_by(buttons[f"pad{number + 1}"]) == ("/bank/fire", [number, "x"])
        assert labels[f"pad{number + 1}-label"].findtext("values/value/default") == slot.name
        assert properties(labels[f"pad{number + 1}-label"])["interactive"].text == "0"


def test_the_button_of_touchosc_brings_answers_to_its_port(daemon):
    (connect,) = [arguments for name, _, _, arguments in COMMANDS if name == "connect"]
    address, sent = sent_by(nodes(layout(TOUCHOSC.read_bytes()), "BUTTON")["connect"])
    assert (address, sent) == ("/notify", list(connect)) == ("/notify", [1.0, RECEIVE_PORT])
    assert f"`/notify 1 {RECEIVE_PORT}`" in (TOUCHOSC.parent / "README.md").read_text("utf-8")
    with daemon.client() as tablet, daemon.client() as receiver:
        # Another port stands for 9000, which somebody may have here.
        tablet.send(address, sent[0], float(receiver.port))
        assert receiver.receive().arguments == ("/notify", 0, 64)
        tablet.send("/bank/load")
        assert receiver.receive().address == "/bank.slot"


def test_touchosc_controls_lie_on_the_page_and_have_ids_of_their_own():
    root = layout(TOUCHOSC.read_bytes())
    assert len({node.get("ID") for node in root.iter("node")}) == len(list(root.iter("node")))
    frames = {}
    for kind in ("BUTTON", "FADER"):
        for name, node in nodes(root, kind).items():
            x, y, w, h = frames[name] = [int(part.text) for part in properties(node)["frame"]]
            assert x >= 0 and y >= 0 and x + w <= WIDTH and y + h <= HEIGHT
    for one, (x, y, w, h) in frames.items():
        for other, (left, top, width, height) in frames.items():
            apart = x + w <= left or left + width <= x or y + h <= top or top + height <= y
            assert one == other or apart, (one, other)


@pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed (Debian package lua5.4)")
@pytest.mark.parametrize(("address", "arguments", "bar", "line"), EVENTS)
def test_touchosc_shows_progress_and_status(tmp_path, address, arguments, bar, line):
    root = layout(TOUCHOSC.read_bytes())
    page = root.find("node")
    assert {"progress", "status"} <= set(nodes(root, "FADER")) | set(nodes(root, "LABEL"))
    assert properties(page)["script"].text == SCRIPT
    given = ", ".join(f"{{value = {json.dumps(argument)}}}" for argument in arguments)
    (tmp_path / "page.lua").write_text(
        "function sendOSC(...) end\n"
        "self = {children = {progress = {values = {}}, status = {values = {}}}}\n"
        f"{SCRIPT}\nonReceiveOSC({{'{address}', {{{given}}}}})\n"
        "print(self.children.progress.values.x)\nprint(self.children.status.values.text)\n"
    )
    said = subprocess.run(["lua5.4", str(tmp_path / "page.lua")], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[1] == line
    assert said.splitlines()[0] == "nil" if bar is None else float(said.splitlines()[0]) == bar


@pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed (Debian package lua5.4)")
def test_touchosc_pads_follow_the_bank_and_ask_for_it(tmp_path):
    (tmp_path / "page.lua").write_text(
        "Color = {fromHexString = function(text) return text end}\n"
        "function sendOSC(...) print(...) end\n"
        "self = {children = {progress = {values = {}}, status = {values = {}}, pad3 = {}, "
        "['pad3-label'] = {values = {}}}}\n"
        f"{SCRIPT}\ninit()\n"
        "for slot = 2, 20 do\n"
        "  onReceiveOSC({'/bank.slot', {{value = slot}, {value = 'Bell ' .. slot}, "
        "{value = '#aabbcc'}, {value = 'bell'}}})\n"
        "end\n"
        "print(self.children['pad3-label'].values.text, self.children.pad3.color)\n"
    )
    said = subprocess.run(["lua5.4", str(tmp_path / "page.lua")], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["/bank/load", "Bell 2\taabbcc"]


def widgets(widget: dict) -> list[dict]:
    return [widget, *(inner for child in widget.get("widgets", ()) for inner in widgets(child))]


def test_open_stage_control_buttons_fire_their_slots():
    session = json.loads(OPEN_STAGE_CONTROL.read_text("utf-8"))
    assert session["createdWith"] == "Open Stage Control" and session["type"] == "session"
    by_id = {widget["id"]: widget for widget in widgets(session["content"])}
    assert len(by_id) == len(widgets(session["content"]))
    for number, slot in enumerate(BANK.slots):
        button = by_id[f"pad_{number}"]
        assert (button["label"], button["mode"]) == (f"VAR{{name, {slot.name}}}", "push")
        assert (button["address"], button["preArgs"], button["typeTags"]) == ("/bank/fire", [number], "ff")
        assert (button["on"], button["off"]) == (1, 0)
    assert (by_id["cancel"]["address"], by_id["cancel"]["on"]) == ("/cancel", "all")
    assert by_id["next"]["onValue"] == "send('/bank/next')"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed (Debian package nodejs)")
def test_open_stage_control_pads_follow_the_bank():
    session = json.loads(OPEN_STAGE_CONTROL.read_text("utf-8"))
    (ear,) = [w for w in widgets(session["content"]) if w.get("address") == "/bank.slot"]
    value = json.dumps([2, "Bell", "#aabbcc", "bell", 38, "", 1.0, "", ""])
    shown = f"const shown = {{}}; const value = {value}; const setVar = (id, n, v) => {{ shown[id + n] = v }};"
    code = f"{shown} {ear['onValue']}; console.log(JSON.stringify(shown))"
    said = json.loads(subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout)
    assert said == {"pad_2name": "Bell", "pad_2colour": "#aabbcc"}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed (Debian package nodejs)")
@pytest.mark.parametrize(("address", "arguments", "bar", "line"), EVENTS)
def test_open_stage_control_shows_progress_and_status(address, arguments, bar, line):
    session = json.loads(OPEN_STAGE_CONTROL.read_text("utf-8"))
    (ear,) = [w for w in widgets(session["content"]) if w["type"] == "variable" and w["address"] == address]
    shown = f"const shown = {{}}; const value = {json.dumps(arguments)}; const set = (id, v) => {{ shown[id] = v }};"
    shown += " const send = () => {};"
    code = f"{shown} {ear['onValue']}; console.log(JSON.stringify(shown))"
    said = json.loads(subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout)
    assert said["line"] == line and said.get("bar") == bar


def test_another_bank_fills_as_many_pads_as_it_has():
    slots = tuple(Slot(f"words & <signs> {i}", Generate("x"), "#123456") for i in range(5))
    bank = Bank("five", "", slots)
    buttons, labels = (nodes(layout(touchosc_layout(bank)), kind) for kind in ("BUTTON", "LABEL"))
    assert sent_by(buttons["pad5"]) == ("/bank/fire", [4.0, "x"]) and len(buttons) == 5 + len(COMMANDS)
    assert labels["pad5-label"].findtext("values/value/default") == "words & <signs> 4"
    assert "words & <signs> 4" in open_stage_control_session(bank)


def test_every_address_is_the_daemons():
    replies = {reply for row in ADDRESSES.values() for reply in row.replies} | {"/fail"}
    assert {address for address, *_ in EVENTS} <= replies
    assert {"/bank/fire", "/bank/load", *(address for _, _, address, _ in COMMANDS)} <= set(ADDRESSES)
