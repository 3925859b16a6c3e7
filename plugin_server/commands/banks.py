"""What `clipsonic banks` does: prompt banks, with or without a daemon that runs."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from plugin_server.commands.terminal import ProgressBar, plain, table_lines
from plugin_server.errors import BadFile, ClipsonicError
from plugin_server.server import open_studio
from plugin_server.settings import Settings
from plugin_server.studio.banks.export import export_bank
from plugin_server.studio.banks.files import Bank, BankRegistry, Slot, read_bank
from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.image_fingerprints import require_images
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.planning import check, clip_seconds
from plugin_server.studio.requests import RenderBank, Request


def list_banks(settings: Settings) -> None:
    """A line a bank; one that cannot be used says why."""
    shelf = BankRegistry(settings.bank_folders)
    rows = [_row(name, path, settings) for name, path in shelf.paths().items()]
    for line in table_lines(rows) if rows else ["there are no banks"]:
        print(line)
    print(f"your own go into {settings.bank_folders[0]}")


def show_bank(settings: Settings, name: str) -> None:
    """The slots of a bank, and which of them have their clip. Raises UnknownBank, BadFile and what the model does."""
    bank = BankRegistry(settings.bank_folders).find(name)
    with open_studio(settings) as (studio, _):
        rows = [_slot_row(number, slot, studio) for number, slot in enumerate(bank.slots)]
    lines = table_lines([("", "name", "s", "note", "clip", "prompt"), *rows])
    print(f"{bank.name}: {plain(bank.description)}")
    print(f"    {lines[0]}")
    for slot, line in zip(bank.slots, lines[1:], strict=True):
        print(f"{_swatch(slot.colour)}{line}")


def check_banks(settings: Settings, names: Sequence[str]) -> None:
    """Read banks, all of them or those of these names or files, and see that the model can make them.

    Raises BadFile at the end when one of them cannot be used, and UnknownBank.
    """
    shelf = BankRegistry(settings.bank_folders)
    paths = shelf.paths()
    bad = 0
    with open_studio(settings) as (studio, _):
        for name in names or paths:
            path = _path_of(name, shelf)
            problems = list(_problems(path, studio))
            bad += bool(problems)
            print("\n".join(problems) or f"{path.stem}: all is well")
    if bad:
        raise BadFile(f"{bad} of {len(names or paths)} banks cannot be used")


def render_bank(settings: Settings, name: str) -> tuple[Bank, list[ClipMade]]:
    """Make the clips that a bank lacks, and print where all of them are."""
    bank = BankRegistry(settings.bank_folders).find(name)
    with open_studio(settings) as (studio, _), ProgressBar() as bar:
        rest: Request | None = RenderBank(bank.name, tuple(slot.request for slot in bank.slots))
        made: list[ClipMade] = []
        while rest:
            rest = studio.run(rest, bar.show, made.append)
        found = [studio.find_existing(slot.request) for slot in bank.slots]
    clips: list[ClipMade] = []
    for slot, clip in zip(bank.slots, found, strict=True):
        if clip is None:
            raise BadFile(f"{slot.name}: its clip was taken away while the others were made")
        clips.append(clip)
        print(f"{clip.path}  ({slot.name})")
    print(f"{bank.name}: {len(clips)} clips, {len(made)} of them new")
    return bank, clips


def export(settings: Settings, name: str, folder: Path | None) -> None:
    """Render a bank and write it as an instrument, by default into a folder of its name here."""
    bank, clips = render_bank(settings, name)
    place = export_bank(bank, clips, folder or Path(bank.name))
    print(f"{place}: {len(clips)} files, {bank.name}.sfz and {bank.name}.dspreset")


def _path_of(name: str, shelf: BankRegistry) -> Path:
    """File of the bank of a name, or the file that the name is. Raises UnknownBank."""
    paths = shelf.paths()
    if name in paths:
        return paths[name]
    if Path(name).suffix == ".toml":
        return Path(name)
    # Raises, unless somebody has put the bank there since.
    shelf.find(name)
    return shelf.paths()[name]


def _row(name: str, path: Path, settings: Settings) -> tuple[str, ...]:
    own = "own" if path.parent == settings.bank_folders[0] else ""
    try:
        bank = read_bank(path)
    except ClipsonicError as error:
        return (name, "", own, f"cannot be used: {plain(str(error))}")
    return (name, f"{len(bank.slots)} slots", own, plain(bank.description))


def _slot_row(number: int, slot: Slot, studio: ClipGenerator) -> tuple[str, ...]:
    card = studio.card(slot.request.model)
    check(slot.request, card)
    note = "" if slot.note is None else str(slot.note)
    made = "made" if studio.find_existing(slot.request) else ""
    return (
        str(number),
        plain(slot.name),
        f"{clip_seconds(slot.request, card):g}",
        note,
        made,
        plain(slot.request.display_prompt),
    )


def _problems(path: Path, studio: ClipGenerator) -> Iterable[str]:
    try:
        bank = read_bank(path)
    except ClipsonicError as error:
        yield str(error)
        return
    for number, slot in enumerate(bank.slots):
        try:
            studio.check(slot.request)
            require_images(slot.request.images)
        except ClipsonicError as error:
            yield f"{path}: slot {number}: {error}"


def _swatch(colour: str) -> str:
    """A slot's colour where the terminal shows colours."""
    if not sys.stdout.isatty():
        return "    "
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"\x1b[38;2;{red};{green};{blue}m███\x1b[0m "
