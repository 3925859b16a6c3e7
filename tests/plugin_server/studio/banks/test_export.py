"""Banks as instruments, read back by small readers of the two formats."""

import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.formats.partial_files import stage_path
from plugin_server.errors import BadArgument, BadFile, FolderNotWritable
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.export import check_target, export_bank
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate

SLOTS = (
    Slot("Rain / roof: =loud", Generate("rain"), note=36),
    Slot("Open hat", Generate("hat"), note=42, choke="hat"),
    Slot("Closed hat", Generate("hat", seed=1), note=44, choke="Hat"),
    Slot("Hum", Generate("hum", loop=True), note=60),
    Slot("No key", Generate("wind"), note=None),
)
BANK = Bank("mine", "Five\nsounds", SLOTS)


@pytest.fixture
def clips(tmp_path) -> list[ClipMade]:
    made = []
    for number in range(len(SLOTS)):
        path = tmp_path / f"clip{number}.wav"
        write_clip(path, Clip(np.full((4800, 1), 0.1 * number, np.float32), 48000))
        made.append(ClipMade(f"c{number}", path, 0.1, 1, number))
    return made


def read_sfz(path: Path) -> list[dict[str, str]]:
    """Regions with their opcodes; a value ends where the next opcode begins, so that it may hold spaces."""
    text = re.sub(r"//.*", "", path.read_text("utf-8"))
    regions = [part for part in re.split(r"<(?=\w+>)", text) if part.startswith("region>")]
    return [dict(re.findall(r"(\w+)=(.*?)\s*(?=\s\w+=|$)", part, re.DOTALL)) for part in regions]


def test_an_sfz_file_has_every_slot_under_its_key(clips, tmp_path):
    folder = export_bank(BANK, clips, tmp_path / "out")
    regions = read_sfz(folder / "mine.sfz")
    assert [region["key"] for region in regions] == ["36", "42", "44", "60"]
    assert all((folder / region["sample"]).is_file() for region in regions)
    assert [region["loop_mode"] for region in regions] == [*["one_shot"] * 3, "loop_continuous"]
    assert regions[1]["group"] == regions[1]["off_by"] == regions[2]["group"] == "1"
    assert "group" not in regions[0] and "off_by" not in regions[3]


def test_a_decent_sampler_file_has_every_slot_under_its_key(clips, tmp_path):
    folder = export_bank(BANK, clips, tmp_path / "out")
    root = ElementTree.parse(folder / "mine.dspreset").getroot()
    groups = root.findall("groups/group")
    samples = [group.find("sample") for group in groups]
    assert [sample.get("rootNote") for sample in samples] == ["36", "42", "44", "60"]
    assert all(sample.get("rootNote") == sample.get("loNote") == sample.get("hiNote") for sample in samples)
    assert all((folder / sample.get("path")).is_file() for sample in samples)
    assert [group.get("loopEnabled") for group in groups] == [None, None, None, "true"]
    assert groups[1].get("tags") == groups[2].get("silencedByTags") == "choke-hat"


def test_files_are_copied_under_readable_names(clips, tmp_path):
    folder = export_bank(BANK, clips, tmp_path / "out")
    names = sorted(path.name for path in folder.glob("*.wav"))
    assert names == ["01 Rain roof loud.wav", "02 Open hat.wav", "03 Closed hat.wav", "04 Hum.wav", "05 No key.wav"]
    assert (folder / names[3]).read_bytes() == clips[3].path.read_bytes()


@pytest.mark.parametrize("is_link", [False, True], ids=["folder", "link"])
def test_an_empty_folder_is_filled(clips, tmp_path, is_link):
    folder = tmp_path / "out"
    folder.mkdir()
    if is_link:
        folder = tmp_path / "link"
        folder.symlink_to(tmp_path / "out")
    assert export_bank(BANK, clips, folder) == tmp_path / "out"
    assert len(list((tmp_path / "out").iterdir())) == 7


def test_a_folder_with_files_is_left_alone(clips, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "song.txt").write_text("la")
    before = set(tmp_path.iterdir())
    with pytest.raises(BadArgument, match=r"out, which exists and is not empty; expected a new or an empty one"):
        export_bank(BANK, clips, tmp_path / "out")
    assert (tmp_path / "out" / "song.txt").read_text() == "la" and set(tmp_path.iterdir()) == before


def test_a_target_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadArgument, match="which exists"):
        check_target(tmp_path / "file")
    with pytest.raises(FolderNotWritable, match="cannot be made"):
        check_target(tmp_path / "file" / "below" / "it")
    assert check_target(tmp_path / "new" / "below") == tmp_path / "new" / "below"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("target", ["out", "new/below/out"])
def test_nothing_is_left_when_a_clip_is_gone(clips, tmp_path, target):
    clips[4].path.unlink()
    before = set(tmp_path.iterdir())
    with pytest.raises(BadFile, match="is not there any more"):
        export_bank(BANK, clips, tmp_path / target)
    assert set(tmp_path.iterdir()) == before


def test_what_a_killed_export_has_left_goes_with_the_next(clips, tmp_path):
    (left := stage_path(tmp_path / "out")).mkdir()
    (left / "01 Rain.wav").write_text("x")
    os.utime(left, (0, 0))
    # Another export, which goes on.
    (other := stage_path(tmp_path / "out")).mkdir()
    export_bank(BANK, clips, tmp_path / "out")
    assert not left.exists() and other.exists()


def test_a_folder_may_have_the_longest_name(clips, tmp_path):
    assert export_bank(BANK, clips, tmp_path / ("o" * 250)).is_dir()


def test_modes_and_beats_are_in_an_instrument_as_far_as_its_format_has_them(clips, tmp_path):
    modes = ("gate", "toggle", "one-shot", "gate", "toggle")
    slots = [replace(slot, mode=mode, note=40 + i) for i, (slot, mode) in enumerate(zip(SLOTS, modes, strict=True))]
    slots[0], slots[3] = replace(slots[0], at="beat"), replace(slots[3], at="bar")
    folder = export_bank(Bank("mine", "", tuple(slots)), clips, tmp_path / "out")
    regions = read_sfz(folder / "mine.sfz")
    assert [region["loop_mode"] for region in regions] == ["no_loop", *["one_shot"] * 2, "loop_continuous", "one_shot"]
    assert [region.get("sync_beats") for region in regions] == ["1", None, None, "4", None]
    assert (folder / "mine.sfz").read_text("utf-8").count("// mode: toggle") == 2
    groups = ElementTree.parse(folder / "mine.dspreset").getroot().findall("groups/group")
    assert [group.get("release") for group in groups] == ["0.03", "0.1", "0.1", "0.03", "0.1"]
