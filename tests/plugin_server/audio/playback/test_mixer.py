"""The mixer without a device: what is asked for, sample by sample."""

import tracemalloc

import numpy as np
import pytest

from plugin_server.audio.playback.mixer import MAX_VOICES, Mixer
from plugin_server.audio.playback.voice import Voice, to_stereo

RATE = 48000


def rendered(mixer: Mixer, n: int, block: int = 256) -> np.ndarray:
    parts = []
    for begin in range(0, n, block):
        out = np.empty((min(block, n - begin), 2), np.float32)
        mixer.render(out)
        parts.append(out)
    return np.concatenate(parts)


def sine(hertz: float, seconds: float, level: float = 0.5) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    return to_stereo(wave.astype(np.float32)[:, None])


def noise(n: int, level: float = 0.5) -> np.ndarray:
    return np.random.default_rng(1).uniform(-level, level, (2, n)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 64, 256, 1000, 4096])
def test_a_clip_comes_out_as_it_is_and_ends(block):
    mixer, clip = Mixer(RATE), noise(3001)
    mixer.play(Voice(clip))
    out = rendered(mixer, 5000, block)
    assert np.array_equal(out[:3001].T, clip)
    assert not out[3001:].any()
    assert mixer.n_voices == 0


@pytest.mark.parametrize("start", [0, 1, 255, 256, 700, 1023])
def test_a_voice_starts_on_its_frame(start):
    mixer, clip = Mixer(RATE), noise(500)
    mixer.play(Voice(clip, start_frame=start))
    out = rendered(mixer, 2000)
    assert not out[:start].any()
    assert np.array_equal(out[start : start + 500].T, clip)


def test_gain_and_pan_keep_the_power():
    for pan in (-1, -0.5, 0, 0.3, 1):
        mixer = Mixer(RATE)
        mixer.play(Voice(np.full((2, 100), 0.5, np.float32), gain=0.5, pan=pan))
        left, right = rendered(mixer, 100)[50]
        assert left**2 + right**2 == pytest.approx(2 * 0.25**2, rel=1e-5)
        assert (left > right) == (pan < 0) and (left < right) == (pan > 0)


def test_twice_the_rate_is_an_octave():
    mixer = Mixer(RATE)
    mixer.play(Voice(sine(500, 1.0), rate=2.0))
    out = rendered(mixer, RATE)[:, 0]
    assert np.abs(np.fft.rfft(out[: RATE // 2])).argmax() == 500
    assert not out[RATE // 2 :].any()


def test_a_fractional_rate_interpolates():
    mixer = Mixer(RATE)
    mixer.play(Voice(np.arange(100, dtype=np.float32)[None].repeat(2, 0) / 200, rate=0.5))
    assert np.allclose(rendered(mixer, 190)[:, 0], np.arange(190) / 400, atol=1e-6)


@pytest.mark.parametrize("rate", [1.0, 0.75, 1.5])
def test_a_loop_has_no_seam(rate):
    clip = sine(480, 0.1)
    mixer = Mixer(RATE)
    mixer.play(Voice(clip, loop=(0, clip.shape[1]), rate=rate))
    out = rendered(mixer, 3 * RATE // 2)[:, 0]
    expected = 0.5 * np.sin(2 * np.pi * 480 * rate * np.arange(len(out)) / RATE)
    assert np.abs(out - expected).max() < 2e-3


def test_a_loop_between_points_plays_what_is_before_once():
    clip = noise(1000)
    mixer = Mixer(RATE)
    mixer.play(Voice(clip, loop=(300, 700)))
    expected = np.concatenate([clip[:, :700], clip[:, 300:700], clip[:, 300:700]], axis=1)
    assert np.array_equal(rendered(mixer, 1500).T, expected)


def test_stopping_makes_no_step():
    clip = sine(100, 2.0)
    mixer = Mixer(RATE)
    mixer.play(Voice(clip, tags=("a",)))
    before = rendered(mixer, 10 * 256)
    mixer.stop("a")
    out = np.concatenate([before, rendered(mixer, 4096)])[:, 0]
    assert np.abs(np.diff(out)).max() < 0.5 * 2 * np.pi * 100 / RATE + 0.5 / (0.008 * RATE) + 1e-4
    assert mixer.n_voices == 0 and out[-1] == 0


def test_an_attack_and_a_new_volume_make_no_step():
    mixer = Mixer(RATE)
    mixer.play(Voice(np.full((2, RATE), 0.5, np.float32), attack_s=0.01))
    out = rendered(mixer, 2048)
    mixer.set_volume(0.25)
    out = np.concatenate([out, rendered(mixer, 4096)])[:, 0]
    assert np.abs(np.diff(out, prepend=0)).max() <= 0.5 / (0.008 * RATE) + 1e-4
    assert out[1500] == 0.5 and out[-1] == pytest.approx(0.125)


def test_a_choke_group_has_one_voice():
    mixer = Mixer(RATE)
    for i in range(3):
        mixer.play(Voice(noise(RATE), choke="hat", start_frame=i * 1000))
    mixer.play(Voice(noise(RATE), choke="other"))
    rendered(mixer, 1000)
    assert mixer.n_voices == 4
    rendered(mixer, 4000)
    assert mixer.n_voices == 2


def test_stop_forgets_what_waits_and_leaves_others():
    mixer = Mixer(RATE)
    mixer.play(Voice(noise(RATE), tags=("a",), start_frame=10000))
    mixer.play(Voice(noise(RATE), tags=("b",)))
    rendered(mixer, 256)
    mixer.stop("a")
    rendered(mixer, 256)
    assert mixer.n_voices == 1


def test_the_limiter_never_goes_above_one_and_leaves_clips_alone():
    mixer = Mixer(RATE)
    for _ in range(MAX_VOICES):
        mixer.play(Voice(noise(2000, 1.0)))
    out = rendered(mixer, 2000)
    assert 0.95 < np.abs(out).max() <= 1.0
    ramp = np.linspace(-2, 2, 4000, dtype=np.float32)[None].repeat(2, 0)
    mixer.play(Voice(np.ascontiguousarray(ramp)))
    bent = rendered(mixer, 4000)[:, 0]
    assert np.diff(bent).min() >= 0 and np.abs(bent).max() <= 1


def test_one_voice_too_many_makes_the_oldest_fade():
    mixer = Mixer(RATE)
    for i in range(MAX_VOICES + 1):
        mixer.play(Voice(noise(RATE, 0.001), tags=(str(i),)))
    rendered(mixer, 2000)
    assert mixer.n_voices == MAX_VOICES


def test_stopping_all_voices_at_once_makes_no_step():
    mixer = Mixer(RATE)
    for _ in range(MAX_VOICES):
        mixer.play(Voice(sine(100, 2.0, 0.5 / MAX_VOICES)))
    before = rendered(mixer, 10 * 256)
    mixer.stop()
    out = np.concatenate([before, rendered(mixer, 4096)])[:, 0]
    assert np.abs(np.diff(out)).max() < 0.5 * 2 * np.pi * 100 / RATE + 0.5 / (0.008 * RATE) + 1e-3
    assert mixer.n_voices == 0 and not out[-3000:].any()


def test_voices_without_room_fade_quickly_and_make_no_step():
    mixer = Mixer(RATE)
    for _ in range(3):
        for _ in range(MAX_VOICES):
            mixer.play(Voice(np.full((2, RATE), 0.4 / MAX_VOICES, np.float32), attack_s=0.01))
        out = rendered(mixer, 256)
    out = np.concatenate([out, rendered(mixer, 1024)])[:, 0]
    # All of them together: 64 that begin, 64 that fade in 8 ms and 64 that fade in 1.5 ms.
    assert np.abs(np.diff(out)).max() < 0.4 * (1 / 0.01 + 1 / 0.008 + 1 / 0.0015) / RATE + 1e-4
    assert mixer.n_voices == MAX_VOICES


def test_a_release_of_its_own_holds_but_not_when_choked():
    mixer = Mixer(RATE)
    held = np.full((2, RATE), 0.5, np.float32)
    mixer.play(Voice(held, tags=("slow",), release_s=0.1, choke="g"))
    rendered(mixer, 256)
    mixer.stop("slow")
    out = rendered(mixer, RATE // 5)[:, 0]
    assert out[RATE // 20] == pytest.approx(0.25, abs=0.01)
    assert np.flatnonzero(out)[-1] == pytest.approx(RATE // 10, abs=2)
    mixer.play(Voice(held, release_s=10.0, choke="g"))
    mixer.play(Voice(held * 0.1, choke="g", start_frame=mixer.frame + 1024))
    assert rendered(mixer, 4096)[-1, 0] == pytest.approx(0.05)


def test_levels_are_those_of_what_was_heard():
    mixer = Mixer(RATE)
    mixer.is_metering = True
    mixer.play(Voice(sine(1000, 1.0), pan=-1, gain=0.5))
    rendered(mixer, RATE // 2)
    levels = mixer.take_levels()
    assert levels.peak[0] == pytest.approx(0.25 * 2**0.5, rel=1e-3) and levels.peak[1] < 1e-6
    assert levels.rms[0] == pytest.approx(0.25, rel=1e-3)
    assert mixer.take_levels().peak == (0.0, 0.0)


def test_rendering_keeps_no_memory():
    mixer = Mixer(RATE)
    mixer.is_metering = True
    for i in range(MAX_VOICES):
        mixer.play(Voice(noise(5000, 0.1), loop=(10, 4990), rate=1 + i / 100))
    out = np.empty((256, 2), np.float32)
    for _ in range(10):
        mixer.render(out)
    tracemalloc.start()
    try:
        mixer.render(out)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(50):
            mixer.render(out)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2000
    assert peak - before < 16000


@pytest.mark.parametrize(
    "wrong", [{"rate": 0.0}, {"loop": (5, 5)}, {"loop": (0, 101)}, {"samples": np.zeros((2, 0), np.float32)}]
)
def test_a_voice_that_cannot_sound_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Voice(**{"samples": np.zeros((2, 100), np.float32), **wrong})
