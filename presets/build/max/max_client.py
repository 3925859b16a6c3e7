"""The patches for plain Max: a bpatcher that is a whole client, and a patch around it that plays its clips."""

from pathlib import Path

from presets.build.max import faces
from presets.build.max.parameters import HIDDEN, button
from presets.build.max.patcher import Box, Patch, Value

FACE_WIDTH, FACE_HEIGHT = 360, 152
SCRIPT = "clipsonic-client.js"


def build_bpatcher(folder: Path) -> Patch:
    """`clipsonic.bpatcher.maxpat`: prompt, seconds, takes, progress. Outlets: a clip's path; what comes back."""
    patch = Patch("Clipsonic: words into sound", (80, 100, 1000, 540), folder)
    faces.ground(patch, (900, 20, 30, 22), (0, 0, FACE_WIDTH, FACE_HEIGHT))
    script = faces.script(patch, f"{SCRIPT} #1", 20, 240, 820)
    receiver = patch.object("udpreceive 7461 @quiet 1", 828, 200)
    patch.chain(patch.object("r #0-ear", 828, 165), receiver)
    patch.note("replies come to a port of this patch's own", 240, 318, 260)
    patch.join(receiver, 0, script, 1)
    words = "generate, image, blend, seconds, variations, stop, fire, /any/osc"
    inlet = patch.box("inlet", (785, 142, 30, 30), comment=words)
    patch.chain(inlet, script)
    patch.chain(patch.object("r #0-ask", 706, 150), script)
    patch.chain(script, patch.object("udpsend 127.0.0.1 9460", 20, 290))
    patch.join(script, 1, patch.object("s #0-ear", 289, 290))
    _start(patch, script)
    prompt = _add_request(patch, script)
    _face(patch, script)
    _drop(patch, script, prompt)
    path = patch.object("route clip", 828, 290)
    patch.join(script, 3, path)
    clips = patch.box("outlet", (828, 350, 30, 30), comment="path of every new or chosen clip")
    replies = patch.box("outlet", (920, 350, 30, 30), comment="everything the daemon says")
    patch.join(path, 0, clips)
    patch.join(receiver, 0, replies)
    return patch


def _start(patch: Patch, script: Box) -> None:
    patch.chain(patch.object("loadbang", 574, 150), script)
    patch.chain(patch.object("freebang", 648, 110), patch.message("leave", 648, 150), script)


def _add_request(patch: Patch, script: Box) -> Box:
    """Add the boxes of a request, and return the field for the prompt."""
    prompt = faces.prompt_box(patch, (20, 56, 200, 40), (8, 8, 344, 44))
    make = button(patch, "Make", (20, 20, 70, 22), (216, 58, 64, 22), "Make a clip.", HIDDEN)
    make.attributes |= faces.LOUD
    stop = button(patch, "Stop", (250, 20, 70, 22), (288, 58, 64, 22), "Stop this patch's jobs.", HIDDEN)
    faces.label(patch, "seconds", (340, 20, 60, 20), (6, 59, 52, 20))
    seconds = faces.number(patch, "flonum", (340, 92, 60, 22), (60, 58, 50, 22), 0.5, 30.0)
    faces.label(patch, "takes", (450, 20, 60, 20), (118, 59, 40, 20))
    takes = faces.number(patch, "number", (450, 92, 60, 22), (160, 58, 44, 22), 1, 16)
    patch.chain(make, prompt, patch.object("route text", 20, 110), patch.object("prepend generate", 20, 150), script)
    patch.chain(stop, patch.message("stop", 250, 150), script)
    patch.chain(patch.object("loadmess 5.", 340, 56), seconds, patch.object("prepend seconds", 312, 150), script)
    patch.chain(patch.object("loadmess 1", 450, 56), takes, patch.object("prepend variations", 432, 150), script)
    return prompt


def _drop(patch: Patch, script: Box, prompt: Box) -> None:
    """A field for pictures: what is seen in one that is dropped there is heard, blended with the prompt's words."""
    drop, dropped = faces.drop(patch, (550, 56, 60, 22), (300, 100, 52, 22))
    faces.label(patch, "drop picture", (550, 20, 80, 20), (222, 101, 76, 20))
    patch.join(dropped, 0, prompt)
    patch.chain(drop, dropped)
    patch.join(dropped, 1, path := patch.object("prepend dropped", 725, 92))
    patch.join(path, 0, script)
    faces.label(patch, "blend", (760, 20, 50, 20), (138, 101, 36, 20))
    blend = faces.number(patch, "flonum", (860, 56, 50, 22), (174, 100, 44, 22), 0.0, 1.0)
    blend.attributes["annotation"] = "0 is the words alone, 1 the picture alone."
    patch.chain(patch.object("loadmess 0.5", 760, 56), blend, patch.object("prepend blend", 850, 92), script)


def _face(patch: Patch, script: Box) -> None:
    """Add the boxes that show progress, status and takes."""
    kinds = patch.object("route progress status takes", 559, 290, 220)
    patch.join(script, 2, kinds)
    status = patch.object("prepend set", 628, 330)
    line = faces.label(patch, "looking for the daemon", (628, 366, 130, 20), (6, 126, 346, 20))
    takes = faces.menu(patch, "takes", (766, 400, 90, 22), (8, 100, 128, 22), "Clips of this patch, the newest last")
    patch.join(kinds, 0, faces.bar(patch, (480, 366, 120, 20), (8, 86, 344, 8)))
    patch.join(kinds, 1, status)
    patch.join(status, 0, line)
    patch.join(kinds, 2, takes)
    patch.chain(takes, patch.object("prepend take", 766, 434), patch.object("s #0-ask", 766, 466))


def build_patch(folder: Path) -> Patch:
    """`clipsonic.maxpat`: the bpatcher, and a player for what it makes."""
    patch = Patch("Clipsonic: words into sound, played", (80, 100, 820, 760), folder)
    faces.ground(patch, (900, 20, 30, 22), (0, 0, 400, 348))
    faces.label(patch, "Clipsonic", (600, 20, 90, 20), (18, 8, 200, 24), textcolor=faces.INK, fontsize=15.0)
    client = patch.box(
        "bpatcher",
        (20, 150, FACE_WIDTH, FACE_HEIGHT),
        (20, 36, FACE_WIDTH, FACE_HEIGHT),
        name="clipsonic.bpatcher.maxpat",
        border=0,
        enablehscroll=0,
        enablevscroll=0,
        offset=[0.0, 0.0],
        viewvisibility=1,
    )
    patch.note("the daemon must run: clipsonic serve. Another port: give the bpatcher an argument.", 20, 20)
    patch.note("the client takes its own messages, and any OSC of the daemon:", 20, 60)
    messages = ("generate thunder far away", "seconds 8", "variations 4", "stop", "/cancel all", "/model/list")
    for x, text in zip((20, 210, 300, 405, 460, 560), messages, strict=True):
        patch.chain(patch.message(text, x, 90), client)
    patch.join(client, 1, patch.object("print clipsonic", 380, 326))
    _player(patch, client)
    return patch


def _player(patch: Patch, client: Box) -> None:
    """buffer~ and groove~ on the clip that was made last."""
    buffer = patch.object("buffer~ clipsonic", 20, 360)
    patch.join(client, 0, replace := patch.object("prepend replace", 20, 326))
    patch.join(replace, 0, buffer)
    patch.box("waveform~", (480, 360, 260, 60), (20, 196, 360, 72), "", **_wave("clipsonic"))
    gate = patch.object("gate 1 1", 90, 440)
    auto = patch.box(
        "toggle", (20, 434, 22, 22), (22, 312, 20, 20), annotation="Play every new clip", parameter_enable=0
    )
    faces.label(patch, "play new clips", (480, 440, 90, 20), (44, 312, 90, 20))
    patch.chain(patch.object("loadmess 1", 20, 400), auto, gate)
    patch.join(buffer, 1, gate, 1)
    play = button(patch, "Play", (180, 440, 60, 24), (20, 278, 84, 24), "Play the clip from its start.", HIDDEN)
    stop = button(patch, "Stop", (250, 440, 60, 24), (112, 278, 84, 24), "Silence.", HIDDEN, "Silence")
    loop = patch.box(
        "toggle", (330, 440, 22, 22), (142, 312, 20, 20), annotation="Play round and round", parameter_enable=0
    )
    faces.label(patch, "loop", (580, 440, 40, 20), (164, 312, 40, 20))
    groove = patch.object("groove~ clipsonic", 20, 530)
    start = patch.message("0", 100, 486)
    patch.chain(gate, start, groove)
    patch.chain(play, start)
    patch.chain(stop, patch.message("stop", 250, 486), groove)
    patch.chain(loop, patch.message("loop $1", 330, 486), groove)
    patch.chain(patch.object("sig~ 1.", 20, 486), groove)
    gain = patch.box("gain~", (20, 576, 140, 22), (220, 282, 100, 18), orientation=1, parameter_enable=0)
    audio = patch.box("ezdac~", (20, 626, 45, 45), (335, 278, 45, 45))
    patch.chain(groove, gain, audio)
    patch.join(gain, 0, audio, 1)
    patch.chain(patch.object("loadmess 128", 180, 530), gain)
    faces.label(patch, "click for sound", (80, 636, 100, 20), (236, 312, 90, 20))


def _wave(buffer: str) -> dict[str, Value]:
    return {"buffername": buffer, "bgcolor": faces.FIELD, "waveformcolor": faces.ACCENT}
