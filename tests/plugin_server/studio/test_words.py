import unicodedata

import pytest

from plugin_server.studio.words import normal_words, read_number, read_seconds, without_quotes

COMPOSED = "caf\u00e9 ambience"
ALIKE = {
    "sea waves": [
        "  sea \t waves\n",
        "sea\u00a0waves",
        "sea\u3000waves",
        "sea waves\u200b",
        "\ufeffsea waves",
        "se\u00ada waves",
        "\u200esea\u2060 waves\u200f",
        "sea waves\ufe0f",
        "sea\0waves",
        "\uff53\uff45\uff41 waves",
        '"sea waves"',
        "'sea waves'",
        "\u201csea waves\u201d",
        "\u201esea waves\u201c",
        "\u2018sea waves\u2019",
        "\u201asea waves\u2018",
        "\u00ab\u00a0sea waves\u00a0\u00bb",
        "\u00bbsea waves\u00ab",
        "\u2039sea waves\u203a",
        "\u300csea waves\u300d",
        "\uff02sea waves\uff02",
        "`sea waves`",
        '""sea waves""',
        "\u201c'sea waves'\u201d",
        '\u201csea waves"',
    ],
    COMPOSED: [unicodedata.normalize(form, COMPOSED) for form in ("NFC", "NFD", "NFKC", "NFKD")],
    "fire": ["\ufb01re"],
    "dog's bark": [
        "dog\u2019s bark",
        "dog\u00b4s bark",
        "dog\u02bcs bark",
        "'dog's bark'",
        "\u2018dog\u2019s bark\u2019",
    ],
    "air-raid siren": ["air\u2010raid siren", "air\u2011raid siren"],
    '7" vinyl': ["7\u2033 vinyl", "7\u201d vinyl"],
    "": ["", " ", '""', "\u201c\u201d", "\u200b", "\ufeff\u00ad"],
}
KEPT = [
    '"sea" and "waves"',
    "'sea' 'waves'",
    "rock 'n' roll",
    '7" vinyl',
    '"',
    "\u6d77\u306e\u6ce2",
    "F\u266f minor",
    "Kick DRUM 808",
    "\u0441\u043e\u0431\u0430\u043a\u0430",
]


@pytest.mark.parametrize(("normal", "text"), [(normal, text) for normal, texts in ALIKE.items() for text in texts])
def test_words_that_look_alike_are_the_same(normal, text):
    assert normal_words(text) == normal
    assert normal_words(normal) == normal


@pytest.mark.parametrize("text", KEPT)
def test_what_is_meant_stays(text):
    assert normal_words(text) == text


def test_half_a_character_can_be_written_afterwards():
    assert normal_words("sea\udcff") == "sea?"


def test_every_character_has_a_normal_form_that_stays():
    for number in (*range(0x3400), *range(0xD7F0, 0x10000), *range(0x1D100, 0x1D800), *range(0xE0000, 0xE0200)):
        once = normal_words(f"x{chr(number)}y")
        assert normal_words(once) == once, hex(number)
        once.encode()


def test_one_pair_of_quotes_is_taken_off_where_it_is_around_the_whole():
    assert without_quotes('"a b"') == "a b"
    assert without_quotes('" a  b "') == "a  b"
    assert without_quotes('"a" "b"') == '"a" "b"'


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("2.0", 2), ("0,5", 0.5), (".5", 0.5), ("-1", -1), ("+3", 3), ("1e3", 1000), (" 7 ", 7), ('"5"', 5),
     ("\uff15", 5), ("\u22123", -3)],
)  # fmt: skip
def test_a_text_may_spell_a_number(text, number):
    assert read_number(text) == read_seconds(text) == number


@pytest.mark.parametrize(
    "text", ["", "s", "five", "1_0", "nan", "inf", "infinity", "0x10", "1.2.3", "1,000.5", "2 3", "9" * 5000]
)
def test_other_texts_spell_none(text):
    assert read_number(text) is read_seconds(text) is None


@pytest.mark.parametrize("text", ["5s", "5 s", "5S", "5sec", "5 secs", "5 seconds", "5,0 s"])
def test_a_length_may_have_its_unit(text):
    assert read_seconds(text) == 5
    assert read_number(text) is None
