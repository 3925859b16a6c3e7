import re
from pathlib import Path

import pytest

from plugin_server import settings
from plugin_server.errors import BadSettings
from plugin_server.settings import Settings, default_folder, default_index_folder, load_settings
from tests.support.odd_files import ODD_KINDS, make_odd, posix


def write(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return {"CLIPSONIC_SETTINGS": str(path)}


def test_later_sources_win(tmp_path):
    environ = write(tmp_path, 'osc_port = 1111\nsample_rate = 44100\nfolder = "~/clips"\nmodel = "a"')
    environ |= {"CLIPSONIC_OSC_PORT": "2222", "CLIPSONIC_MODEL": "b"}
    settings = load_settings({"model": "c", "device": None}, environ)
    assert (settings.sample_rate, settings.osc_port, settings.model) == (44100, 2222, "c")
    assert settings.device == Settings().device
    assert settings.clip_folder == Path.home() / "clips"


def test_without_any_source_the_defaults_hold(tmp_path):
    assert load_settings({}, write(tmp_path, "")) == Settings()


@pytest.mark.parametrize("device", ["CPU", "Cuda", " cpu ", "CoreML", "AUTO"])
def test_a_device_is_named_in_any_case(tmp_path, device):
    expected = device.strip().lower()
    assert load_settings({}, write(tmp_path, f'device = "{device}"')).device == expected
    assert load_settings({}, {**write(tmp_path, ""), "CLIPSONIC_DEVICE": device}).device == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("osc_prot = 1", "unknown setting 'osc_prot'; known are osc_port"),
        ("osc_port = 70000", "osc_port: got 70000, expected 0 to 65535"),
        ('osc_port = "many"', "osc_port: got 'many', expected a whole number"),
        ('device = "tpu"', "device: got 'tpu', expected one of auto, cuda"),
        ("sample_rate = 96000", "sample_rate: got 96000, expected one of 44100, 48000"),
        ("bits = 32", "bits: got 32"),
        ("loudness_lufs = 0", "loudness_lufs: got 0.0, expected -60 to -6"),
        ("not toml", "settings.toml cannot be read"),
        ("lan = true", "allow: got no hosts, expected those that may ask, as in --lan --allow 192.168.1.20"),
        ('lan = "perhaps"', "lan: got 'perhaps', expected true or false"),
        ('allow = ["studio"]', "allow: got 'studio', expected an IPv4 address or network, as 192.168.1.20"),
        ('allow = ["fe80::1"]', "allow: got 'fe80::1', expected an IPv4 address"),
        ("allow = 7", "allow: got 7, expected a list of texts"),
        ("allow = [7]", "allow: got [7], expected a list of texts"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, sentence):
    with pytest.raises(BadSettings) as caught:
        load_settings({}, write(tmp_path, text))
    assert sentence in str(caught.value)


def test_hosts_are_a_list_or_have_commas(tmp_path):
    environ = write(tmp_path, 'lan = true\nallow = ["192.168.1.20", "10.0.0.0/8"]\nadvertise = false')
    settings = load_settings({}, environ)
    assert (settings.lan, settings.allow, settings.advertise) == (True, ("192.168.1.20", "10.0.0.0/8"), False)
    settings = load_settings({"allow": "10.1.2.3, 10.1.2.4"}, environ | {"CLIPSONIC_LAN": "0"})
    assert (settings.lan, settings.allow) == (False, ("10.1.2.3", "10.1.2.4"))


def test_clips_go_to_lives_user_library_where_there_is_one(tmp_path):
    assert default_folder(tmp_path).name == "Clipsonic"
    for parent in ("Documents", "Music"):
        library = tmp_path / parent / "Ableton" / "User Library"
        library.mkdir(parents=True)
        assert default_folder(tmp_path) == library / "Samples" / "Clipsonic"


def test_every_sample_folder_has_an_index_of_its_own(tmp_path):
    index = Settings(folder=tmp_path / "a" / "Klänge & mehr", index_folder=tmp_path).index_path
    assert index.parent == tmp_path
    assert re.fullmatch(r"Klänge-mehr-[0-9a-f]{8}\.sqlite3", index.name)
    assert Settings(folder=tmp_path / "b" / "Klänge & mehr", index_folder=tmp_path).index_path != index
    assert Settings(folder=tmp_path / "b" / ".." / "a" / "Klänge & mehr", index_folder=tmp_path).index_path == index


def test_the_index_lies_in_the_data_folder_unless_told_otherwise(tmp_path):
    environ = write(tmp_path, "") | {"CLIPSONIC_INDEX_FOLDER": "~/indexes"}
    assert load_settings({}, environ).index_path.parent == Path.home() / "indexes"
    assert Settings().index_path.parent == default_index_folder()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("queue_size = 9.7", "queue_size: got 9.7, expected a whole number"),
        ("queue_size = true", "queue_size: got True, expected a whole number"),
        ("latency_ms = true", "latency_ms: got True, expected a number"),
        ("latency_ms = nan", "cannot be read: it holds nan"),
        ("lan = 1", "lan: got 1, expected true or false"),
        ('advertise = "false"', "advertise: got 'false', expected true or false"),
        ("model = 7", "model: got 7, expected text"),
        ("folder = 7", "folder: got 7, expected text"),
        ("midi = true", "midi: got True, expected text"),
        ("threads = " + "9" * 5000, "cannot be read"),
        ("threads = " + "9" * 30, "cannot be read: it holds a whole number of more than 18 digits"),
        ('folder = "a\\u0000b"', "cannot be read: it holds 'a\\x00b', expected text without NUL"),
        ("folder = " + "[" * 5000, "cannot be read: it is nested too deeply"),
        ("threads = 999", "threads: got 999, expected 0 to 256"),
    ],
)
def test_a_value_of_another_type_is_refused_with_file_and_key(tmp_path, text, sentence):
    with pytest.raises(BadSettings) as caught:
        load_settings({}, write(tmp_path, text))
    assert str(tmp_path / "settings.toml") in str(caught.value)
    assert sentence in str(caught.value)


def test_a_flag_or_variable_that_is_wrong_is_not_blamed_on_the_file(tmp_path):
    with pytest.raises(BadSettings, match=r"^threads: got 999"):
        load_settings({"threads": 999}, write(tmp_path, "threads = 1"))
    with pytest.raises(BadSettings, match=r"^queue_size: got '9\.7', expected a whole number"):
        load_settings({}, write(tmp_path, "queue_size = 1") | {"CLIPSONIC_QUEUE_SIZE": "9.7"})


def test_the_file_is_named_for_what_is_wrong_in_it_beside_a_flag(tmp_path):
    with pytest.raises(BadSettings, match=r"settings\.toml: threads: got 'many', expected a whole number"):
        load_settings({"threads": 1}, write(tmp_path, 'threads = "many"'))


def test_a_byte_order_mark_is_passed_over_and_other_encodings_are_named(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbfbits=24\n")
    assert load_settings({}, {"CLIPSONIC_SETTINGS": str(path)}).bits == 24
    path.write_bytes("bits = 24\n".encode("utf-16"))
    with pytest.raises(BadSettings, match="UTF-16"):
        load_settings({}, {"CLIPSONIC_SETTINGS": str(path)})


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_settings_that_are_no_file_are_refused(tmp_path, kind):
    make_odd(tmp_path / "odd.toml", kind)
    with pytest.raises(BadSettings, match=r"odd\.toml cannot be read"):
        load_settings({}, {"CLIPSONIC_SETTINGS": str(tmp_path / "odd.toml")})


def test_a_settings_file_that_was_named_has_to_be_there(tmp_path, monkeypatch):
    with pytest.raises(BadSettings, match=r"none\.toml cannot be read: No such file"):
        load_settings({}, {"CLIPSONIC_SETTINGS": str(tmp_path / "none.toml")})
    monkeypatch.setattr(settings, "default_settings_path", lambda: tmp_path / "none.toml")
    assert load_settings({}, {}) == Settings()
