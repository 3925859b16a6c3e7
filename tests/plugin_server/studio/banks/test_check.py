import pytest

from plugin_server.studio.banks.check import find_problems

BANK = """
name = "yours"
describtion = "x"
description = 7

[defaults]
color = "#ffffff"
seconds = -1
note = 3
steps = 4

[[slots]]
prompt = "rain"
seconds = 2

[[slots]]
prompt = "bell"
stepps = 4
pitch = 4
steps = 1000
colour = "red"
note = 128
tags = 4
bpm = 7

[[slots]]
prompt = 5
note = "c"

[[slots]]
prompt = "kit"
bars = 2
"""


def test_all_that_is_wrong_with_a_bank_is_told(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BANK)
    sentences = [problem.removeprefix(f"{path}: ") for problem in find_problems(path)]
    for start in (
        "key: got 'describtion'",
        "name: got 'yours'",
        "description: got 7",
        "defaults: key: got 'color'",
        "defaults: key: got 'note'",
        "defaults: seconds: got -1",
        "slot 1: key: got 'stepps'",
        "slot 1: key: got 'pitch'",
        "slot 1: steps: got 1000",
        "slot 1: colour: got 'red'",
        "slot 1: note: got 128",
        "slot 1: tags: got 4",
        "slot 1: bpm: got 7",
        "slot 2: prompt: got 5",
        "slot 2: note: got 'c'",
        "slot 3: bpm: got nothing",
    ):
        assert [sentence for sentence in sentences if sentence.startswith(start)], start
    assert len(sentences) == 16


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("slots = 4", "slots: got 4, expected [[slots]] tables"),
        ("slots = [4]", "slots: got [4], expected [[slots]] tables"),
        ("defaults = 4\n[[slots]]\nprompt = 'x'", "defaults: got 4, expected a table"),
        ("name = 'mine'", "slots: got 0, expected 1 to 128"),
        ("[[slots]]\nprompt = 'x'\n" * 129, "slots: got 129, expected 1 to 128"),
        ("[[slots]]\nprompt = 'kit'\nbars = 2", "slot 0: bpm: got nothing, expected beats a minute beside bars"),
    ],
)
def test_what_is_wrong_as_a_whole_is_told_once(tmp_path, text, sentence):
    (tmp_path / "mine.toml").write_text(text)
    assert find_problems(tmp_path / "mine.toml") == [f"{tmp_path / 'mine.toml'}: {sentence}"]


def test_a_file_that_cannot_be_read_and_one_that_is_right(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("a = [[[")
    assert [problem.partition(" cannot be read")[0] for problem in find_problems(path)] == [str(path)]
    path.write_text("[[slots]]\nprompt = 'x'")
    assert find_problems(path) == []
