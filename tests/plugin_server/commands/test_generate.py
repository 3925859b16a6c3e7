"""`clipsonic generate` in this process: which file `--like` means."""

import pytest

from plugin_server import cli
from plugin_server.commands.generate import _find_clip
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
