"""Launch modes and times as people write them."""

import pytest

from plugin_server.errors import BadArgument
from plugin_server.studio.banks.launch import read_mode, read_time, slot_tag, usual_mode


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("gate", "gate"),
        ("Toggle", "toggle"),
        ("one-shot", "one-shot"),
        ("ONE_SHOT", "one-shot"),
        ("one shot", "one-shot"),
        ("OneShot", "one-shot"),
        (" gate ", "gate"),
    ],
)
def test_a_mode_is_read_in_any_case(text, mode):
    assert read_mode(text) == mode


@pytest.mark.parametrize(("text", "time"), [("now", "now"), ("Beat", "beat"), ("BAR", "bar"), (" bar", "bar")])
def test_a_time_is_read_in_any_case(text, time):
    assert read_time(text) == time


@pytest.mark.parametrize("value", ["hold", "", "gates", 1, True, None, ["gate"], "x" * 1000])
def test_what_is_no_mode_or_time_is_refused(value):
    with pytest.raises(BadArgument, match=r"^mode: got .{0,70}, expected one of gate, toggle, one-shot$"):
        read_mode(value)
    with pytest.raises(BadArgument, match=r"^at: got .{0,70}, expected one of now, beat, bar$"):
        read_time(value)


def test_a_loop_can_be_stopped_by_its_pad():
    assert (usual_mode(is_loop=True), usual_mode(is_loop=False)) == ("toggle", "one-shot")


def test_slots_of_two_banks_are_told_apart():
    assert len({slot_tag(bank, number) for bank in ("a", "b") for number in range(128)}) == 256
