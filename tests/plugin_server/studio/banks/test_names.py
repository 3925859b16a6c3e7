"""Which bank a name means."""

import unicodedata

import pytest

from plugin_server.errors import BadArgument
from plugin_server.studio.banks.names import file_name, match_name

NAMES = ["drums", "my-kit", "möwen", "straße"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("drums", "drums"),
        ("Drums", "drums"),
        ("DRUMS ", "drums"),
        ("My Kit", "my-kit"),
        ("MY-KIT", "my-kit"),
        (unicodedata.normalize("NFD", "Möwen"), "möwen"),
        ("STRASSE", "straße"),
        ("moon", None),
        ("", None),
    ],
)
def test_a_bank_is_meant_however_its_name_is_written(name, expected):
    assert match_name(name, NAMES) == expected


def test_a_new_bank_s_file_has_a_name_for_every_system():
    assert file_name("My Kit") == "my-kit" and file_name("Möwen & Meer!") == "mowen-meer"


@pytest.mark.parametrize("name", ["", "!?", "../up", "a/b", "a\\b"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(BadArgument, match="expected letters, digits and spaces"):
        file_name(name)
