"""The Pure Data client of presets/clients: [clipsonic] and its patches in a headless Pd."""

import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from plugin_server.settings import Settings
from tests.journeys.conftest import free_port, need

CLIENT = Path(__file__).parent.parent.parent / "presets" / "clients" / "pure-data"

ASK = """#N canvas 0 0 600 400 12;
#X obj 20 20 loadbang;
#X msg 20 50 {message};
#X obj 20 80 clipsonic {port};
#X obj 20 110 print path;
#X obj 120 110 print progress;
#X obj 220 110 print status;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
#X connect 2 0 3 0;
#X connect 2 1 4 0;
#X connect 2 2 5 0;
"""

LISTEN = """#N canvas 0 0 600 400 12;
#X obj 20 20 loadbang;
#X msg 20 50 open -wave -bytes 4 {heard} \\, start;
#X obj 20 80 writesf~ 1;
#X obj 120 80 catch~ ear;
#X msg 220 50 \\; pd dsp 1;
#X msg 220 100 generate sea waves 0.5 @steps 2 @seed 11;
#X obj 220 130 clipsonic-play {port};
#X obj 320 50 del 200;
#X msg 420 50 stop;
#X obj 420 80 print ended;
#X connect 0 0 4 0;
#X connect 0 0 1 0;
#X connect 0 0 7 0;
#X connect 1 0 2 0;
#X connect 3 0 2 0;
#X connect 7 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 8 0;
#X connect 8 0 2 0;
#X connect 8 0 9 0;
"""
"""Records what [clipsonic-play] would send to the sound card, until the clip has been played."""


def run_pd(patch: Path, folder: Path, until: str, is_done: Callable[[], bool] = lambda: True) -> str:
    """What a headless Pd prints, up to the first line that holds `until`; it then ends when `is_done` says so."""
    command = [need("pd", "puredata-core"), "-stderr", "-nogui", "-noaudio", "-r", "48000"]
    command += ["-path", str(folder), "-open", str(patch)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as pd:
        said, clock = "", threading.Timer(30, pd.kill)
        clock.start()
        try:
            for line in pd.stderr:
                said += line
                if until in line:
                    break
            while not is_done() and pd.poll() is None:
                time.sleep(0.01)
        finally:
            clock.cancel()
            pd.kill()
    assert until in said, said
    return said


def is_whole(path: Path) -> bool:
    """Whether the head of a WAV file says how long it is."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8)[4:], "little")
    return length > 1000 and length + 8 == path.stat().st_size


def ask(tmp_path: Path, port: int | str, message: str, until: str) -> str:
    patch = tmp_path / "ask.pd"
    patch.write_text(ASK.format(port=port, message=message))
    return run_pd(patch, CLIENT, until)


def test_words_become_progress_and_a_path(daemon, tmp_path):
    said = ask(tmp_path, daemon.port, "generate sea waves 0.5 @steps 2 @seed 9", "status: done /generate")
    path = daemon.folder / "sea-waves_0.5s_s9_t1.wav"
    assert path.exists() and f"path: symbol {path}\n" in said
    progress = [float(number) for number in re.findall(r"^progress: (\S+)$", said, re.MULTILINE)]
    assert progress[0] == 0 and progress[-1] == 1 and progress == sorted(progress)


def test_every_take_comes_out(daemon, tmp_path):
    said = ask(tmp_path, daemon.port, "generate rain 0.5 @steps 2 @variations 3", "status: done /generate")
    assert len(set(re.findall(r"^path: symbol (\S+)$", said, re.MULTILINE))) == 3


def test_a_list_is_a_prompt_and_other_addresses_go_through(daemon, tmp_path):
    ask(tmp_path, daemon.port, "list soft rain 0.5 @steps 2 @seed 3", "status: done /generate")
    assert (daemon.folder / "soft-rain_0.5s_s3_t1.wav").exists()
    assert "status: model clipsonic-mini" in ask(tmp_path, daemon.port, "model/list", "status: done /model/list")
    assert "48000" in ask(tmp_path, daemon.port, "status", "status: status.reply")


def test_a_picture_is_a_prompt_as_the_panel_gives_its_path(daemon, tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "my red.png")
    path = str(tmp_path / "my red.png").replace(" ", "\\ ")
    ask(tmp_path, daemon.port, f"list 0.5 @steps 2 @seed 5 @image {path}", "status: done /generate")
    assert (daemon.folder / "my-red_0.5s_s5_t1.wav").exists()
    ask(tmp_path, daemon.port, f"list rain 0.5 @steps 2 @seed 6 @blend 0.4 @image {path}", "status: done /generate")
    assert (daemon.folder / "rain_0.5s_s6_t1.wav").exists()


def test_a_clip_is_cancelled_and_the_reason_comes_out(daemon, tmp_path):
    long = "generate wind 30 @steps 100 @id long-one \\, cancel long-one"
    said = ask(tmp_path, daemon.port, long, "status: fail /generate")
    assert "status: fail /generate cancelled" in said and "path:" not in said


def test_a_silent_port_is_told(tmp_path):
    ask(tmp_path, free_port(), "generate rain 1", "status: fail clipsonic no_answer")


def test_the_default_port_is_the_daemons():
    assert re.search(rf"#X msg \d+ \d+ {Settings().osc_port};", (CLIENT / "clipsonic.pd").read_text())


def test_the_example_plays_the_clip_sample_for_sample(daemon, tmp_path):
    example = (CLIENT / "clipsonic-play.pd").read_text()
    assert example.count(" dac~;") == 1
    # A bus stands where the sound card is.
    example = example.replace(" dac~;", " throw~ ear;")
    (tmp_path / "clipsonic-play.pd").write_text(example)
    (tmp_path / "clipsonic.pd").write_text((CLIENT / "clipsonic.pd").read_text())
    heard = tmp_path / "heard.wav"
    listen = tmp_path / "listen.pd"
    listen.write_text(LISTEN.format(port=daemon.port, heard=heard))
    # A thread of Pd's own writes what it was given last, and then how much it is.
    run_pd(listen, tmp_path, "ended", lambda: is_whole(heard))
    clip, _ = soundfile.read(daemon.folder / "sea-waves_0.5s_s11_t1.wav", dtype="float32")
    recorded, rate = soundfile.read(heard, dtype="float32")
    start = np.flatnonzero(recorded)[0] - np.flatnonzero(clip)[0]
    assert rate == 48000 and np.array_equal(recorded[start : start + len(clip)], clip * np.float32(0.8))


def test_patches_open_without_complaint_and_need_no_externals(tmp_path):
    opened = tmp_path / "opened.pd"
    opened.write_text(
        "#N canvas 0 0 300 200 12;\n#X obj 9 9 loadbang;\n#X obj 9 40 print opened;\n#X connect 0 0 1 0;\n"
    )
    command = [need("pd", "puredata-core"), "-stderr", "-nogui", "-noaudio", "-noprefs", "-path", str(CLIENT)]
    names = ("clipsonic.pd", "clipsonic-help.pd", "clipsonic-play.pd", "clipsonic-picture.pd", str(opened))
    for name in names:
        command += ["-open", str(CLIENT / name)]
    said = subprocess.run([*command, "-send", "pd quit"], capture_output=True, text=True, timeout=20).stderr
    assert said.strip() == "opened: bang"
