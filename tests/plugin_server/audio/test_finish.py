import numpy as np
import pytest
from scipy import signal

from plugin_server.audio.clip import Clip
from plugin_server.audio.finish import (
    FinishSettings,
    fade,
    fast_length,
    finish,
    finish_loop,
    fit,
    k_weighting,
    loudness_lufs,
    remove_dc,
    resample,
    set_loudness,
    true_peak_db,
)


def sine(hz=997.0, seconds=3.0, rate=48000, level=1.0) -> Clip:
    return Clip.mono(level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate), rate)


def noise(seconds=2.0, rate=44100, seed=0) -> Clip:
    return Clip.mono(np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 0.1, rate)


def test_a_full_scale_sine_of_997_hz_has_the_standards_loudness():
    assert loudness_lufs(sine()) == pytest.approx(-3.01, abs=0.02)
    assert loudness_lufs(sine(rate=44100)) == pytest.approx(-3.01, abs=0.02)


def test_the_weighting_is_the_table_of_bs_1770_at_48_khz():
    (shelf_b, shelf_a), (pass_b, pass_a) = k_weighting(48000)
    np.testing.assert_allclose(shelf_b, [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-6)
    np.testing.assert_allclose(shelf_a / shelf_a[0], [1, -1.69065929318241, 0.73248077421585], atol=1e-6)
    np.testing.assert_allclose(pass_b, [1, -2, 1])
    np.testing.assert_allclose(pass_a / pass_a[0], [1, -1.99004745483398, 0.99007225036621], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_agrees_with_filtering_sample_by_sample(channels):
    rng = np.random.default_rng(3)
    envelope = np.repeat(rng.uniform(0.0, 0.3, 40) ** 2, 4800)[:, None]
    clip = Clip((rng.standard_normal((192000, channels)) * envelope).astype(np.float32), 48000)
    x = clip.samples.astype(np.float64)
    for b, a in k_weighting(48000):
        x = signal.lfilter(b / a[0] if a[0] != 1 and b[0] == 1 else b, a / a[0], x, axis=0)
    if (k_weighting(48000)[0][1][0]) != 1:
        x *= k_weighting(48000)[1][1][0]  # the high pass has unity numerator by the standard
    blocks = np.array([(x[i : i + 19200] ** 2).mean(axis=0).sum() for i in range(0, len(x) - 19199, 4800)])
    loud = blocks[-0.691 + 10 * np.log10(blocks + 1e-20) > -70]
    loud = loud[loud > loud.mean() / 10]
    assert loudness_lufs(clip) == pytest.approx(-0.691 + 10 * np.log10(loud.mean()), abs=0.05)


def test_silence_and_clips_shorter_than_a_block_are_measured():
    assert loudness_lufs(Clip.mono(np.zeros(48000), 48000)) == -np.inf
    assert loudness_lufs(sine(seconds=0.1)) == pytest.approx(-3.0, abs=0.5)


def test_the_true_peak_lies_between_the_samples():
    clip = sine(hz=12000, seconds=0.5, rate=48000)
    turned = Clip.mono(np.sin(2 * np.pi * 12000 * np.arange(24000) / 48000 + np.pi / 4), 48000)
    assert 20 * np.log10(np.abs(turned.samples).max()) == pytest.approx(-3.01, abs=0.01)
    assert true_peak_db(turned) == pytest.approx(0, abs=0.2)
    assert true_peak_db(clip) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0, 2.00001])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_finished_clip_is_what_was_promised(seconds, rate):
    raw = Clip(noise().samples + np.float32(0.3), 44100)
    settings = FinishSettings(sample_rate=rate)
    clip = finish(raw, seconds, settings)
    assert (clip.n_frames, clip.sample_rate) == (round(seconds * rate), rate)
    assert true_peak_db(clip) < settings.peak_db
    assert clip.samples[0, 0] == clip.samples[-1, 0] == 0


def test_steady_sound_reaches_the_loudness_and_peaky_sound_stops_at_the_peak():
    steady = finish(noise(), 2.0, FinishSettings())
    assert loudness_lufs(steady) == pytest.approx(-18, abs=0.3)
    clicks = np.zeros(88200)
    clicks[::22050] = 0.9
    peaky = finish(Clip.mono(clicks, 44100), 2.0, FinishSettings())
    assert loudness_lufs(peaky) < -18
    assert -1.5 < true_peak_db(peaky) < -1


def test_silence_stays_silence():
    assert not finish(Clip.mono(np.zeros(1000), 44100), 0.5, FinishSettings()).samples.any()


def test_fit_cuts_and_adds_silence_at_the_end():
    clip = sine(seconds=1)
    assert np.array_equal(fit(clip, 100).samples, clip.samples[:100])
    longer = fit(clip, 60000).samples
    assert np.array_equal(longer[:48000], clip.samples) and not longer[48000:].any()


def test_fades_touch_the_ends_only():
    clip = Clip.mono(np.ones(1000), 1000)
    faded = fade(clip, 0.1, 0.2).samples[:, 0]
    assert (faded[0], faded[-1]) == (0, 0)
    assert (faded[100:800] == 1).all()
    assert (np.diff(faded[:100]) > 0).all() and (np.diff(faded[800:]) < 0).all()


def test_dc_is_removed_from_each_channel():
    clip = Clip(np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32) + np.float32([1, -2]), 48000)
    assert np.abs(remove_dc(clip).samples.mean(axis=0)).max() < 1e-6


def test_resampling_keeps_pitch_and_length():
    clip = resample(sine(hz=1000, seconds=1, rate=44100), 48000)
    assert abs(clip.n_frames - 48000) <= 1
    assert np.abs(np.fft.rfft(clip.samples[:48000, 0])).argmax() == 1000
    assert resample(clip, 48000) is clip


def test_gain_is_one_number_for_the_whole_clip():
    clip = noise()
    louder = set_loudness(clip, -14, -1)
    ratio = louder.samples / clip.samples
    assert ratio.std() / ratio.mean() < 1e-5


@pytest.mark.parametrize("n", [1, 2, 7, 1001, 504000, 504001])
def test_fast_lengths_are_fast_and_long_enough(n):
    found = fast_length(n)
    assert n <= found <= max(2, 1.1 * n + 8)
    for prime in (2, 3, 5):
        while found % prime == 0:
            found //= prime
    assert found == 1


@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_peak_holds_for_what_loudness_cannot_hear(rate):
    deep = Clip.mono(1.5 * np.sin(2 * np.pi * 0.1 * np.arange(10 * rate) / rate), rate)
    assert loudness_lufs(deep) == -np.inf
    assert true_peak_db(set_loudness(deep, -18, -1)) < -1


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_shortest_clips_begin_and_end_at_zero(n):
    faded = fade(Clip.mono(np.ones(n), 48000), 0.003, 0.012)
    assert faded.n_frames == n
    assert faded.samples[0, 0] == faded.samples[-1, 0] == 0


def test_nothing_is_finished_to_silence():
    assert not finish(Clip.mono(np.zeros(0), 44100), 0.5, FinishSettings()).samples.any()


@pytest.mark.parametrize("seconds", [1.0, 1.2345, 2.0])
def test_a_loop_keeps_its_seam_and_gets_its_length(seconds):
    """Five whole turns of a sine in any number of samples: after the finish still five, and no step at the seam."""
    frames = round(seconds * 44100) + 137
    sine = np.sin(2 * np.pi * 5 * np.arange(frames) / frames).astype(np.float32)[:, None]
    made = finish_loop(Clip(np.repeat(sine, 2, axis=1), 44100), seconds, FinishSettings())
    assert (made.n_frames, made.samples.shape[1]) == (round(seconds * 48000), 2)
    assert true_peak_db(made) < -1
    x = made.samples[:, 0]
    turns = np.abs(np.fft.rfft(x))
    assert turns.argmax() == 5
    assert turns[6:].max() < 1e-4 * turns[5]
    assert abs(x[0] - x[-1]) <= np.abs(np.diff(x)).max() * 1.001
