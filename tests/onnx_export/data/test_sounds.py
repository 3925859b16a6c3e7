"""Catalogues, splits, levels and stored features of sounds."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from onnx_export.data.sounds import (
    SoundDataset,
    frames_per_second,
    hash_fraction,
    normalise_level,
    open_sound_dataset,
    read_catalog,
    read_mono,
    split_of,
)
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, recording_in, sound

MEL = MelSettings(sample_rate=16_000, n_fft=512, hop=256, n_mels=8, f_max_hz=8000)
COLUMNS = (
    "file", "label", "caption", "category", "recording_id", "licence", "attribution", "source", "sample_rate_of_source",
)  # fmt: skip


def write_catalog(folder, licences):
    rows = []
    for i, licence in enumerate(licences):
        soundfile.write(folder / f"{i}.wav", np.full((1600 * (i + 1), 2), 0.1 * (i + 1)), 16_000)
        rows.append([f"{i}.wav", f"label {i}", f"caption {i}", "c", f"r{i}", licence, "me", "us", "16000"])
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


def test_licences_decide(tmp_path):
    folder = write_catalog(tmp_path, ["CC0-1.0", "CC-BY-NC-3.0", "CC-BY-SA-4.0", "GPL-2.0-only", "CC-BY-4.0"])
    assert [s.label for s in read_catalog(folder)] == ["label 0", "label 2", "label 3", "label 4"]
    assert [s.label for s in read_catalog(folder, "permissive")] == ["label 0", "label 4"]
    with pytest.raises(ValueError, match="must be 'all' or 'permissive', not 'some'"):
        read_catalog(folder, "some")


def test_rows_become_sounds(tmp_path):
    (row,) = read_catalog(write_catalog(tmp_path, ["CC0"]))
    assert row.path == tmp_path / "0.wav" and (row.caption, row.recording_id) == ("caption 0", "r0")
    assert row.source_rate_hz == 16_000


def test_a_fraction_depends_on_the_text_alone():
    assert hash_fraction("a") == hash_fraction("a") != hash_fraction("b")
    assert all(0 <= hash_fraction(str(i)) < 1 for i in range(100))


def test_shares_of_the_splits():
    splits = [split_of(f"x{i}") for i in range(5000)]
    shares = {name: splits.count(name) / 5000 for name in ("train", "valid", "test")}
    assert shares["train"] == pytest.approx(0.85, abs=0.02)
    assert shares["valid"] == pytest.approx(0.05, abs=0.01)
    assert shares["test"] == pytest.approx(0.10, abs=0.015)


def test_channels_are_averaged_and_rates_converted(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([0.5, -0.1], (3200, 1)), 32_000)
    mono = read_mono(tmp_path / "a.wav", 16_000)
    assert mono.dtype == np.float32 and len(mono) == 1600
    np.testing.assert_allclose(mono[200:-200], 0.2, atol=1e-3)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_louder_half_is_brought_to_one_level(rate):
    """A second of noise, and the same with a second of silence behind it, come out equally loud."""
    noise = np.random.default_rng(0).standard_normal(rate).astype(np.float32) * 0.01
    alone = normalise_level(noise, rate)
    followed = normalise_level(np.concatenate([noise, np.zeros(rate, np.float32)]), rate)
    assert np.sqrt((followed[:rate] ** 2).mean()) == pytest.approx(0.08, rel=0.01)
    assert np.sqrt((alone**2).mean()) == pytest.approx(0.08, rel=0.05)


def test_a_peak_is_not_clipped():
    click = np.zeros(16_000, np.float32)
    click[100] = 0.2
    assert np.abs(normalise_level(click, 16_000)).max() == pytest.approx(0.95)
    assert len(normalise_level(np.zeros(0, np.float32), 16_000)) == 0
    assert not normalise_level(np.zeros(500, np.float32), 16_000).any()


def test_blocks_are_ten_milliseconds_at_any_rate():
    """A burst of 10 ms in 40 ms fills a quarter: the louder half of the blocks is the burst and one of silence."""
    for rate in (8000, 48_000):
        burst = np.zeros(rate // 25, np.float32)
        burst[: rate // 100] = 0.01
        assert normalise_level(burst, rate).max() == pytest.approx(0.08 * 2**0.5, rel=1e-4)


def test_frames_per_second_follow_the_mel():
    assert frames_per_second(MelSettings()) == 86
    assert frames_per_second(MEL) == 62
    assert frames_per_second(replace(MEL, hop=128)) == 125


def test_features_lie_at_the_index_of_their_sound(tmp_path):
    """Each sound has a length and a level of its own, in the catalogue's order."""
    sounds = read_catalog(write_catalog(tmp_path, ["CC0"] * 4))
    data = open_sound_dataset(sounds, tmp_path / "cache", MEL)
    for i in range(4):
        assert data.sounds[i].label == f"label {i}"
        assert len(data.wave(i)) == 1600 * (i + 1)
        assert data.mel(i).shape == (MEL.n_frames(1600 * (i + 1)), 8)
    # Constant sounds all come out at one level.
    np.testing.assert_allclose(data.wave(2), 0.08, atol=1e-3)


def test_features_are_computed_once(tmp_path):
    folder = write_catalog(tmp_path, ["CC0"] * 2)
    sounds = read_catalog(folder)
    first = open_sound_dataset(sounds, tmp_path / "cache", MEL)
    for path in folder.glob("*.wav"):
        path.unlink()
    again = open_sound_dataset(sounds, tmp_path / "cache", MEL)
    np.testing.assert_array_equal(first.mels, again.mels)
    with pytest.raises(Exception, match=r"\.wav"):
        open_sound_dataset(sounds, tmp_path / "cache", replace(MEL, n_mels=9))


def test_arrays_of_other_sounds_are_refused():
    data = dataset([sound("a"), sound("b", number=1)], [3, 4], MEL)
    with pytest.raises(ValueError, match="samples of 2 sounds, expected 1"):
        replace(data, sounds=data.sounds[:1])
    with pytest.raises(ValueError, match="mels of 1 sounds, expected 2"):
        SoundDataset(data.sounds, MEL, data.samples, data.sample_bounds, data.mels, data.mel_bounds[:2])


def test_indices_of_the_splits_are_those_of_the_recordings():
    data = dataset([sound("a", "valid"), sound("a"), sound("b", "test"), sound("c", number=1)], [2] * 4, MEL)
    assert (data.indices("train"), data.indices("valid"), data.indices("test")) == ([1, 3], [0], [2])
    assert split_of(recording_in("valid", 2)) == "valid"


def test_processes_compute_the_features_that_one_computes(tmp_path, monkeypatch):
    """Each sound has a length of its own, so that any other order would show."""
    from onnx_export.data import processes

    sounds = read_catalog(write_catalog(tmp_path, ["CC0"] * 12))
    monkeypatch.setattr(processes, "_processors", lambda: 2)
    alone = open_sound_dataset(sounds, tmp_path / "alone", MEL)
    monkeypatch.setattr(processes, "MIN_ITEMS", 4)
    together = open_sound_dataset(sounds, tmp_path / "together", MEL)
    for name in ("samples", "sample_bounds", "mels", "mel_bounds"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))
