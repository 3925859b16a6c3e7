import numpy as np

from plugin_server.audio.clip import Clip
from plugin_server.audio.text_spectrogram import RAMP, SHADES, draw_spectrogram


def test_a_tone_is_drawn_as_one_line_at_its_height():
    tone = Clip.mono(np.sin(2 * np.pi * 440 * np.arange(48000) / 48000), 48000)
    lines = draw_spectrogram(tone, columns=40, rows=12, colour=False).splitlines()
    assert len(lines) == 13
    assert lines[-1].startswith("0 s") and "1 s" in lines[-1]
    light = [sum(SHADES.index(c) for c in line) / 40 for line in lines[:-1]]
    assert max(light) > 8
    assert light.index(max(light)) in (9, 10, 11)
    assert sorted(light)[-3] < 5


def test_colours_show_two_bands_in_a_character():
    noise = Clip.mono(np.random.default_rng(0).standard_normal(24000) * 0.1, 48000)
    lines = draw_spectrogram(noise, columns=30, rows=6).splitlines()
    assert all(line.count("▀") == 30 and line.endswith("\x1b[0m") for line in lines[:-1])
    assert f"38;5;{RAMP[-1]}" in "".join(lines)


def test_silence_and_very_short_clips_can_be_drawn():
    for n in (1, 10, 5000):
        assert draw_spectrogram(Clip.mono(np.zeros(n), 48000), colour=False).count("\n") == 12
