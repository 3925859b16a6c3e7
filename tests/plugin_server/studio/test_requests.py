import math

import pytest

from plugin_server.errors import BadArgument
from plugin_server.studio.requests import Generate


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
