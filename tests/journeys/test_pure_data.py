"""A headless Pure Data patch that sends two symbols and a float, and prints what comes back."""

import subprocess
import threading
import wave

from tests.journeys.conftest import need

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


def test_two_symbols_and_a_float_become_a_clip_of_that_length(daemon, tmp_path):
    program = need("pd", "puredata-core")
    patch = tmp_path / "ask.pd"
    patch.write_text(PATCH.format(port=daemon.port))
    command = [program, "-stderr", "-nogui", "-noaudio", "-open", str(patch)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as pd:
        heard, clock = [], threading.Timer(30, pd.kill)
        clock.start()
        try:
            for line in pd.stderr:
                heard.append(line.strip())
                if line.startswith(("heard: list done", "heard: list fail")):
                    break
        finally:
            clock.cancel()
            pd.kill()
    said = "\n".join(heard)
    assert "heard: list done /generate" in said, said
    assert "queued" in said and "progress" in said
    (path,) = daemon.folder.glob("sea-waves_1s_s7_t1.wav")
    assert path.name in said
    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.getframerate()) == (48000, 48000)
        assert (file.getsampwidth(), file.getnchannels()) == (3, 1)
