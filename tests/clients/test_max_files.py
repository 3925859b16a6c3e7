"""The Max files: built from their sources, whole, and joined as Max wants them."""

import itertools
import json
import re
import struct
from pathlib import Path

import pytest

from presets.build.max.__main__ import CLIENTS, build_all, build_unfrozen
from presets.build.max.amxd import AUDIO_EFFECT, Device, Frozen, read_device, write_device
from presets.build.max.live_device import HEIGHT, N_PADS, WIDTH
from presets.build.max.objects import shape_of
from presets.build.max.patcher import Patch

FOLDERS = tuple(CLIENTS / name for name in ("max", "max-for-live", "node-for-max"))
DEVICE = CLIENTS / "max-for-live" / "Clipsonic.amxd"
PATCHES = sorted([*CLIENTS.glob("*/*.maxpat"), DEVICE])


def patcher_of(path: Path) -> dict:
    """The outermost patcher of a file."""
    if path.suffix == ".amxd":
        return json.loads(read_device(path.read_bytes()).files[0].content.rstrip(b"\0"))["patcher"]
    return json.loads(path.read_text("utf-8"))["patcher"]


def boxes_of(path: Path) -> dict[str, dict]:
    return {entry["box"]["id"]: entry["box"] for entry in patcher_of(path)["boxes"]}


def lines_of(path: Path) -> list[dict]:
    return [entry["patchline"] for entry in patcher_of(path)["lines"]]


def overlap(one: list[float], other: list[float]) -> bool:
    return all(one[side] < other[side] + other[side + 2] and other[side] < one[side] + one[side + 2] for side in (0, 1))


each_patch = pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.name)


@pytest.mark.parametrize("path", build_all(), ids=lambda path: path.name)
def test_files_are_what_their_sources_build(path):
    built = build_all()[path]
    assert path.read_bytes() == built, "run: python -m presets.build.max"
    assert path.suffix != ".svg" or len(built) < 100_000


def test_nothing_is_there_that_is_not_built():
    found = {path for path in CLIENTS.glob("*/*") if path.suffix in {".maxpat", ".amxd", ".svg"}}
    ours = {path for path in found if path.parent in FOLDERS}
    assert ours == set(build_all())


@each_patch
def test_every_line_joins_an_outlet_to_an_inlet(path):
    boxes = boxes_of(path)
    for line in lines_of(path):
        (source, outlet), (target, inlet) = line["source"], line["destination"]
        assert 0 <= outlet < boxes[source]["numoutlets"], line
        assert 0 <= inlet < boxes[target]["numinlets"], line


@each_patch
def test_no_line_is_drawn_twice(path):
    lines = [(*line["source"], *line["destination"]) for line in lines_of(path)]
    assert len(lines) == len(set(lines))


@each_patch
def test_signals_only_go_where_signals_are_heard(path):
    boxes = boxes_of(path)
    for line in lines_of(path):
        source, target = boxes[line["source"][0]], boxes[line["destination"][0]]
        if source["outlettype"][line["source"][1]] == "signal":
            assert (target["text"].split()[0] if target["maxclass"] == "newobj" else target["maxclass"]).endswith("~")


@each_patch
def test_inlets_and_outlets_are_those_of_the_object(path):
    for box in boxes_of(path).values():
        shape = shape_of(box["maxclass"], box.get("text", ""), FOLDERS)
        assert (box["numinlets"], tuple(box.get("outlettype", ()))) == (shape.n_inlets, shape.outlets), box
        assert box["numoutlets"] == len(shape.outlets)


@each_patch
def test_every_file_that_a_patch_names_is_there(path):
    named = set()
    for box in boxes_of(path).values():
        named |= set(re.findall(r"\S+\.(?:js|maxpat)\b", box.get("text", "") + " " + box.get("name", "")))
        if box.get("text", "").startswith("js "):
            assert box["saved_object_attributes"]["filename"] == box["text"].split()[1]
    frozen = {file.name for file in read_device(path.read_bytes()).files} if path == DEVICE else set()
    assert all(name in frozen or (path.parent / name).exists() for name in named), named


@each_patch
def test_boxes_lie_beside_each_other(path):
    boxes = list(boxes_of(path).values())
    for key in ("patching_rect", "presentation_rect"):
        shown = [box for box in boxes if key in box and not (key == "presentation_rect" and box["maxclass"] == "panel")]
        for one, other in itertools.combinations(shown, 2):
            assert not overlap(one[key], other[key]), (key, one, other)


@each_patch
def test_every_box_has_a_use(path):
    joined = {end for line in lines_of(path) for end in (line["source"][0], line["destination"][0])}
    alone = {"panel", "comment", "waveform~"}
    for box in boxes_of(path).values():
        assert box["id"] in joined or box["maxclass"] in alone or box["text"].startswith("pattr"), box


@each_patch
def test_what_is_sent_by_name_is_received(path):
    texts = [box.get("text", "") for box in boxes_of(path).values()]
    sent, received = ({text[2:] for text in texts if text.startswith(f"{side} ")} for side in "sr")
    assert sent == received


@each_patch
def test_every_message_for_a_script_is_one_that_it_knows(path):
    boxes = boxes_of(path)
    known = "\n".join(file.read_text("utf-8") for folder in FOLDERS for file in folder.glob("clipsonic*.js"))
    functions = set(re.findall(r"^(?:    async |function )(\w+)\(", known, re.MULTILINE)) | {"script", "port"}
    for box in boxes.values():
        to = {
            boxes[line["destination"][0]].get("text", "") for line in lines_of(path) if line["source"][0] == box["id"]
        }
        if any(re.match(r"js |node\.script |s \S+ask", text) for text in to):
            word = re.match(r"(?:prepend )?(\S+)", box.get("text", "") or "-")[1]
            if box["maxclass"] == "message" or box.get("text", "").startswith("prepend"):
                assert word in functions, box


def test_the_device_is_an_audio_effect_frozen_with_its_scripts():
    device = read_device(DEVICE.read_bytes())
    assert (device.kind, device.meta) == (AUDIO_EFFECT, 7)
    names = ["Clipsonic.amxd", "clipsonic-client.js", "clipsonic-insert.js"]
    assert [file.name for file in device.files] == names
    assert device.files[0].content.endswith(b"}\n\0")
    assert device.files[1].content == (CLIENTS / "max" / names[1]).read_bytes()
    assert device.files[2].content == (CLIENTS / "max-for-live" / names[2]).read_bytes()


def test_a_frozen_device_is_laid_out_as_max_does_it():
    """Little-endian chunks outside; inside, big-endian fields whose sizes count themselves, names padded with NULs."""
    content = write_device(Device(b"aaaa", 7, (Frozen("A.amxd", b"{}\n\0"), Frozen("four.js", b"x"))))
    assert content[:24] == b"ampf\x04\0\0\0aaaameta\x04\0\0\0\x07\0\0\0"
    assert content[24:28] == b"ptch" and struct.unpack("<I", content[28:32])[0] == len(content) - 32
    payload = content[32:]
    assert payload[:16] == b"mx@c" + struct.pack(">IQ", 16, 21)
    assert payload[16:21] == b"{}\n\0x"
    footer = payload[21:]
    assert footer[:8] == b"dlst" + struct.pack(">I", len(footer))
    first = (
        b"dire\0\0\0\x60type\0\0\0\x0cJSONfnam\0\0\0\x10A.amxd\0\0sz32\0\0\0\x0c\0\0\0\x04of32\0\0\0\x0c\0\0\0\x10"
        b"vers\0\0\0\x0c\0\0\0\0flag\0\0\0\x0c\0\0\0\x11mdat\0\0\0\x0c"
    )
    assert footer[8:].startswith(first)
    assert b"fnam\0\0\0\x10four.js\0sz32\0\0\0\x0c\0\0\0\x01of32\0\0\0\x0c\0\0\0\x14" in footer


def test_an_unfrozen_device_has_its_scripts_beside_it(tmp_path):
    for path, content in build_unfrozen(tmp_path).items():
        path.write_bytes(content)
    content = (tmp_path / "Clipsonic.amxd").read_bytes()
    assert content[:24] == b"ampf\x04\0\0\0aaaameta\x04\0\0\0\x01\0\0\0" and content[24:28] == b"ptch"
    assert json.loads(content[32:-1])["patcher"] == patcher_of(DEVICE)
    scripts = sorted(path.name for path in tmp_path.glob("*.js"))
    assert scripts == ["clipsonic-client.js", "clipsonic-insert.js"]


def test_what_is_no_frozen_device_is_refused():
    with pytest.raises(ValueError, match="device"):
        read_device(b"ampf\x04\0\0\0aaaa")


def test_the_device_fits_into_live():
    patcher = patcher_of(DEVICE)
    assert patcher["openinpresentation"] == 1
    assert patcher["devicewidth"] == WIDTH and patcher["openrect"] == [0, 0, WIDTH, HEIGHT]
    assert patcher["project"]["amxdtype"] == 1633771873
    for box in boxes_of(DEVICE).values():
        if "presentation_rect" in box:
            x, y, width, height = box["presentation_rect"]
            assert x >= 0 and y >= 0 and x + width <= WIDTH and y + height <= HEIGHT, box


def test_sound_goes_through_the_device():
    boxes = boxes_of(DEVICE)
    named = {
        name: next(box["id"] for box in boxes.values() if box.get("text") == name) for name in ("plugin~", "plugout~")
    }
    lines = [(*line["source"], *line["destination"]) for line in lines_of(DEVICE)]
    for side in (0, 1):
        (mix,) = [to for source, outlet, to, _ in lines if (source, outlet) == (named["plugin~"], side)]
        assert (mix, 0, named["plugout~"], side) in lines


def test_parameters_have_names_of_their_own_and_live_is_told_them():
    patcher = patcher_of(DEVICE)
    values = {
        box["id"]: box["saved_attribute_attributes"]["valueof"]
        for box in boxes_of(DEVICE).values()
        if "valueof" in box.get("saved_attribute_attributes", {})
    }
    names = [value["parameter_longname"] for value in values.values()]
    assert len(names) == len(set(names))
    for id_, value in values.items():
        assert patcher["parameters"][id_] == [value["parameter_longname"], value["parameter_shortname"], 0]
    for bank in patcher["parameters"]["parameterbanks"].values():
        assert len(bank["parameters"]) == 8 and set(bank["parameters"]) <= set(names)


def test_every_control_of_the_device_says_what_it_does():
    for box in boxes_of(DEVICE).values():
        if box["maxclass"] in {"live.text", "live.numbox", "umenu", "textedit"}:
            assert box["annotation"].endswith("."), box


def test_each_pad_is_named_by_its_number_and_fires_it():
    boxes, lines = boxes_of(DEVICE), lines_of(DEVICE)
    pads = {box["varname"]: box["id"] for box in boxes.values() if box.get("varname", "").startswith("Pad ")}
    assert len(pads) == N_PADS
    (names,) = [box["id"] for box in boxes.values() if box.get("text", "").startswith("route 1 2 3")]
    for number in range(1, N_PADS + 1):
        pad = pads[f"Pad {number}"]
        assert {"source": [names, number - 1], "destination": [pad, 0]} in lines
        (message,) = [line["destination"][0] for line in lines if line["source"][0] == pad]
        assert boxes[message]["text"] == f"fire {number}"


@pytest.mark.parametrize("path", [DEVICE, CLIENTS / "max" / "clipsonic.bpatcher.maxpat"], ids=lambda path: path.name)
def test_a_picture_that_is_dropped_comes_before_the_words_beside_it(path):
    """[t b s] gives its right outlet first: the path, then a bang for the field of the prompt."""
    boxes, lines = boxes_of(path), lines_of(path)

    def after(box, outlet=0):
        """What an outlet leads to, through one [s] and [r] if need be."""
        (to,) = [boxes[line["destination"][0]] for line in lines if line["source"] == [box["id"], outlet]]
        if not to.get("text", "").startswith("s "):
            return to
        (heard,) = [other for other in boxes.values() if other.get("text") == f"r {to['text'][2:]}"]
        return after(heard)

    (field,) = [box for box in boxes.values() if box["maxclass"] == "dropfile"]
    trigger = after(field)
    assert trigger["text"] == "t b s"
    named = after(trigger, 1)
    assert named["text"] == "prepend dropped" and after(named)["text"].startswith("js clipsonic-client.js")
    assert after(trigger)["maxclass"] == "textedit"


def test_a_line_to_nowhere_is_refused():
    patch = Patch("x", (0, 0, 100, 100))
    bang, printer = patch.object("loadbang", 0, 0), patch.object("print", 0, 40)
    with pytest.raises(ValueError, match="no outlet 1"):
        patch.join(bang, 1, printer)
    with pytest.raises(ValueError, match="no inlet 1"):
        patch.join(bang, 0, printer, 1)
    with pytest.raises(KeyError):
        patch.object("loadbnag", 0, 0)
