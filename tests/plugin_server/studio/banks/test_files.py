import os
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadFile, FolderNotWritable, UnknownBank
from plugin_server.settings import SHIPPED_BUNDLES, Settings
from plugin_server.studio.banks.changes import BankChanges
from plugin_server.studio.banks.files import BankRegistry, bank_text, read_bank
from plugin_server.studio.requests import Generate
from presets.build.drawings.__main__ import PICTURES
from tests.support.odd_files import ODD_KINDS, make_odd, posix

BANK = """
name = "mine"
description = "Two sounds"

[defaults]
seconds = 2
colour = "#102030"
tags = ["own"]
seed = 40

[[slots]]
prompt = "rain on a roof"

[[slots]]
name = "Bell"
prompt = "church bell"
seconds = 4
seed = 7
steps = 12
colour = "#aabbcc"
note = 60
choke = "bells"
tags = ["bell", "metal"]
"""
SHIPPED = BankRegistry(Settings().bank_folders[1:])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BANK)
    return path


def test_a_bank_is_read_with_its_defaults(path):
    bank = read_bank(path)
    assert (bank.name, bank.description, len(bank.slots)) == ("mine", "Two sounds", 2)
    rain, bell = bank.slots
    assert rain.request == Generate("rain on a roof", seconds=2, seed=40, name="rain on a roof")
    assert (rain.name, rain.colour, rain.tags, rain.note, rain.choke) == ("rain on a roof", "#102030", ("own",), 36, "")
    assert bell.request == Generate("church bell", seconds=4, seed=7, steps=12, name="Bell")
    assert (bell.colour, bell.tags, bell.note, bell.choke) == ("#aabbcc", ("bell", "metal"), 60, "bells")


def test_how_pads_start_and_stop_slots_is_read_from_defaults_and_slots_and_written(tmp_path):
    path = tmp_path / "pads.toml"
    path.write_text(
        """
        [defaults]
        mode = "Gate"
        at = "BAR"
        [[slots]]
        prompt = "rain"
        [[slots]]
        prompt = "hum"
        loop = true
        mode = "toggle"
        at = "now"
        """
    )
    bank = read_bank(path)
    assert [(slot.mode, slot.at) for slot in bank.slots] == [("gate", "bar"), ("toggle", "now")]
    path.write_text(bank_text(bank, tmp_path))
    assert read_bank(path) == bank


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('mode = "hold"', "slot 0: mode: got 'hold', expected one of gate, toggle, one-shot"),
        ('mode = ""', "slot 0: mode: got ''"),
        ("mode = true", "slot 0: mode: got True"),
        ('at = "noon"', "slot 0: at: got 'noon', expected one of now, beat, bar"),
        ("at = 4", "slot 0: at: got 4"),
    ],
)
def test_an_unknown_mode_or_time_is_refused(tmp_path, line, problem):
    for text in (f'[[slots]]\nprompt = "x"\n{line}', f'[defaults]\n{line}\n[[slots]]\nprompt = "x"'):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(BadFile, match=problem):
            read_bank(tmp_path / "bad.toml")


def test_loops_of_the_shipped_banks_are_stopped_by_their_pads():
    banks = [SHIPPED.find(name) for name in SHIPPED.paths()]
    assert all(slot.launch_mode == "toggle" for bank in banks for slot in bank.slots if slot.request.loop)
    assert {slot.at for slot in SHIPPED.find("loops").slots} == {"bar"}


def test_bars_of_a_slot_are_a_loop_unless_that_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[slots]]\nprompt="a"\nbars=1\nbpm=120\n[[slots]]\nprompt="b"\nbars=1\nbpm=120\nloop=false\n')
    bank = read_bank(path)
    assert [slot.request.loop for slot in bank.slots] == [True, False]
    path.write_text(bank_text(bank, tmp_path), "utf-8")
    assert read_bank(path) == bank
    changed = bank.with_request(0, Generate("c")).with_request(1, Generate("d"))
    assert [(slot.request.bars, slot.request.loop) for slot in changed.slots] == [(1, True), (1, False)]


def test_words_of_a_bank_are_in_their_normal_form(tmp_path):
    banks = []
    for number, word in enumerate(("café", "cafe\u0301", "“café”", "caf\u00adé")):
        path = tmp_path / str(number) / "mine.toml"
        path.parent.mkdir()
        path.write_text(
            f'description = "{word}"\n[[slots]]\nprompt = "{word}"\ntags = ["{word}"]\nchoke = "{word}"', "utf-8"
        )
        banks.append(read_bank(path))
    assert banks[1:] == banks[:1] * 3
    assert banks[0].slots[0].name == banks[0].slots[0].choke == "café"


def test_a_bank_that_is_written_reads_the_same(path, tmp_path):
    bank = read_bank(path)
    again = tmp_path / "again" / "mine.toml"
    again.parent.mkdir()
    again.write_text(bank_text(bank, again.parent))
    assert read_bank(again) == bank


def with_pictures(path):
    """The bank with two slots more, whose pictures lie beside it."""
    (path.parent / "a b.png").write_bytes(b"1")
    (path.parent / "c.png").write_bytes(b"2")
    slots = '[[slots]]\nimage = "a b.png"\n[[slots]]\nprompt = "rain"\nimage = ["a b.png", "c.png"]\nblend = 0.25\n'
    path.write_text(f"{BANK}{slots}")
    return path


def test_a_slot_may_be_a_picture(path, tmp_path):
    bank = read_bank(with_pictures(path))
    alone, both = bank.slots[2:]
    assert alone.request == Generate(images=(str(tmp_path / "a b.png"),), seconds=2, seed=42, name="a b")
    assert both.request.images == (str(tmp_path / "a b.png"), str(tmp_path / "c.png"))
    assert (both.name, both.request.blend, both.request.display_prompt) == ("rain", 0.25, "rain")
    # Saved elsewhere it still finds them.
    again = tmp_path / "again" / "mine.toml"
    again.parent.mkdir()
    again.write_text(bank_text(bank, again.parent))
    assert read_bank(again) == bank


def test_default_blends_and_conditionings_are_for_the_slots_that_can_have_them(path):
    (path.parent / "c.png").write_bytes(b"2")
    slots = '[[slots]]\nprompt = "rain"\n[[slots]]\nimage = "c.png"\n[[slots]]\nprompt = "rain"\nimage = "c.png"\n'
    path.write_text(f'[defaults]\nblend = 0.25\nvia = "pd"\nframes = 4\n{slots}')
    asked = [(slot.request.blend, slot.request.conditioning, slot.request.frames) for slot in read_bank(path).slots]
    assert asked == [(None, "pd", 4), (None, "", 4), (0.25, "pd", 4)]


def test_pictures_beside_a_bank_go_where_it_goes(path, tmp_path):
    bank = replace(read_bank(with_pictures(path)), description="Mine")
    BankChanges(BankRegistry((tmp_path,))).save(bank, bank.name)
    assert 'image = [\n    "a b.png",\n]' in path.read_text()
    assert read_bank(path) == bank
    (path.parent / "moved").mkdir()
    moved = path.rename(path.parent / "moved" / path.name)
    assert read_bank(moved).slots[2].request.images == (str(tmp_path / "moved" / "a b.png"),)


def test_pictures_may_lie_in_a_home(path):
    path.write_text(BANK + '[[slots]]\nimage = "~/cat.png"\n[[slots]]\nimage = "~no-one-here/cat.png"\n')
    images = [slot.request.images[0] for slot in read_bank(path).slots[2:]]
    assert images == [str(Path.home() / "cat.png"), str(path.parent / "~no-one-here" / "cat.png")]


def test_a_picture_that_is_not_there_does_not_cost_the_other_slots(path):
    with_pictures(path)
    (path.parent / "c.png").unlink()
    assert len(read_bank(path).slots) == 4
    path.write_text(BANK + "[[slots]]\nimage = 3\n")
    with pytest.raises(BadFile, match="slot 2: image: got 3, expected a file's name"):
        read_bank(path)
    path.write_text(BANK + '[[slots]]\nimage = "a\\u0000b.png"\n')
    with pytest.raises(BadFile, match="expected text without NUL"):
        read_bank(path)


def test_a_slot_gets_a_picture_and_its_name(path):
    bank = read_bank(path).with_request(0, Generate(images=("/x/cat.png",)))
    assert (bank.slots[0].name, bank.slots[0].request.seconds, bank.slots[0].request.seed) == ("cat", 2, 40)


@pytest.mark.parametrize("name", SHIPPED.paths())
def test_shipped_banks_are_sixteen_sounds_that_the_shipped_model_can_make(name):
    bank = SHIPPED.find(name)
    lengths = BundleRegistry((SHIPPED_BUNDLES,)).find("clipsonic-mini").card.lengths
    assert len(bank.slots) == 16
    assert bank.description
    for slot in bank.slots:
        assert lengths.minimum <= slot.request.length_s <= lengths.maximum
        assert slot.request.seed is not None
    assert len({slot.request for slot in bank.slots}) == 16
    assert len({slot.note for slot in bank.slots}) == 16


def test_a_bank_of_pictures_ships_and_its_pictures_are_those_that_are_drawn():
    slots = SHIPPED.find("pictures").slots
    drawn = {slot.request.images[0] for slot in slots}
    assert {Path(image).stem for image in drawn} == set(PICTURES)
    for image in drawn:
        with Image.open(image) as shipped:
            assert shipped.size == (256, 256)
            again = PICTURES[Path(image).stem]().finish()
            assert np.abs(np.asarray(shipped.convert("RGB"), int) - np.asarray(again, int)).mean() < 8


def test_there_are_banks_enough():
    assert len(SHIPPED.paths()) >= 16
    assert {"weather", "sea", "machines", "alarms", "animals", "rooms", "impacts", "sweeps", "found-drums", "textures",
            "loops"} <= SHIPPED.paths().keys()  # fmt: skip


def test_banks_go_into_the_installed_package():
    root = Path(__file__).parents[4]
    build = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    assert included["presets/banks"] == "plugin_server/presets/banks"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('prompt = "church bell"', "prompt = 5"), "slot 1: prompt: got 5, expected text"),
        (('prompt = "church bell"', ""), "slot 1: prompt: got nothing, expected words"),
        (("seconds = 4", 'seconds = "long"'), "slot 1: seconds: got 'long', expected a number"),
        (("steps = 12", "steps = 1000"), "slot 1: steps: got 1000, expected 1 to 100"),
        (("steps = 12", "stepps = 12"), "slot 1: key: got 'stepps', expected one of name, prompt"),
        (('colour = "#aabbcc"', 'colour = "red"'), "slot 1: colour: got 'red', expected #rrggbb"),
        (("note = 60", "note = 128"), "slot 1: note: got 128, expected 0 to 127"),
        (("note = 60", "note = true"), "slot 1: note: got True, expected 0 to 127"),
        (('tags = ["bell", "metal"]', "tags = 4"), "slot 1: tags: got 4, expected a list of words"),
        (('colour = "#102030"', "color = 1"), "defaults: key: got 'color', expected one of"),
        (("seconds = 2", "seconds = -1"), "slot 0: seconds: got -1, expected"),
        (('name = "mine"', 'name = "yours"'), "name: got 'yours', expected 'mine', as the file is called"),
        (('description = "Two sounds"', 'describtion = "x"'), "key: got 'describtion', expected one of"),
        (("[[slots]]", "[[slot]]"), "key: got 'slot', expected one of"),
        (("[defaults]", "[defaults"), "cannot be read"),
    ],
)
def test_an_error_names_file_slot_and_key(path, change, sentence):
    path.write_text(BANK.replace(*change))
    with pytest.raises(BadFile) as error:
        read_bank(path)
    assert str(path) in str(error.value)
    assert sentence in str(error.value)


def test_a_bank_has_slots_but_not_too_many(path):
    path.write_text('name = "mine"')
    with pytest.raises(BadFile, match="slots: got 0, expected 1 to 128"):
        read_bank(path)
    path.write_text('[[slots]]\nprompt = "x"\n' * 129)
    with pytest.raises(BadFile, match="slots: got 129, expected 1 to 128"):
        read_bank(path)
    path.write_text('[[slots]]\nprompt = "x"\n' * 128)
    slots = read_bank(path).slots
    assert [slot.note for slot in slots[90:93]] == [126, 127, None]
    assert len({slot.request.seed for slot in slots}) == 128


def test_a_slot_in_bars_takes_the_place_of_default_seconds(path):
    path.write_text('[defaults]\nseconds = 4\nbpm = 120\n[[slots]]\nprompt = "kit"\nbars = 2\n[[slots]]\nprompt = "x"')
    loop, shot = read_bank(path).slots
    assert (loop.request.bars, loop.request.seconds, loop.request.length_s) == (2, None, 4)
    assert (shot.request.bars, shot.request.seconds) == (None, 4)
    assert read_bank(path).with_request(0, Generate("other")).slots[0].request.bars == 2
    path.write_text(bank_text(read_bank(path), path.parent))
    assert read_bank(path).slots == (loop, shot)


def test_own_banks_win_over_shipped_ones_of_the_same_name(path, tmp_path):
    own = tmp_path / "own"
    shelf = BankRegistry((own, path.parent))
    assert shelf.find("mine").description == "Two sounds"
    saved = BankChanges(shelf).save(replace(shelf.find("mine"), description="Mine now"), "mine")
    assert saved == own / "mine.toml"
    assert shelf.find("mine").description == "Mine now"
    assert shelf.paths() == {"mine": saved}
    assert [found.name for found in own.iterdir()] == ["mine.toml"]


def test_an_unknown_bank_is_refused_with_the_names_of_the_banks(path):
    with pytest.raises(UnknownBank, match="bank: got 'yours', expected one of mine"):
        BankRegistry((path.parent,)).find("yours")


def test_a_folder_that_cannot_be_written_is_refused(path, tmp_path):
    (tmp_path / "file").write_text("")
    shelf = BankRegistry((tmp_path / "file", path.parent))
    with pytest.raises(FolderNotWritable, match=r"mine\.toml cannot be written"):
        BankChanges(shelf).save(shelf.find("mine"), "mine")


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_a_bank_that_is_no_file_is_refused(path, kind):
    make_odd(path.with_name("odd.toml"), kind)
    registry = BankRegistry([path.parent])
    with pytest.raises((BadFile, UnknownBank), match="odd"):
        registry.find("odd")


@pytest.mark.parametrize(
    "content",
    [
        b"a=" + b"[" * 5000,
        b"a." * 50_000 + b"a = 1",
        b"[[slots]]\nprompt = 'x'\nseconds = " + b"9" * 400,
        b"[[slots]]\nprompt = 'x'\nseconds = " + b"9" * 15,
        b"[[slots]]\nprompt = 'x'\nseconds = nan",
        b"[[slots]]\nprompt = 'x'\nnote = 1e300",
        b"[[slots]]\nprompt = 'x'\ntags = [1979-05-27]",
        b"[[slots]]\nprompt = 1979-05-27T07:32:00Z",
        b"[[slots]]\nprompt = 'x'\nimage = [[['y']]]",
        b"[[slots]]\nprompt = 'x'\nimage = '" + b"y" * 10_000 + b"'",
        b"[[slots]]\nprompt = 'x'\nname = {a = 1}",
        b"[[slots]]\nprompt = '" + b"x" * 3_000_000 + b"'",
        "[[slots]]\nprompt = 'x'".encode("utf-16"),
    ],
    ids=range(13),
)
def test_a_bank_that_would_harm_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"mine\.toml"):
        read_bank(path)


def test_a_bank_may_begin_with_a_byte_order_mark(path):
    path.write_bytes(b"\xef\xbb\xbf" + BANK.encode())
    assert len(read_bank(path).slots) == 2


@posix
def test_a_bank_whose_name_is_no_text_is_not_listed(path):
    os.link(path, path.with_name(os.fsdecode(b"\xff.toml")))
    assert list(BankRegistry([path.parent]).paths()) == ["mine"]


def test_hidden_files_are_no_banks(tmp_path):
    (tmp_path / "._mine.toml").write_bytes(b"\0\5\26\7")
    (tmp_path / "mine.toml").write_text('[[slots]]\nprompt = "rain"\n')
    assert list(BankRegistry([tmp_path]).paths()) == ["mine"]
