import argparse
import math
from dataclasses import dataclass, fields, replace

import pytest

from plugin_server.commands.generate import add_parser
from plugin_server.engine.bundles.card import Lengths
from plugin_server.engine.messages import GenerationParams
from plugin_server.errors import BadArgument, BadFile
from plugin_server.protocol.addresses import ADDRESSES
from plugin_server.protocol.generate_arguments import parse_generate
from plugin_server.studio.attributes import Attribute, Effect, Kind, attribute, attributes_of
from plugin_server.studio.banks.files import BANK_KEYS, SLOT_KEYS, read_bank
from plugin_server.studio.requests import ATTRIBUTES, NAMED_ATTRIBUTES, Generate, split_length
from plugin_server.studio.reuse import COMPARED_KEYS, METADATA_ATTRIBUTES

ANY_LENGTH = Lengths(0.5, 30.0, 5.0)
BESIDE = {
    "blend": {"images": ("/a.png",)},
    "bars": {"bpm": 120},
    "images": {"prompt": ""},
}
"""Attributes that only go together with others."""
LIMITED = [row for row in ATTRIBUTES if row.minimum is not None]
by_name = pytest.mark.parametrize("row", ATTRIBUTES, ids=lambda row: row.name)
limited = pytest.mark.parametrize("row", LIMITED, ids=lambda row: row.name)


def ask(row: Attribute, value) -> Generate:
    return Generate(**({"prompt": "rain"} | BESIDE.get(row.field, {}) | {row.field: value}))


def example(row: Attribute):
    """Return a value that the attribute takes and that is not its default."""
    if row.kind is Kind.PATHS:
        return ("/a.png",)
    if row.kind is Kind.SWITCH:
        return True
    if row.kind is Kind.CHOICE:
        return row.choices[-1]
    if row.kind is Kind.TEXT:
        return "A minor" if row.name == "key" else "x1"
    return row.maximum


def step(row: Attribute):
    return 1 if row.kind is Kind.WHOLE_NUMBER else 0.001


def test_a_prompt_is_enough():
    request = Generate("sea waves")
    assert (request.seconds, request.seed, request.variations) == (None, None, 1)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("prompt", "  ", "expected words"),
        ("prompt", 5, "expected text"),
        ("prompt", "x" * 2001, "2001 characters"),
        ("seconds", 0.0, "0.01 to 3600"),
        ("seconds", math.nan, "got nan"),
        ("seconds", math.inf, "got inf"),
        ("seconds", "5", "expected a number"),
        ("seconds", True, "expected a number"),
        ("seed", -1, "0 to 2147483647"),
        ("seed", 2**31, "0 to 2147483647"),
        ("seed", 1.5, "whole number"),
        ("steps", 0, "1 to 100"),
        ("steps", 101, "1 to 100"),
        ("guidance", 21.0, "0 to 20"),
        ("variations", 0, "1 to 16"),
        ("variations", 17, "1 to 16"),
        ("id", "a b", "letters, digits"),
        ("id", "x" * 65, "letters, digits"),
        ("name", None, "expected text"),
        ("stereo", None, "expected a number from 0 to 1"),
        ("loop", 1, "expected true or false"),
        ("format", "mp3", "one of wav, flac, aiff"),
    ],
)
def test_what_is_wrong_is_named_with_what_came_and_what_was_expected(field, value, expected):
    with pytest.raises(BadArgument, match=expected) as caught:
        Generate(**({"prompt": "rain"} | {field: value}))
    assert str(caught.value).startswith(f"{field}: got")


def test_words_may_be_left_out_beside_a_picture_but_not_blank():
    assert Generate(images=("/a.png",)).image_share == 1
    with pytest.raises(BadArgument, match="prompt: got nothing, expected words"):
        Generate("  ", images=("/a.png",))


@pytest.mark.parametrize(
    ("fields", "share"), [({}, 0), ({"images": ("/a.png",)}, 0.5), ({"images": ("/a.png",), "blend": 0.25}, 0.25)]
)
def test_words_and_pictures_meet_half_way_unless_something_else_is_said(fields, share):
    assert Generate("rain", **fields).image_share == share


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"conditioning": "x"}, "via: got 'x', expected one of text, zs, pd, sd"),
        ({"blend": 0.5}, "blend: got 0.5, expected it beside both words and an image"),
        ({"prompt": "", "images": ("/a.png",), "conditioning": "sd"}, "via: got sd, expected it beside words"),
        ({"bars": 2}, "bpm: got nothing, expected beats a minute beside bars"),
        ({"bars": 2, "bpm": 120, "seconds": 5}, "seconds: got 5 and 2 bars, expected one of them"),
    ],
)
def test_attributes_that_cannot_be_or_do_not_go_together_are_refused(values, sentence):
    with pytest.raises(BadArgument, match=sentence):
        Generate(**({"prompt": "rain"} | values))


@pytest.mark.parametrize("field", ["prompt", "negative", "name", "model"])
def test_words_are_in_their_normal_form_before_anything_looks_at_them(field):
    asked = [
        ask_words(field, words) for words in ("café  noise", "cafe\u0301 noise", "“café noise”", "\ufeffcafé noise")
    ]
    assert {getattr(request, field) for request in asked} == {"café noise"}
    assert len(set(asked)) == 1


def ask_words(field: str, words: str) -> Generate:
    return Generate(**({"prompt": "rain"} | {field: words}))


def test_bars_are_a_loop_unless_that_is_refused():
    assert Generate("rain", bars=1, bpm=120).loop is True
    assert Generate("rain", bars=1, bpm=120, loop=False).loop is False
    assert Generate("rain").loop is Generate("rain", bpm=120).loop is False
    assert replace(Generate("rain", bars=1, bpm=120, loop=False), seed=3).loop is False


def test_an_empty_format_is_the_default():
    assert Generate("rain", format='""') == Generate("rain", format="") == Generate("rain")


@pytest.mark.parametrize("prompt", ["\u200b", '""', "\xa0"])
def test_words_that_nobody_sees_are_none(prompt):
    with pytest.raises(BadArgument, match="prompt: got nothing, expected words"):
        Generate(prompt)


def test_the_table_has_a_row_for_every_field():
    assert [row.field for row in ATTRIBUTES] == [f.name for f in fields(Generate)]
    assert len({row.name for row in ATTRIBUTES}) == len(ATTRIBUTES)
    assert all(row.help for row in ATTRIBUTES)


@by_name
def test_the_default_and_another_value_are_taken(row):
    row.check(row.default)
    assert getattr(ask(row, example(row)), row.field) == example(row) != row.default


@limited
def test_both_ends_of_a_range_are_taken_and_nothing_beyond(row):
    for inside in (row.minimum, row.maximum):
        assert getattr(ask(row, inside), row.field) == inside
    for outside in (row.minimum - step(row), row.maximum + step(row)):
        with pytest.raises(BadArgument, match=f"^{row.name}: got .*, expected {row.range_text}$"):
            ask(row, outside)


@by_name
def test_text_is_understood_over_osc(row):
    if row.is_positional:
        return
    value = example(row)
    atoms = list(value) if row.kind is Kind.PATHS else [value if row.kind is Kind.SWITCH else str(value)]
    beside = {"blend": ["@image", "/a.png"], "bars": ["@bpm", "120"]}.get(row.name, [])
    request = parse_generate(["rain", f"@{row.name}", *atoms, *beside], lambda _: ANY_LENGTH)
    assert getattr(request, row.field) == value


@by_name
def test_a_slot_of_a_bank_may_have_what_says_nothing_of_the_job(row, tmp_path):
    assert (row.name in SLOT_KEYS) == row.in_bank == (row.effect is not Effect.JOB)
    path = tmp_path / "mine.toml"
    prompt = "" if row.name == "prompt" else 'prompt = "rain"\n'
    path.write_text(f'name = "mine"\n[[slots]]\n{prompt}{row.name} = {{}}\n')
    with pytest.raises(BadFile, match=f"{row.name}: got" if row.in_bank else f"key: got '{row.name}'"):
        read_bank(path)


@by_name
def test_the_address_table_lists_it(row):
    expected = ["/generate", "/bank/set"] if row.in_bank else ["/generate"]
    listed = {address: {a.name for a in (*r.arguments, *r.attributes)} for address, r in ADDRESSES.items()}
    assert [address for address in ("/generate", "/bank/set") if row.name in listed[address]] == expected


@by_name
def test_its_flag_sets_its_field(row):
    if row.flag is None:
        return
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    value = example(row)
    texts = [] if row.kind is Kind.SWITCH else list(value) if row.kind is Kind.PATHS else [str(value)]
    for option in row.flag.options or (f"--{row.name}",):
        read = getattr(parser.parse_args(["generate", option, *texts]), row.field)
        assert read == value if row.kind is not Kind.PATHS else [str(path) for path in read] == texts
    assert getattr(parser.parse_args(["generate"]), row.field) is None


def test_flags_are_listed_in_an_order_of_their_own():
    orders = [row.flag.order for row in ATTRIBUTES if row.flag]
    assert len(set(orders)) == len(orders)


def test_what_decides_the_sound_is_what_the_engine_is_asked_for():
    sound = {row.name for row in ATTRIBUTES if row.effect is Effect.SOUND}
    names = {row.field: row.name for row in ATTRIBUTES}
    assert sound == {names.get(f.name, f.name) for f in fields(GenerationParams)} | {"model"}


def test_recipes_are_compared_by_all_that_decides_their_file():
    assert [row.name for row in METADATA_ATTRIBUTES] == ["name", "bars", "bpm", "key", "format"]
    names = {row.name for row in ATTRIBUTES if row.effect in (Effect.SOUND, Effect.METADATA)}
    assert set(COMPARED_KEYS) == names - {"image"} | {"fingerprints", "checksum", "take"}


def test_help_lists_the_named_attributes_by_subject():
    expected = (
        "image blend frames via bars bpm key negative seed steps guidance loop stereo variations "
        "format name model again id"
    )
    assert [row.name for row in NAMED_ATTRIBUTES] == expected.split()
    assert BANK_KEYS == ("name", "description", "defaults", "slots")


@pytest.mark.parametrize(
    ("words", "number", "has_images", "expected"),
    [
        (["rain", "5"], 5.0, False, (["rain"], 5.0)),
        (["rain", "5"], None, False, (["rain", "5"], None)),
        (["kick", "808"], 808.0, False, (["kick", "808"], None)),
        (["kick drum", "808"], 808.0, False, (["kick drum"], 808.0)),
        (["rain", "inf"], math.inf, False, (["rain"], math.inf)),
        (["5"], 5.0, False, (["5"], None)),
        (["5"], 5.0, True, ([], 5.0)),
        ([], None, True, ([], None)),
    ],
)
def test_a_number_after_the_words_may_be_the_length(words, number, has_images, expected):
    assert split_length(words, number, lambda: ANY_LENGTH, has_images=has_images) == expected


def test_a_dataclass_of_attributes_is_its_own_table():
    @dataclass(frozen=True)
    class Request:
        depth: float = attribute(Kind.NUMBER, "how deep", default=1.0, minimum=0, maximum=2)
        mode: str = attribute(Kind.CHOICE, "which", default="", name="way", choices=("a", "b"))

    depth, mode = attributes_of(Request)
    assert Request() == Request(1.0, "")
    assert (depth.field, depth.name, depth.default, depth.range_text) == ("depth", "depth", 1.0, "0 to 2")
    assert (mode.field, mode.name, mode.default, mode.range_text) == ("mode", "way", "", "one of a, b")
    with pytest.raises(BadArgument, match="way: got 'c', expected one of a, b"):
        mode.check("c")
