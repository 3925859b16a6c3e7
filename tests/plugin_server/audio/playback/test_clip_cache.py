"""Clips are decoded once, and only so many and so long ones are held."""

import gc

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.playback import clip_cache
from plugin_server.audio.playback.clip_cache import ClipCache
from plugin_server.errors import BadFile, QueueFull


def write(path, n_frames=1000, rate=48000):
    write_clip(path, Clip(np.full((n_frames, 1), 0.1, np.float32), rate), overwrite=True)
    return path


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded."""
    names, real = [], clip_cache.read_clip
    monkeypatch.setattr(clip_cache, "read_clip", lambda path: names.append(path.name) or real(path))
    return names


def test_a_clip_is_decoded_once_unless_its_file_is_new(tmp_path, decoded):
    cache, path = ClipCache(), write(tmp_path / "a.wav")
    assert cache.load(path, 48000) is cache.load(path, 48000)
    assert decoded == ["a.wav"]
    write(path, 10)
    assert cache.load(path, 48000).shape == (2, 10)
    assert cache.load(path, 24000).shape == (2, 5)


def test_the_cache_is_bounded_and_the_last_used_stays(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(clip_cache, "CACHE_BYTES", 3 * 8 * 1000)
    cache = ClipCache()
    for name in ("0.wav", "1.wav", "2.wav", "0.wav", "3.wav", "0.wav", "2.wav"):
        cache.load(write(tmp_path / name) if not (tmp_path / name).exists() else tmp_path / name, 48000)
        gc.collect()
    assert decoded == ["0.wav", "1.wav", "2.wav", "3.wav"]
    cache.load(tmp_path / "1.wav", 48000)
    assert decoded[-1] == "1.wav"


def test_what_still_sounds_is_not_decoded_again_and_counts(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(clip_cache, "CACHE_BYTES", 8 * 1000)
    monkeypatch.setattr(clip_cache, "HELD_BYTES", 3 * 8 * 1000)
    cache = ClipCache()
    sounding = [cache.load(write(tmp_path / f"{i}.wav"), 48000) for i in range(3)]
    assert cache.load(tmp_path / "0.wav", 48000) is sounding[0] and len(decoded) == 3
    with pytest.raises(QueueFull, match="the clips that sound fill 0 MiB already; /stop some"):
        cache.load(write(tmp_path / "3.wav"), 48000)
    sounding.clear()
    assert cache.load(tmp_path / "3.wav", 48000).shape == (2, 1000)


def test_a_clip_that_is_too_long_is_refused_by_its_head_alone(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(clip_cache, "MAX_CLIP_S", 0.5)
    for name in ("long.wav", "long.flac", "long.aiff"):
        with pytest.raises(BadFile, match=rf"{name}: got 1 s, expected at most 0.5 to be played"):
            ClipCache().load(write(tmp_path / name, 48000), 48000)
    assert decoded == []
    monkeypatch.setattr(clip_cache, "MAX_FILE_BYTES", 100)
    with pytest.raises(BadFile, match="got 0 MiB, expected at most 0 to be played"):
        ClipCache().load(write(tmp_path / "large.wav"), 48000)


@pytest.mark.parametrize("content", [None, b"", b"RIFF", b"words"], ids=str)
def test_a_file_that_is_no_clip_is_refused(tmp_path, content):
    path = tmp_path / "moon.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadFile, match=r"moon\.wav"):
        ClipCache().load(path, 48000)


def test_a_clip_without_samples_is_refused(tmp_path):
    with pytest.raises(BadFile, match=r"empty\.wav: holds no samples"):
        ClipCache().load(write(tmp_path / "empty.wav", 0), 48000)
