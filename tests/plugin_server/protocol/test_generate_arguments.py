"""Arguments of /generate become a request, or are refused by name."""

import struct

import pytest

from plugin_server.engine.bundles.card import Lengths
from plugin_server.errors import BadArgument
from plugin_server.protocol.generate_arguments import parse_generate
from plugin_server.studio.requests import Generate


def lengths_of(model):
    return Lengths(0.5, 60.0 if model == "long" else 30.0, 5.0)


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["sea waves"], Generate("sea waves")),
        (["sea waves", 8], Generate("sea waves", 8.0)),
        (["sea", "waves", 5.0], Generate("sea waves", 5.0)),
        (["sea", "waves"], Generate("sea waves")),
        ([808, "kick"], Generate("808 kick")),
        ([808, "kick", 2], Generate("808 kick", 2.0)),
        (["kick", 808], Generate("kick 808")),
        (["kick", 808, 2], Generate("kick 808", 2.0)),
        (["room", "-3.5"], Generate("room -3.5")),
        (["room", -3.5], Generate("room -3.5")),
        (["kick drum", 808], Generate("kick drum", 808.0)),
        (["rain", 40], Generate("rain 40")),
        (["rain", 40, "@model", "long"], Generate("rain", 40.0, model="long")),
        ([b"sea waves", 2], Generate("sea waves", 2.0)),
        (["rain", "@seed", 42.0, "@steps", 8], Generate("rain", seed=42, steps=8)),
        (["rain", "@seed", "42"], Generate("rain", seed=42)),
        (["rain", "@Seed", 42, "@FORMAT", "FLAC"], Generate("rain", seed=42, format="flac")),
        (["rain", "@Via", "ZS"], Generate("rain", conditioning="zs")),
        (["rain", 3, "@negative", "loud", "wind", "@guidance", 2], Generate("rain", 3.0, "loud wind", guidance=2.0)),
        (["rain", "@variations", 4, "@name", "take 5"], Generate("rain", variations=4, name="take 5")),
        (["rain", "@id", "x1"], Generate("rain", id="x1")),
        (["rain", "@id", 1234567.0], Generate("rain", id="1234567")),
        (["rain", "@id", 16777217], Generate("rain", id="16777217")),
        (["rain", "@name", 0.10000000149011612], Generate("rain", name="0.1")),
        (["rain", "@name", 0.123456789012], Generate("rain", name="0.123456789012")),
        (["rain", "@name", 1.5e300], Generate("rain", name="1.5e+300")),
        (["mail", "@"], Generate("mail @")),
        (["rain", "2"], Generate("rain", 2.0)),
        (["rain", "2.0"], Generate("rain", 2.0)),
        (["rain", "0,5"], Generate("rain", 0.5)),
        (["rain", "5s"], Generate("rain", 5.0)),
        (["heavy rain", "1e1"], Generate("heavy rain", 10.0)),
        (["kick", "808"], Generate("kick 808")),
        (["kick drum", "808"], Generate("kick drum", 808.0)),
        (["kick 808", "2"], Generate("kick 808", 2.0)),
        (["rain", "-3"], Generate("rain -3")),
        (["take", "five"], Generate("take five")),
        (["5"], Generate("5")),
        (["5", "6"], Generate("5 6")),
        (['"sea', 'waves"', 5.0], Generate("sea waves", 5.0)),
        (['"kick', '808"'], Generate("kick 808")),
        (['"kick', 'drum"', 808], Generate("kick drum", 808.0)),
        (["5s", "@image", "/a.png"], Generate("", 5.0, images=("/a.png",))),
        ([None, "@image", "/a.png"], Generate("", images=("/a.png",))),
        (["rain", "@seed", "5.0", "@steps", "1e1"], Generate("rain", seed=5, steps=10)),
        (["rain", "@guidance", "1,5"], Generate("rain", guidance=1.5)),
        (["rain", "@bars", b"1", "@bpm", '"93,7"'], Generate("rain", bars=1, bpm=93.7)),
        (["rain", "@seed", -1], Generate("rain")),
        (["rain", "@seed", "-1"], Generate("rain")),
        (["rain", "@seed", -1.0], Generate("rain")),
        (["rain", "@loop", "on"], Generate("rain", loop=True)),
        (["rain", "@loop", "False"], Generate("rain", loop=False)),
        (["rain", "@loop", "1.0"], Generate("rain", loop=True)),
        (["rain", "@format", ""], Generate("rain")),
        (["rain", "@bars", 1, "@loop", 0], Generate("rain", bars=1, bpm=120, loop=False)),
        (["rain", "@bars", 1, "@loop", 1], Generate("rain", bars=1, bpm=120)),
        (["rain", "@again", 1], Generate("rain", again=True)),
        (["rain", "@format", '""'], Generate("rain")),
        (["rain", "@format", "wav"], Generate("rain", format="wav")),
    ],
)  # fmt: skip
def test_arguments_become_a_request(arguments, request_):
    assert parse_generate(arguments, lengths_of) == request_


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "prompt: got nothing"),
        ([5], "prompt: got the number 5"),
        ([""], "prompt: got nothing"),
        (["@seed", 3], "prompt: got nothing"),
        (["rain", "@sead", 3], "attribute: got @sead, expected one of .*@seed"),
        (["rain", "@seed"], "seed: got nothing"),
        (["rain", "@seed", 1, 2], "seed: got 2 values"),
        (["rain", "@seed", 1.5], "seed: got 1.5, expected a whole number"),
        (["rain", "@seed", -2], "seed: got -2, expected 0 to 2147483647"),
        (["rain", "@seed", 2147483648.0], "seed: got 2147483648, expected 0 to 2147483647"),
        (["rain", "@steps", 2**40], "steps: got 1099511627776, expected 1 to 100"),
        (["rain", "@steps", "1e39"], r"steps: got 9{15}\d+, expected 1 to 100"),
        (["rain", "@loop", "perhaps"], "loop: got 'perhaps', expected 0 or 1, on or off"),
        (["rain", "@loop", 0.5], "loop: got 0.5, expected 0 or 1"),
        (["rain", "@seed", "many"], "seed: got 'many', expected a number"),
        (["rain", "@seed", 1, "@seed", 2], "@seed twice"),
        (["rain", "@steps", b"x"], "steps: got a blob, expected a number"),
        (["rain", None], "prompt: got nil, expected text"),
        (["rain", [1, 2]], "prompt: got an array"),
        (["rain", "@guidance", float("nan")], "guidance: got nan"),
        (["heavy rain", 1e9], "seconds: got 1e"),
        (["rain", float("nan")], "seconds: got nan"),
    ],
)
def test_bad_arguments_are_named(arguments, sentence):
    with pytest.raises(BadArgument, match=sentence):
        parse_generate(arguments, lengths_of)


def test_numbers_are_those_that_were_meant_before_they_had_32_bits():
    bpm = struct.unpack("f", struct.pack("f", 93.7))[0]
    request = parse_generate(["rain", "@bars", 2, "@bpm", bpm], lambda _model: Lengths())
    assert bpm != 93.7 and request.bpm == 93.7


def test_a_seed_may_be_drawn_by_who_asks():
    assert parse_generate(["rain", "@seed", -1], lengths_of, any_seed=lambda: 7).seed == 7
    assert parse_generate(["rain"], lengths_of, any_seed=lambda: 7).seed is None
