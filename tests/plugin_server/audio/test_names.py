import unicodedata

import pytest

from plugin_server.audio.names import safe_stem, same_name, unique_path


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("Sea Waves!", "sea-waves"),
        ("a dog's bark, loud", "a-dogs-bark-loud"),
        ("Möwen über'm Meer", "mowen-uberm-meer"),
        ("波の音", "波の音"),
        ("../../etc/passwd", "etc-passwd"),
        ('a/b\\c:d*e?"f<g>h|i', "a-b-c-d-e-f-g-h-i"),
        ("CON", "con-clip"),
        ("lpt1", "lpt1-clip"),
        ("...", "clip"),
        ("", "clip"),
        ("🌊", "clip"),
        ("trailing. ", "trailing"),
        ("tab\tnew\nline\0nul", "tab-new-line-nul"),
    ],
)
def test_names_are_safe_everywhere_and_readable(text, stem):
    assert safe_stem(text) == stem


def test_long_names_end_at_a_word_and_fit_file_systems():
    stem = safe_stem("very long words in a prompt " * 20)
    assert len(stem) <= 60 and stem.endswith(("very", "long", "words", "in", "a", "prompt"))
    assert len(safe_stem("x" * 300)) == 60
    assert len(safe_stem("波" * 300).encode()) <= 180


def test_a_taken_name_is_counted_on(tmp_path):
    assert unique_path(tmp_path, "x").name == "x.wav"
    for name in ("x.wav", "x_2.wav"):
        (tmp_path / name).touch()
    assert unique_path(tmp_path, "x").name == "x_3.wav"


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("が", "が"),
        ("समुद्र", "समुद्र"),
        ("바다 소리", "바다-소리"),
        ("Й", "й"),
        ("Straße, Ærø", "strasse-aero"),
        ("the dog’s", "the-dogs"),
        ("🌊\ufe0f", "clip"),
        ("COM¹", "com1-clip"),
    ],
)
def test_scripts_keep_the_marks_that_make_their_letters(text, stem):
    assert safe_stem(text) == stem


def test_a_broken_link_takes_its_name_too(tmp_path):
    try:
        (tmp_path / "x.wav").symlink_to(tmp_path / "gone")
    except OSError:
        pytest.skip("no links here")
    assert unique_path(tmp_path, "x").name == "x_2.wav"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Kick", "Kick"), ("kick", "kick"), ("KICK", "Kick"), (" Open  HAT ", "open hat"), ("MÖWE", "möwe"), ("x", None)],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_the_same_in_any_case_and_form(name, expected, form):
    assert same_name(unicodedata.normalize(form, name), ["Kick", "kick", "open hat", "möwe", "straße"]) == expected
    assert same_name("STRASSE", ["straße"]) == "straße"
