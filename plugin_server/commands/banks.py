"""`clipsonic banks`: prompt banks, with or without a daemon that runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_server.commands.flags import Commands, add_settings, settings_of_daemon
from plugin_server.commands.terminal import ProgressBar, plain, table_lines
from plugin_server.errors import BadFile, ClipsonicError
from plugin_server.studio.paths import named_path

if TYPE_CHECKING:
    from plugin_server.settings import Settings
    from plugin_server.studio.banks.bank import Bank, Slot
    from plugin_server.studio.banks.changes import BankChanges
    from plugin_server.studio.banks.files import BankRegistry
    from plugin_server.studio.generator import ClipGenerator
    from plugin_server.studio.jobs import ClipMade
    from plugin_server.studio.requests import Request

CHANGES = {
    "delete": ("put a bank of your own into the system's trash", ("name",)),
    "rename": ("give a bank of your own another name", ("name", "new")),
    "restore": ("bring a shipped bank back in place of your own copy", ("name",)),
    "clear": ("empty a slot of one; the others stay where they are", ("name", "slot")),
    "undo": ("one step back", ()),
    "redo": ("what was undone last, again", ()),
}
"""Help and arguments of the actions that change banks."""
ARGUMENTS = {
    "name": "as clipsonic banks lists it",
    "new": "its new name, as My Kit",
    "slot": "its number, from 0, or its name",
}


def add_parser(commands: Commands) -> None:
    """Add the command `banks` and its actions to the parser of `clipsonic`."""
    parser = commands.add_parser("banks", help="list, show, check, render, export or change prompt banks")
    parser.set_defaults(run=run, action="list")
    actions = parser.add_subparsers(title="instead of listing them", metavar="ACTION")
    show = actions.add_parser("show", help="the slots of one, and which have their clip")
    check = actions.add_parser("check", help="read all, or some, and say what is wrong with them")
    check.add_argument("names", nargs="*", metavar="NAME_OR_FILE", help="banks, or .toml files of your own")
    render = actions.add_parser("render", help="make the clips that one lacks")
    export = actions.add_parser("export", help="make an instrument of one: named files, SFZ and Decent Sampler")
    for name, action in {"show": show, "check": check, "render": render, "export": export}.items():
        if action is not check:
            action.add_argument("name", metavar="NAME", help=ARGUMENTS["name"])
        add_settings(action)
        action.set_defaults(action=name)
    for name, (text, arguments) in CHANGES.items():
        action = actions.add_parser(name, help=text)
        for argument in arguments:
            action.add_argument(argument, metavar=argument.upper(), help=ARGUMENTS[argument])
        action.set_defaults(action=name)
    export.add_argument(
        "--to", type=named_path, metavar="DIR", help="a new or an empty folder (default: the bank's name, here)"
    )


def run(options: argparse.Namespace) -> None:
    """Do one action and print its result. Raises BadFile, UnknownBank, and what making clips raises."""
    settings = settings_of_daemon(options)
    match options.action:
        case "list":
            list_banks(settings)
        case "show":
            show_bank(settings, options.name)
        case "check":
            check_banks(settings, options.names)
        case "render":
            render_bank(settings, options.name)
        case "export":
            export_instrument(settings, options.name, options.to)
        case _:
            print(change_banks(settings, options))


def list_banks(settings: Settings) -> None:
    """Print a line a bank; one that cannot be used says why."""
    registry = _open_registry(settings)
    edited = _open_changes(settings, registry).edited_names()
    rows = [_row(name, path, settings, is_edited=name in edited) for name, path in registry.paths().items()]
    for line in table_lines(rows) if rows else ["there are no banks"]:
        print(line)
    print(f"your own go into {settings.bank_folders[0]}")


def show_bank(settings: Settings, name: str) -> None:
    """Print the slots of a bank, and which have their clip. Raises UnknownBank, BadFile and what the model raises."""
    from plugin_server.server import open_generator

    bank = _open_registry(settings).find(name)
    with open_generator(settings) as (generator, _):
        rows = [_slot_row(number, slot, generator) for number, slot in enumerate(bank.slots)]
    lines = table_lines([("", "name", "s", "note", "clip", "prompt"), *rows])
    print(f"{bank.name}: {plain(bank.description)}")
    print(f"    {lines[0]}")
    for slot, line in zip(bank.slots, lines[1:], strict=True):
        print(f"{_swatch(slot.colour)}{line}")


def check_banks(settings: Settings, names: Sequence[str]) -> None:
    """Read banks, all of them or those of these names or files, and see that the model can make them.

    Raises BadFile at the end when one of them cannot be used, and UnknownBank.
    """
    from plugin_server.server import open_generator

    registry = _open_registry(settings)
    paths = registry.paths()
    bad = 0
    with open_generator(settings) as (generator, _):
        for name in names or paths:
            path = _path_of(name, registry)
            problems = list(_problems(path, generator))
            bad += bool(problems)
            print("\n".join(problems) or f"{path.stem}: all is well")
    if bad:
        raise BadFile(f"{bad} of {len(names or paths)} banks cannot be used")


def render_bank(settings: Settings, name: str) -> tuple[Bank, list[ClipMade]]:
    """Make the clips that a bank lacks, and print where all of them are; return it without its empty slots."""
    from plugin_server.server import open_generator
    from plugin_server.studio.requests import RenderBank

    whole = _open_registry(settings).find(name)
    bank = replace(whole, slots=tuple(slot for slot in whole.slots if not slot.is_empty))
    if not bank.slots:
        raise BadFile(f"{bank.name}: every slot is empty")
    with open_generator(settings) as (generator, _), ProgressBar() as bar:
        for problem in _slot_problems(whole, generator):
            raise BadFile(f"{bank.name}: {problem}")
        rest: Request | None = RenderBank(bank.name, tuple(slot.request for slot in bank.slots))
        made: list[ClipMade] = []
        while rest:
            rest = generator.run(rest, bar.show, made.append)
        found = [generator.find_existing(slot.request) for slot in bank.slots]
    clips: list[ClipMade] = []
    for slot, clip in zip(bank.slots, found, strict=True):
        if clip is None:
            raise BadFile(f"{slot.name}: its clip was taken away while the others were made")
        clips.append(clip)
        print(f"{clip.path}  ({slot.name})")
    print(f"{bank.name}: {len(clips)} clips, {len(made)} of them new")
    return bank, clips


def export_instrument(settings: Settings, name: str, folder: Path | None) -> None:
    """Render a bank and write it as an instrument, by default into a folder of its name here."""
    from plugin_server.studio.banks.export import check_target, export_bank

    # Before clips are made, which takes a while.
    target = check_target(folder or Path(_open_registry(settings).find(name).name))
    bank, clips = render_bank(settings, name)
    written = export_bank(bank, clips, target)
    print(f"{written}: {len(clips)} files, {bank.name}.sfz and {bank.name}.dspreset")


def change_banks(settings: Settings, options: argparse.Namespace) -> str:
    """Do one of `CHANGES`, and return what was done. Raises what `BankChanges` raises."""
    from plugin_server.studio.banks.names import file_name

    registry = _open_registry(settings)
    changes = _open_changes(settings, registry)
    match options.action:
        case "delete":
            name = changes.delete(options.name).bank
            again = "; the shipped one is there again" if name in registry.shipped_names() else ""
            return f"in the trash: {name}{again} (clipsonic banks undo brings it back)"
        case "rename":
            new = file_name(options.new)
            return f"{changes.rename(options.name, new).bank} is {new} now"
        case "restore":
            return f"as it was shipped: {changes.restore(options.name).bank} (clipsonic banks undo brings yours back)"
        case "clear":
            return _clear_slot(changes, options.name, options.slot)
        case "undo":
            step = changes.undo()
            return f"undone: {step.kind} {step.bank}"
        case _:
            step = changes.redo()
            return f"done again: {step.kind} {step.bank}"


def _clear_slot(changes: BankChanges, name: str, slot: str) -> str:
    """Empty a slot in the person's own copy of a bank."""
    bank = changes.find(name)
    number = bank.number_of(int(slot) if slot.isdecimal() else slot)
    path = changes.save(bank.without(number), bank.name, "clear")
    return f"{bank.name}: slot {number} is empty; {path} (clipsonic banks undo brings it back)"


def _open_changes(settings: Settings, registry: BankRegistry) -> BankChanges:
    from plugin_server.studio.banks.changes import BankChanges
    from plugin_server.studio.library.undo_files import move_to_trash

    return BankChanges(registry, settings.data_folder, move_to_trash)


def _open_registry(settings: Settings) -> BankRegistry:
    from plugin_server.studio.banks.files import BankRegistry

    return BankRegistry(settings.bank_folders)


def _path_of(name: str, registry: BankRegistry) -> Path:
    """Return the file of the bank of a name, or the file that the name is. Raises UnknownBank."""
    paths = registry.paths()
    if name in paths:
        return paths[name]
    if Path(name).suffix == ".toml":
        return Path(name)
    return registry.paths()[registry.find(name).name]


def _row(name: str, path: Path, settings: Settings, *, is_edited: bool) -> tuple[str, ...]:
    from plugin_server.studio.banks.files import read_bank

    marks = ["own"] * (path.parent == settings.bank_folders[0]) + ["edited"] * is_edited
    own = ", ".join(marks)
    try:
        bank = read_bank(path)
    except ClipsonicError as error:
        return (name, "", own, f"cannot be used: {plain(str(error))}")
    return (name, f"{len(bank.slots)} slots", own, plain(bank.description))


def _slot_row(number: int, slot: Slot, generator: ClipGenerator) -> tuple[str, ...]:
    from plugin_server.studio.planning import check, clip_seconds

    if slot.is_empty:
        return (str(number), "", "", "", "", "")
    card = generator.card(slot.request.model)
    check(slot.request, card)
    note = "" if slot.note is None else str(slot.note)
    made = "made" if generator.find_existing(slot.request) else ""
    return (
        str(number),
        plain(slot.name),
        f"{clip_seconds(slot.request, card):g}",
        note,
        made,
        plain(slot.request.display_prompt),
    )


def _problems(path: Path, generator: ClipGenerator) -> Iterable[str]:
    from plugin_server.studio.banks.check import find_problems
    from plugin_server.studio.banks.files import read_bank

    problems = find_problems(path)
    yield from problems
    if problems:
        return
    yield from (f"{path}: {problem}" for problem in _slot_problems(read_bank(path), generator))


def _slot_problems(bank: Bank, generator: ClipGenerator) -> Iterable[str]:
    """Yield a sentence for each slot that the model cannot make, or whose picture is missing."""
    from plugin_server.studio.image_fingerprints import require_images

    for number, slot in enumerate(bank.slots):
        if slot.is_empty:
            continue
        try:
            generator.check(slot.request)
            require_images(slot.request.images)
        except ClipsonicError as error:
            yield f"slot {number}: {error}"


def _swatch(colour: str) -> str:
    """Return a block of a slot's colour, or spaces where the terminal shows no colours."""
    if not sys.stdout.isatty():
        return "    "
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"\x1b[38;2;{red};{green};{blue}m███\x1b[0m "
