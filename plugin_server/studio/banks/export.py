"""The export of a bank as an instrument: named files, and an SFZ and a Decent Sampler file that map them to keys.

Formats: sfzformat.com (SFZ 1, with `off_mode` of the ARIA engine), and the Decent Sampler developers' guide, 1.11.
"""

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from plugin_server.audio.formats.partial_files import remove_stale_parts, stage_path
from plugin_server.audio.names import name_key
from plugin_server.audio.playback.link import BEATS
from plugin_server.errors import BadArgument, BadFile, FolderNotWritable
from plugin_server.studio.banks.bank import Bank, Slot
from plugin_server.studio.banks.launch import GATE, NOW, TOGGLE
from plugin_server.studio.jobs import ClipMade

RELEASE_S = 0.03
"""Fade of a loop when its key is released."""


def export_bank(bank: Bank, clips: Sequence[ClipMade], folder: Path) -> Path:
    """Write a bank, whose slots have these clips, into a folder that is new or empty; return its path.

    Raises what `check_target` raises, BadFile when a clip cannot be read, FolderNotWritable; then nothing is left
    behind.
    """
    folder = check_target(folder)
    names, stage = file_names(bank, clips), stage_path(folder)
    missing = [parent for parent in folder.parents if not parent.exists()]
    # What an export that was killed has left.
    remove_stale_parts(folder.parent)
    try:
        stage.mkdir(parents=True)
        for clip, name in zip(clips, names, strict=True):
            _copy(clip.path, stage / name)
        (stage / f"{bank.name}.sfz").write_text(sfz_text(bank, names), "utf-8")
        (stage / f"{bank.name}.dspreset").write_text(decent_sampler_text(bank, names, clips), "utf-8")
        if folder.exists():
            # Windows renames nothing to a folder that is there.
            folder.rmdir()
        stage.rename(folder)
    except OSError as error:
        raise FolderNotWritable(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in missing:
            # Those that hold the instrument stay.
            with suppress(OSError):
                parent.rmdir()
    return folder


def check_target(folder: Path) -> Path:
    """Return the absolute path of a folder that an instrument can be written into.

    Raises BadArgument when it is there and not empty, and FolderNotWritable when it cannot be made.
    """
    folder = folder.expanduser().absolute()
    # The folder that a link stands for is the one that is replaced.
    folder = folder.resolve() if folder.is_symlink() else folder
    above = next(parent for parent in folder.parents if parent.exists())
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadArgument(f"folder: got {folder}, which exists and is not empty; expected a new or an empty one")
    except OSError as error:
        raise FolderNotWritable(f"{folder} cannot be read: {error.strerror}") from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise FolderNotWritable(f"{folder} cannot be made: {above} cannot be written")
    return folder


def file_names(bank: Bank, clips: Sequence[ClipMade]) -> list[str]:
    """Return the names of the files, as '01 Sea waves.wav', in the order of the slots.

    Without the characters that have a meaning in SFZ files or on Windows.
    """
    width = len(str(len(bank.slots)))
    return [
        f"{number:0{max(2, width)}d} {_safe_name(slot.name)}{clip.path.suffix}"
        for number, (slot, clip) in enumerate(zip(bank.slots, clips, strict=True), 1)
    ]


def sfz_text(bank: Bank, names: Sequence[str]) -> str:
    """Return an SFZ file with one region for each slot that has a note.

    A one-shot plays to its end, a loop and a gate while their key is held. What the format has no word for, a toggle,
    stands in a comment.
    """
    groups = _group_numbers(bank)
    lines = [f"// {bank.name}: {_one_line(bank.description)}", "", "<global>", f"ampeg_release={RELEASE_S:g}", ""]
    for slot, name in zip(bank.slots, names, strict=True):
        if slot.note is not None:
            lines += ["<region>", f"sample={name}", f"key={slot.note}", f"loop_mode={_sfz_loop_mode(slot)}"]
            if slot.at != NOW:
                # Counted by the host's beats; samplers without a host play at once.
                lines.append(f"sync_beats={BEATS[slot.at]}")
            if slot.choke:
                group = groups[name_key(slot.choke)]
                lines += [f"group={group}", f"off_by={group}", "off_mode=fast"]
            if slot.launch_mode == TOGGLE:
                lines.append("// mode: toggle")
            lines.append("")
    return "\n".join(lines)


def _sfz_loop_mode(slot: Slot) -> str:
    if slot.request.loop:
        return "loop_continuous"
    return "no_loop" if slot.launch_mode == GATE else "one_shot"


def decent_sampler_text(bank: Bank, names: Sequence[str], clips: Sequence[ClipMade]) -> str:
    """Return a Decent Sampler file with one group for each slot that has a note.

    Groups, since choking is a property of groups. A one-shot's release is its length.
    """
    root = ElementTree.Element("DecentSampler", minVersion="1.0.0")
    groups = ElementTree.SubElement(root, "groups", ampVelTrack="1")
    for slot, name, clip in zip(bank.slots, names, clips, strict=True):
        if slot.note is None:
            continue
        group = ElementTree.SubElement(groups, "group", _group_values(slot, clip))
        note = str(slot.note)
        ElementTree.SubElement(group, "sample", path=name, rootNote=note, loNote=note, hiNote=note)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def _group_values(slot: Slot, clip: ClipMade) -> dict[str, str]:
    loop = slot.request.loop
    release = RELEASE_S if loop or slot.launch_mode == GATE else clip.seconds
    values = {"name": slot.name, "attack": "0", "release": f"{release:g}"}
    if loop:
        values["loopEnabled"] = "true"
    if slot.choke:
        tag = f"choke-{name_key(slot.choke)}"
        values |= {"tags": tag, "silencedByTags": tag, "silencingMode": "fast"}
    return values


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise BadFile(f"{source} is not there any more") from error


def _group_numbers(bank: Bank) -> dict[str, int]:
    names = dict.fromkeys(name_key(slot.choke) for slot in bank.slots if slot.choke)
    return {name: number for number, name in enumerate(names, 1)}


def _safe_name(name: str) -> str:
    spaced = re.sub(r'[<>:"/\\|?*=$#\x00-\x1f]', " ", name)
    return " ".join(spaced.split())[:80].rstrip(" .") or "clip"


def _one_line(text: str) -> str:
    return " ".join(text.split())
