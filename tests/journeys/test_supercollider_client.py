"""The SuperCollider client of presets/clients: the class in a real sclang, its buffers in a real scsynth."""

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from scipy.signal import fftconvolve

from plugin_server.audio.formats.files import read_recipe
from tests.journeys.conftest import free_port, jack_server, need

CLIENT = Path(__file__).parent.parent.parent / "presets" / "clients" / "supercollider"

FILES = """
Clipsonic.files("sea waves", 0.5,
    { |path, clip| ("clip:" + [path, clip[\\seconds], clip[\\take], clip[\\seed]]).postln },
    [steps: 2, seed: 21, variations: 2],
    { |fraction, stage, job| ("progress:" + fraction).postln });
OSCFunc({ 0.exit }, '/done', argTemplate: ['/generate']);
"""

PICTURES = """
var n = 0, tell = { |path| ("clip:" + path).postln };
Clipsonic.files(seconds: 0.5, action: tell, attributes: [steps: 2, seed: 23], image: "ONE");
Clipsonic.files("rain", 0.5, tell, [steps: 2, seed: 24, blend: 0.25], image: ["ONE", "TWO"]);
OSCFunc({ if((n = n + 1) == 2) { 0.exit } }, '/done', argTemplate: ['/generate']);
"""

FAILURES = """
var silence, tell = { |code, sentence, job|
    ("fail:" + [job.prompt, code, sentence]).postln;
    // Cmd-. has emptied the clocks by then.
    if(code == \\cancelled) { silence.value }
};
silence = {
    Clipsonic.generate("deaf", 1, { }, failure: tell);
    Clipsonic.port = SILENT;
    Clipsonic.patience = 0.5;
    Clipsonic.files("silent", 1, { }, nil, nil, tell);
    Clipsonic.status { |status| ("status:" + status).postln };
    SystemClock.sched(1, {
        ("left:" + CmdPeriod.objects.select(_.isKindOf(ClipsonicJob)).size).postln;
        0.exit;
        nil
    })
};
["long rain", "odd", "wind"].do { |prompt, i|
    Clipsonic.files(prompt, [99, 0.5, 30][i], { "clip:".postln }, [[], [sausage: 1], [steps: 100]][i], nil, tell)
};
Clipsonic.status { |status| ("status:" + [status[\\engine], status[\\model], status[\\sampleRate]]).postln };
SystemClock.sched(0.5, { CmdPeriod.run });
"""

PLAY = """
var server = Server(\\ours, NetAddr("127.0.0.1", SYNTH));
Server.default = server;
server.options.numInputBusChannels = 0;
server.waitForBoot {
    server.recHeaderFormat = "wav";
    server.recSampleFormat = "float";
    server.prepareForRecord("HEARD", 1);
    server.sync;
    server.record;
    0.3.wait;
    Clipsonic.generate("sea waves", 0.5, { |buf, clip|
        ("buffer:" + [buf.numFrames, buf.sampleRate, buf.path == clip[\\path]]).postln;
        buf.play;
        AppClock.sched(1.5, {
            server.stopRecording;
            AppClock.sched(0.5, { server.quit(onComplete: { 0.exit }, onFailure: { 0.exit }) });
        });
    }, [steps: 2, seed: 22]);
};
"""


def run_sclang(tmp_path: Path, port: int, code: str, **more: str) -> list[str]:
    """Lines that the code posts."""
    settings, script = tmp_path / "sclang.yaml", tmp_path / "script.scd"
    settings.write_text(f"includePaths:\n    - {CLIENT}\n")
    script.write_text(f"Clipsonic.port = {port};\n{{ {code} }}.value;\n")
    command = [need("sclang", "supercollider-language"), "-l", str(settings), str(script)]
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    # sclang has Qt with a browser inside, which wants a screen, and no root.
    home |= {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=os.environ | home | more
    ) as process:
        clock = threading.Timer(30, process.kill)
        clock.start()
        try:
            said = process.stdout.read()
        finally:
            clock.cancel()
    assert "Welcome" in said and "ERROR" not in said, said
    return said.split("Welcome")[1].splitlines()


def posted(lines: list[str], name: str) -> list[str]:
    return [line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}:")]


def test_words_become_takes(daemon, tmp_path):
    lines = run_sclang(tmp_path, daemon.port, FILES)
    paths = [daemon.folder / f"sea-waves_0.5s_s{20 + take}_t{take}.wav" for take in (1, 2)]
    assert posted(lines, "clip") == [f"[ {path}, 0.5, {take}, {20 + take} ]" for take, path in enumerate(paths, 1)]
    progress = [float(fraction) for fraction in posted(lines, "progress")]
    assert progress[0] == 0 and progress[-1] == 1 and progress == sorted(progress)


def test_pictures_are_prompts(daemon, tmp_path):
    images = [str(tmp_path / name) for name in ("my red.png", "blue.png")]
    for image in images:
        Image.new("RGB", (30, 20), Path(image).stem.split(" ")[-1]).save(image)
    lines = run_sclang(tmp_path, daemon.port, PICTURES.replace("ONE", images[0]).replace("TWO", images[1]))
    names = [daemon.folder / name for name in ("my-red_0.5s_s23_t1.wav", "rain_0.5s_s24_t1.wav")]
    assert posted(lines, "clip") == [str(name) for name in names]
    assert [read_recipe(name)["images"] for name in names] == [images[:1], images]
    assert [read_recipe(name)["blend"] for name in names] == [1.0, 0.25]


def test_each_failure_finds_its_own_job(daemon, tmp_path):
    lines = run_sclang(tmp_path, daemon.port, FAILURES.replace("SILENT", str(free_port())))
    failures = dict(line.strip("[] ").split(", ", 1) for line in posted(lines, "fail"))
    assert failures["long rain"].startswith("bad_argument, seconds: got 99")
    assert failures["odd"].startswith("bad_argument, attribute: got @sausage")
    assert failures["wind"].startswith("cancelled")
    assert failures["deaf"].startswith("no_server")
    assert failures["silent"].startswith("no_answer, nothing came back")
    assert posted(lines, "status") == ["[ ready, clipsonic-mini, 48000.0 ]", "nil"]
    assert posted(lines, "left") == ["0"] and not posted(lines, "clip")


def test_a_buffer_plays_the_clip(daemon, tmp_path):
    heard, name = tmp_path / "heard.wav", f"clipsonic-{os.getpid()}"
    code = PLAY.replace("SYNTH", str(free_port())).replace("HEARD", str(heard))
    need("scsynth", "supercollider-server")
    with jack_server(name):
        lines = run_sclang(tmp_path, daemon.port, code, JACK_DEFAULT_SERVER=name, JACK_NO_START_SERVER="1")
    assert posted(lines, "buffer") == ["[ 24000, 48000.0, true ]"]
    clip, _ = soundfile.read(daemon.folder / "sea-waves_0.5s_s22_t1.wav", dtype="float32")
    recorded, rate = soundfile.read(heard, dtype="float32")
    start = int(np.argmax(fftconvolve(recorded, clip[::-1], "valid")))
    # Buffer.play fades in over 20 ms.
    assert rate == 48000 and np.array_equal(recorded[start + 960 : start + len(clip)], clip[960:])


def test_the_quark_names_its_class_and_help():
    quark = (CLIENT / "Clipsonic.quark").read_text()
    assert 'name: "Clipsonic"' in quark and (CLIENT / "Classes" / "Clipsonic.sc").exists()
    page = (CLIENT / "HelpSource" / "Classes" / "Clipsonic.schelp").read_text()
    for method in ("generate", "files", "status", "cancel", "host", "port", "patience"):
        assert f"METHOD:: {method}\n" in page
