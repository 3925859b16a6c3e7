"""`clipsonic generate` in this process: what its words, flags and `--like` mean."""

import argparse

import pytest

from plugin_server import cli
from plugin_server.commands.generate import _find_clip, add_parser, read_words
from plugin_server.engine.bundles.card import Lengths
from plugin_server.errors import UnknownClip
from plugin_server.settings import Settings
from tests.support.recipes import sound, write_made


@pytest.fixture
def settings(tmp_path):
    return Settings(folder=tmp_path / "clips", index_folder=tmp_path / "library")


def test_like_takes_what_names_a_clip_elsewhere(settings, tmp_path):
    kept = write_made(settings.folder, "Kept/rain.wav", "rain", 1)
    last = write_made(settings.folder, "sea.wav", "sea", 2)
    for name in (
        "rain",
        "rain.wav",
        "Kept/rain.wav",
        str(kept),
        sound(1).fingerprint(),
        sound(1).fingerprint().upper(),
    ):
        assert _find_clip(settings, name) == kept, name
    assert _find_clip(settings, "last") in (kept, last)
    elsewhere = write_made(tmp_path / "elsewhere", "drum.wav", "drum", 3)
    assert _find_clip(settings, str(elsewhere)) == elsewhere


def test_a_file_is_like_from_where_the_person_is(settings, tmp_path, monkeypatch):
    elsewhere = write_made(tmp_path / "elsewhere", "drum.wav", "drum", 3)
    monkeypatch.chdir(elsewhere.parent)
    assert _find_clip(settings, "drum.wav") == elsewhere


def test_a_clip_that_is_not_there_is_a_sentence(settings, capsys):
    with pytest.raises(UnknownClip, match="got 'thunder', expected 'last', or a clip's id"):
        _find_clip(settings, "thunder")
    common = ["--folder", str(settings.folder)]
    assert cli.main(["generate", "--like", "nowhere/drum.wav", *common]) == 1
    assert "nowhere/drum.wav cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rain", "5"], ("rain", 5.0)),
        (["rain", "0,5"], ("rain", 0.5)),
        (["rain", "5s"], ("rain", 5.0)),
        (["kick", "808"], ("kick 808", None)),
        (["kick drum", "808"], ("kick drum", 808.0)),
    ],
)
def test_words_are_read_as_over_osc(words, expected):
    assert read_words(words, Lengths) == expected


def test_numbers_of_flags_are_read_as_over_osc():
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    texts = ["--seconds", "0,5s", "--guidance", "1,5", "--seed", "1e3", "--steps", "8.0"]
    options = parser.parse_args(["generate", *texts])
    assert (options.seconds, options.guidance, options.seed, options.steps) == (0.5, 1.5, 1000, 8)


@pytest.mark.parametrize(
    ("words", "flag"),
    [(["sea waves @seed 5"], "--seed"), (["sea", "@variations", "2"], "--takes"), (["x @loop"], "--loop")],
)
def test_an_attribute_of_osc_within_the_words_is_refused(words, flag, capsys, settings):
    assert cli.main(["generate", *words, "--folder", str(settings.folder)]) == 1
    assert f"which is for OSC; expected the flag {flag}" in capsys.readouterr().err


def test_a_number_of_a_flag_that_is_none_is_a_sentence(capsys):
    for flag, kind in (("--guidance", "a number"), ("--steps", "a number"), ("--seconds", "a number")):
        with pytest.raises(SystemExit):
            cli.main(["generate", "rain", flag, "many"])
        assert f"argument {flag}: got 'many', expected {kind}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["generate", "rain", "--seed", "1.5"])
    assert "got '1.5', expected a whole number" in capsys.readouterr().err
