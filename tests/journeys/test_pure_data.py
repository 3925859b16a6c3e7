"""Headless Pure Data patches that send two symbols and a float, and print what comes back."""

import subprocess
import threading
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_server.client import Client
from tests.journeys.conftest import free_port, need
from tests.support.recipes import write_made

PATCH = """#N canvas 0 0 600 400 12;
#X obj 20 20 loadbang;
#X msg 20 50 connect 127.0.0.1 {port};
#X obj 20 200 netsend -u -b;
#X obj 150 20 del 300;
#X msg 150 50 list sea waves 1 @steps 2 @seed 7;
#X obj 150 80 oscformat generate;
#X obj 150 110 list prepend send;
#X obj 150 140 list trim;
#X obj 20 240 oscparse;
#X obj 20 270 print heard;
#X connect 0 0 1 0;
#X connect 0 0 3 0;
#X connect 1 0 2 0;
#X connect 3 0 4 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 7 0;
#X connect 7 0 2 0;
#X connect 2 1 8 0;
#X connect 8 0 9 0;
"""

EARS = """#N canvas 0 0 600 400 12;
#X obj 20 20 loadbang;
#X msg 20 50 connect 127.0.0.1 {port};
#X obj 20 260 netsend -u -b;
#X obj 150 20 del 300;
#X msg 150 50 list 1 {ear};
#X obj 150 80 oscformat notify;
#X obj 150 200 list prepend send;
#X obj 150 230 list trim;
#X obj 300 20 del 600;
#X msg 300 50 list sea waves 1 @steps 2 @seed 8;
#X obj 300 80 oscformat generate;
#X obj 20 300 netreceive -u -b {ear};
#X obj 20 330 oscparse;
#X obj 20 360 print heard;
#X obj 450 20 del 20000;
#X msg 450 50 \\; pd quit;
#X connect 0 0 1 0;
#X connect 0 0 3 0;
#X connect 0 0 8 0;
#X connect 0 0 14 0;
#X connect 1 0 2 0;
#X connect 3 0 4 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 7 0;
#X connect 7 0 2 0;
#X connect 8 0 9 0;
#X connect 9 0 10 0;
#X connect 10 0 6 0;
#X connect 11 0 12 0;
#X connect 12 0 13 0;
#X connect 14 0 15 0;
"""
"""Hears on a socket of its own, as patches with [netreceive] do, and quits by itself should the test be gone."""


def play(patch: Path, text: str) -> str:
    """What Pd prints until the clip is done or has failed."""
    patch.write_text(text)
    ends = ("heard: list done /generate", "heard: list fail")
    return "\n".join(said_until(patch, lambda line: line.startswith(ends)))


def said_until(patch: Path, is_last: Callable[[str], bool]) -> list[str]:
    """The lines that Pd prints up to the last one, or within 30 s."""
    command = [need("pd", "puredata-core"), "-stderr", "-nogui", "-noaudio", "-open", str(patch)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as pd:
        heard, clock = [], threading.Timer(30, pd.kill)
        clock.start()
        try:
            for line in pd.stderr:
                heard.append(line.strip())
                if is_last(line):
                    break
        finally:
            clock.cancel()
            pd.kill()
    return heard


def one_second(folder: Path, name: str) -> Path:
    """The clip of that name, which is exactly what a DAW at 48 kHz wants."""
    (path,) = folder.glob(name)
    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.getframerate()) == (48000, 48000)
        assert (file.getsampwidth(), file.getnchannels()) == (3, 1)
    return path


def test_two_symbols_and_a_float_become_a_clip_of_that_length(daemon, tmp_path):
    said = play(tmp_path / "ask.pd", PATCH.format(port=daemon.port))
    assert "heard: list done /generate" in said, said
    assert "queued" in said and "progress" in said
    assert one_second(daemon.folder, "sea-waves_1s_s7_t1.wav").name in said


def test_a_patch_that_hears_on_another_port_subscribes_it(daemon, tmp_path):
    said = play(tmp_path / "ears.pd", EARS.format(port=daemon.port, ear=free_port()))
    assert "heard: list done /notify" in said, said
    assert "heard: list done /generate" in said, said
    assert one_second(daemon.folder, "sea-waves_1s_s8_t1.wav").name in said


LISTS = """#N canvas 0 0 600 400 12;
#X obj 20 20 loadbang;
#X msg 20 50 connect 127.0.0.1 {port};
#X obj 20 200 netsend -u -b;
#X obj 150 20 del 300;
#X msg 150 50 list {arguments};
#X obj 150 80 oscformat {address};
#X obj 150 110 list prepend send;
#X obj 150 140 list trim;
#X obj 20 240 oscparse;
#X obj 20 260 list trim;
#X obj 20 280 print heard;
#X connect 0 0 1 0;
#X connect 0 0 3 0;
#X connect 1 0 2 0;
#X connect 3 0 4 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 7 0;
#X connect 7 0 2 0;
#X connect 2 1 8 0;
#X connect 8 0 9 0;
#X connect 9 0 10 0;
"""


@pytest.mark.parametrize(
    ("address", "arguments"), [("clip list", "200"), ("clip search", "sea @count 200")], ids=["list", "search"]
)
def test_a_patch_that_prints_two_hundred_replies_loses_none(daemon, tmp_path, address, arguments):
    for seed in range(1000, 1210):
        if not (daemon.folder / f"sea_{seed}.wav").exists():
            write_made(daemon.folder, f"sea_{seed}.wav", "sea waves on a long and stony beach in the wind " * 5, seed)
    with Client(daemon.port) as client:
        client.ask("/clip/scan", reply="/done", timeout_s=30)
    patch = tmp_path / "lists.pd"
    patch.write_text(LISTS.format(port=daemon.port, address=address, arguments=arguments))
    said = said_until(patch, lambda line: line.startswith(("heard: done", "heard: fail")))
    assert len([line for line in said if line.startswith("heard: clip.info")]) == 200
    assert said[-1] == f"heard: done /{address.replace(' ', '/')} 200"
