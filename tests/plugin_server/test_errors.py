"""Sentences that are fit for a terminal and a reply, whatever they tell of."""

import io

from plugin_server.errors import BadFile, one_line, unforeseen


def test_a_sentence_is_one_line_without_what_steers_a_terminal():
    assert str(BadFile("a\x1b[2J/\nb\x00c\u2028d cannot be read")) == "a [2J/ b c d cannot be read"
    assert str(BadFile("ä 音 🎹 cannot be read")) == "ä 音 🎹 cannot be read"


def test_a_sentence_names_no_object_by_its_address():
    sentence = str(BadFile(f"x.png cannot be read: cannot identify image file {io.BytesIO()!r}"))
    assert sentence == "x.png cannot be read: cannot identify image file"
    assert "0x" not in str(unforeseen(ValueError(object())))


def test_a_line_may_be_bounded():
    assert one_line("a" * 300, 200) == "a" * 197 + "..."
    assert one_line("<" * 100_000 + " at 0x", 50_000).endswith("...")
