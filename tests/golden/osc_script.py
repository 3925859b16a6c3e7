"""What is said to the daemon: every address, what it does and each way to get it wrong."""

from collections.abc import Callable
from pathlib import Path

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.golden.masks import Names
from tests.golden.project import Stage, write_picture
from tests.golden.talk import Talk, Tcp, Udp, Web, is_end, message

MINE = """
description = "Three sounds"

[defaults]
seconds = 0.5
colour = "#102030"

[[slots]]
name = "Rain"
prompt = "rain"

[[slots]]
name = "Bell"
prompt = "bell"
choke = "bells"

[[slots]]
name = "Hum"
prompt = "hum"
loop = true
note = 60
"""
SEEN = """
description = "Pictures"

[[slots]]
image = "red.png"
seconds = 0.5

[[slots]]
image = "not-there.png"
prompt = "wind"
"""

SLOW = ("slow", 20, "@steps", 100, "@model", "slow-toy", "@id", "slow", "@seed", 1)
"""A job that takes long enough to be cancelled."""


def write_banks(folder: Path) -> None:
    """Own banks that can be used, and one that cannot."""
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(MINE)
    (folder / "mine-too.toml").write_text(SEEN)
    (folder / "broken.toml").write_text('[[slots]]\nprompt = "x"\nsteps = 1000')
    write_picture(folder / "red.png", "red")


def osc_record(stage: Stage, names: Names, tmp: Path) -> str:
    """Everything that is said and answered, as text."""
    lines: list[str] = []
    write_picture(tmp / "blue sky.png", "blue")
    (tmp / "no-picture.png").write_text("words")
    for part in PARTS:
        udp = Talk(Udp(stage.osc_port), names, lines)
        try:
            part(udp, stage, tmp)
        finally:
            udp.close()
    _streams(stage, names, lines)
    saved = (tmp / "banks" / "yours.toml").read_text("utf-8")
    lines += ["", "# What /bank/save wrote into yours.toml", "", *names.mask(saved).splitlines()]
    return "\n".join(lines).strip() + "\n"


def _questions(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("UDP: questions")
    udp.say("/version")
    udp.say("/sync", 7)
    udp.say("/sync")
    udp.say("/sync", "seven")
    udp.say("/sync", 1, 2)
    udp.say("/status")
    udp.say("/network")
    udp.say("/help")
    udp.say("/help", "/bank/set")
    udp.say("/help", "/clip/*")
    udp.say("/help", "/nothing")
    udp.say("/help", "/play", "/stop")
    udp.say("/help", True)
    udp.say("/model/list")


def _packets(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("Packets and addresses")
    udp.say("/nothing")
    udp.say("/nothing/at all", 1, "two")
    udp.say("/generate/", "rain")
    udp.say("/" + "long" * 40)
    udp.say("/clip/{undo,redo}")
    udp.say("/clip/{undo,redo,info}", "nothing", ends=2)
    udp.say("/bank/[!a-m]*", "x")
    udp.say("/nothing/*")
    udp.say("/versio?")
    udp.say_raw("bytes that are not OSC", b"hello\0\0\0")
    udp.say_raw("an address without a slash", b"version\0,\0\0\0")
    udp.say_raw("a message that is cut off", message("/sync", 7)[:-2])
    udp.say_raw("an unknown type tag", b"/sync\0\0\0,y\0\0\0\0\0\1")
    udp.say_raw("bytes after the arguments", message("/sync", 7) + bytes(8))
    udp.say_raw("a NUL in a string", b"/sync\0\0\0,si\0sea\0wav\0\0\0\0\1")
    udp.say_raw("a colour", b"/sync\0\0\0,r\0\0\1\2\3\4")
    udp.say_raw("text that is not UTF-8", message("/generate", "???", "@seed", -2).replace(b"???", b"\xff\xfe?"))
    udp.say_raw('a bundle of /sync 1, a bundle of /sync 2, and /sync "x"', _bundle(True), ends=3)
    udp.say_raw("a bundle with a broken element", _bundle(False)[:-4] + b"oops")
    deep = message("/version")
    for _ in range(10):
        deep = b"#bundle\0" + (1).to_bytes(8, "big") + len(deep).to_bytes(4, "big") + deep
    udp.say_raw("ten bundles, one in the other", deep)


def _bundle(whole: bool) -> bytes:
    inner, outer = OscBundleBuilder(IMMEDIATELY), OscBundleBuilder(IMMEDIATELY)
    inner.add_content(_built("/sync", 2))
    outer.add_content(_built("/sync", 1))
    outer.add_content(inner.build())
    outer.add_content(_built("/sync", "x"))
    return outer.build().dgram if whole else outer.build().dgram + (4).to_bytes(4, "big") + b"oops"


def _built(address: str, argument: object) -> object:
    builder = OscMessageBuilder(address)
    builder.add_arg(argument)
    return builder.build()


def _clips_made(udp: Talk, stage: Stage, tmp: Path) -> None:
    picture = str(tmp / "blue sky.png")
    udp.note("Clips of words and pictures")
    udp.say("/generate", "sea waves", 0.5, "@seed", 7)
    udp.say("/status")
    udp.say("/generate", "kick 808", "@seed", 7, "@seconds", 1)
    udp.say("/generate", "kick", 808, "@seed", 7, "@id", "kick")
    udp.say("/generate", "kick", 808, "@seed", 7, "@id", "kick")
    udp.say("/generate", "snare", 808, "@seed", 7, "@id", "kick")
    udp.say("/generate", "wind", "in", "the", "trees", 0.5, "@seed", 3, "@steps", 2, "@guidance", 1.5)
    udp.say("/generate", b"m\xc3\xb6wen", 0.5, "@seed", 3.0, "@name", "Möwen/überall", "@format", "flac")
    udp.say("/generate", "takes", 0.5, "@seed", 2147483646, "@variations", 3, "@negative", "hiss")
    udp.say("/generate", "tins", "@bars", 1, "@bpm", 180, "@key", "f# minor", "@seed", 3, "@format", "aiff")
    udp.say("/generate", "drone", 0.5, "@loop", True, "@stereo", 0.7, "@seed", "12", "@model", "toy")
    udp.say("/generate", "rain", 0.5, "@seed", 1, "@model", "slow-toy")
    udp.say("/generate", 0.5, "@image", picture, "@seed", 4)
    udp.say("/generate", "rain", 0.5, "@image", *picture.split(" "), "@blend", 0.25, "@seed", 4)
    udp.say("/generate", "rain", 0.5, "@image", picture, "@via", "pd", "@seed", 4)
    udp.say("/generate", "rain", 0.5, "@via", "zs", "@seed", 4)
    udp.say("/generate", "one", "text", "0,5", "@seed 6 @steps 2")


def _bad_requests(udp: Talk, stage: Stage, tmp: Path) -> None:
    picture = str(tmp / "blue sky.png")
    udp.note("Requests that cannot be served")
    for arguments in (
        (),
        ("",),
        ("   ",),
        (5,),
        (5.5, 6),
        (True,),
        (None,),
        ([1, "two"],),
        ("x" * 2001,),
        ("sea waves", 99),
        ("sea waves", 0.1),
        ("sea waves", float("nan")),
        ("sea waves", float("inf")),
        ("x", "@seed"),
        ("x", "@seed", 1, 2),
        ("x", "@seed", -2),
        ("x", "@seed", 1.5),
        ("x", "@seed", "one"),
        ("x", "@seed", b"x"),
        ("x", "@seed", 1, "@seed", 2),
        ("x", "@steps", 0),
        ("x", "@steps", 101),
        ("x", "@steps", "many", "@id", "a-job"),
        ("x", "@guidance", -0.5),
        ("x", "@guidance", 20.5),
        ("x", "@guidance", b"two"),
        ("x", "@stereo", 1.01),
        ("x", "@stereo", "wide"),
        ("x", "@loop", 2),
        ("x", "@loop", "perhaps"),
        ("x", "@variations", 0),
        ("x", "@variations", 17),
        ("x", "@bars", 0.01, "@bpm", 120),
        ("x", "@bars", 65),
        ("x", "@bars", 64, "@bpm", 20),
        ("x", 2, "@bars", 1),
        ("x", "@bpm", 19),
        ("x", "@bpm", 1000),
        ("x", "@key", "H sharp"),
        ("x", "@format", "mp3"),
        ("x", "@name", None, 1),
        ("x", "@name", "n" * 2001),
        ("x", "@negative", True),
        ("x", "@model", "moon"),
        ("x", "@id", "two words"),
        ("x", "@id", "i" * 65),
        ("x", "@via", "train"),
        ("x", "@via", "sd"),
        ("x", "@via", "pd", "@model", "slow-toy"),
        ("@via", "pd", "@image", picture),
        ("x", "@blend", 0.5),
        ("x", "@image", picture, "@blend", 2),
        ("x", "@frames", 0),
        ("x", "@frames", 33),
        ("x", "@image"),
        ("x", "@image", 5),
        ("x", "@image", "red.png"),
        ("x", "@image", "http://example.com/a.png"),
        ("x", "@image", *[f"/{i}.png" for i in range(17)]),
        ("x", "@image", picture, "@model", "slow-toy"),
        ("x", "@image", str(tmp / "nowhere.png")),
        ("x", "@image", str(tmp / "no-picture.png")),
        ("x", "@image", str(tmp)),
        ("x", "@seconds", 5),
        ("x", "@" + "unknown" * 10, 1),
    ):
        udp.say("/generate", *arguments)


def _jobs(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("Jobs: waiting, cancelled, too many")
    udp.say("/cancel")
    udp.say("/cancel", "all")
    udp.say("/cancel", "no-such-job")
    udp.say("/cancel", 1, 2)
    udp.say("/cancel", True)
    udp.with_progress = False
    udp.begin("/generate", "slow", 20, "@steps", 100, "@model", "slow-toy", "@id", "slow", "@seed", 1, stage="sampling")
    for number in range(4):
        udp.begin("/generate", "waiting", 0.5, "@id", f"waits-{number}", "@seed", number)
    udp.say("/generate", "one too many", 0.5)
    udp.say("/model/load", "toy")
    udp.say("/generate", "waiting", 0.6, "@id", "waits-0", "@seed", 0)
    udp.say("/status")
    udp.say("/cancel", "waits-2", ends=1)
    udp.line.send(message("/sync", 9))
    udp.say("/cancel", "all")
    udp.say("/cancel", "slow")
    udp.settle()
    udp.say("/sync", 10)
    udp.begin("/generate", "slow", 20, "@steps", 100, "@model", "slow-toy", "@id", "slow", "@seed", 1, stage="sampling")
    udp.say("/cancel")
    udp.say("/status")
    udp.settle()
    udp.with_progress = True
    udp.note("Models")
    udp.say("/model/load", "toy")
    udp.say("/model/list")
    udp.say("/model/load", "slow-toy")
    udp.say("/model/unload", "slow-toy")
    udp.say("/model/unload", "moon")
    udp.say("/model/load", "moon")
    udp.say("/model/load")
    udp.say("/model/load", "toy", "toy")
    udp.say("/model/unload", None)


def _followers(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("Who follows")
    for arguments in ((), (2,), ("perhaps",), (1, 2, 3), (1, 0), (1, 65536), (1, "port")):
        udp.say("/notify", *arguments)
    udp.say("/notify", 1)
    udp.say("/notify", 1)
    udp.say("/generate", "followed", 0.5, "@seed", 1)
    udp.say("/notify", 0)
    udp.say("/notify", 0)
    other = Talk(Udp(stage.osc_port), udp._names, udp._lines)
    udp._names.know(other.line.port, "<other port>")
    udp.say("/notify", 1, other.line.port)
    udp.say("/generate", "followed", 0.5, "@seed", 2)
    other.hear("what the other port heard", lambda heard: bool(heard) and is_end(heard[-1], "/generate"))
    udp.say("/notify", 0, other.line.port)
    other.close()
    udp.note("Levels")
    for arguments in ((), (2,), (True,), (1, 70000)):
        udp.say("/meter", *arguments, apart=["/levels"])
    udp.say("/meter", 0)


def _library(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("The library")
    udp.say("/clip/scan")
    udp.say("/clip/scan", 1)
    udp.say("/clip/list")
    udp.say("/clip/list", 2)
    udp.say("/clip/list", 2, 1)
    for arguments in ((0,), (201,), ("ten",), (1, -1), (1, 2, 3)):
        udp.say("/clip/list", *arguments)
    udp.say("/clip/search", "followed")
    udp.say("/clip/search", "tak", "@count", 1, "@from", 1)
    udp.say("/clip/search", "nothing like it")
    udp.say("/clip/search")
    udp.say("/clip/search", "x", "@count", 0)
    udp.say("/clip/search", "x", "@count")
    udp.say("/clip/search", "x", "@colour", "red")
    udp.say("/clip/info", "last")
    udp.say("/clip/info", "takes_0.5s_s0_t3.wav")
    udp.say("/clip/info", "no such clip")
    udp.say("/clip/info")
    udp.say("/clip/info", True)
    udp.say("/clip/star", "last")
    udp.say("/clip/star", "last", 0)
    udp.say("/clip/star", "last", 2)
    udp.say("/clip/star")
    udp.say("/clip/star", "nobody")
    udp.say("/clip/tag", "last", "deep", "blue sea")
    udp.say("/clip/tag", "last", "-deep")
    udp.say("/clip/tag", "last")
    udp.say("/clip/tag", "last", "t" * 200)
    udp.say("/clip/tag")
    udp.say("/clip/search", "blue")
    udp.say("/clip/again", "last", 77)
    udp.say("/clip/again", "last", -2)
    udp.say("/clip/again", "last", "@seed", 77, "@steps", 0)
    udp.say("/clip/again", "nobody")
    udp.say("/clip/again")
    udp.say("/clip/undo")
    udp.say("/clip/undo")
    udp.say("/clip/redo")
    udp.say("/clip/redo")
    udp.say("/clip/redo")
    udp.say("/clip/undo", 0)
    udp.say("/clip/undo", 1, 1)
    udp.say("/clip/delete", "last")
    udp.say("/clip/delete", "followed_0.5s_s2_t1.wav")
    udp.say("/clip/delete", "nobody")
    udp.say("/clip/delete")
    udp.say("/clip/undo")
    udp.say("/clip/undo")


def _live(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("Live output")
    udp.say("/play")
    udp.say("/play", "sea-waves_0.5s_s7_t1.wav")
    udp.say("/play", "last", "@gain", 0.5, "@pan", -1, "@rate", 2.0, "@attack", 0.01, "@release", 1, "@loop", 0.1, 0.2)
    udp.say("/play", "last", "@loop", 1, "@at", "bar", "@choke", "hats")
    for arguments in (
        ("nobody",),
        ("last", "@gain", 5),
        ("last", "@gain", -0.1),
        ("last", "@pan", 1.5),
        ("last", "@rate", 0.01),
        ("last", "@rate", 17),
        ("last", "@attack", 31),
        ("last", "@release", "long"),
        ("last", "@loop", 0.4, 0.2),
        ("last", "@loop", 0, 9000),
        ("last", "@loop", 1, 2, 3),
        ("last", "@loop", 3),
        ("last", "@at", "noon"),
        ("last", "@choke"),
        ("last", "@choke", None, None),
        ("last", "@reverb", 1),
        ("last", "@gain", 1, "@gain", 2),
        (True,),
    ):
        udp.say("/play", *arguments)
    for arguments in (("last",), ("all",), (), ("nobody",), (1.0,), (0.0,)):
        udp.say("/stop", *arguments)
    for arguments in ((0.25,), (1,), (), (1.5,), (-1,), ("loud",), (0.1, 0.2)):
        udp.say("/volume", *arguments)
    for arguments in ((), (93.7,), ("140",), (19,), (1000,), (True,), (1, 2), (120,)):
        udp.say("/tempo", *arguments)
    for arguments in ((), (0,), (1,), (2,), (0, 1)):
        udp.say("/link", *arguments)
    udp.say("/device/list")
    udp.say("/device/set", "by hand")
    udp.say("/device/set")
    udp.say("/device/set", None)


def _banks(udp: Talk, stage: Stage, tmp: Path) -> None:
    udp.note("Banks")
    slots = ["/bank.slot"]
    udp.say("/bank/list")
    udp.say("/bank/list", 1)
    udp.say("/bank/load")
    udp.say("/bank/load", "mine")
    udp.say("/bank/load", "nowhere")
    udp.say("/bank/load", "broken")
    udp.say("/bank/load", True)
    udp.say("/bank/previous")
    udp.say("/bank/next")
    udp.say("/bank/next", 1)
    udp.say("/bank/next", 0)
    udp.say("/bank/load", "mine")
    for arguments in ((), ("nobody",), (3,), (-1,), (0, 128), (0, "hard"), (0, 1, 2), (None,)):
        udp.say("/bank/fire", *arguments)
    udp.say("/bank/fire", 0, apart=slots)
    udp.say("/bank/fire", "Rain", 64)
    udp.say("/bank/fire", 0, 0)
    udp.say("/bank/render", 1, apart=slots)
    udp.say("/bank/render", apart=slots)
    udp.say("/bank/render", "nobody")
    udp.say("/bank/render", 1, 2)
    udp.say("/bank/render", 0.0)
    udp.say("/bank/render", "all")
    udp.say("/bank/load", "mine")
    udp.say("/bank/set", 1, "gong", 1.0, "@choke", "x")
    udp.say("/bank/set", 1, "gong", 1.0, "@name", "Gong", "@seed", 5)
    udp.say("/bank/set", 3, "fourth", "@bars", 1, "@bpm", 240)
    for arguments in ((), (0,), (5, "far"), (-1, "x"), ("a", "x"), (0, "x", "@variations", 2), (0, "x", "@seed", -2)):
        udp.say("/bank/set", *arguments)
    udp.say("/bank/set", 0, "x", "@image", "red.png")
    udp.say("/bank/set", 0, "x", "@model", "moon")
    udp.say("/bank/list")
    udp.say("/bank/fire", "Gong", 127.0, apart=slots)
    udp.say("/bank/save", "Not A Name!")
    udp.say("/bank/save", "yours")
    udp.say("/bank/save")
    udp.say("/bank/save", 1, 2)
    udp.say("/bank/save", None)
    udp.say("/bank/load", "mine-too")
    udp.say("/bank/render", 0, apart=slots)
    udp.say("/bank/render")
    udp.say("/bank/fire", 1, apart=slots)
    udp.say("/bank/fire", 0)


PARTS: tuple[Callable[[Talk, Stage, Path], None], ...] = (
    _questions,
    _packets,
    _clips_made,
    _bad_requests,
    _jobs,
    _followers,
    _library,
    _live,
    _banks,
)


def _streams(stage: Stage, names: Names, lines: list[str]) -> None:
    """The same service over connections."""
    for framing in ("slip", "length prefix"):
        talk = Talk(Tcp(stage.osc_port, framing), names, lines)
        talk.note(f"TCP, {framing}")
        talk.say("/sync", 3)
        talk.say("/generate", f"over {framing}", 0.5, "@seed", 5)
        talk.say("/nothing")
        talk.say_raw("bytes that are not OSC", b"/\0\0\0hello")
        talk.say("/help", "/generate")
        talk.close()
    for what, stream in (
        ("GET / HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n"),
        ("a length of 16 MiB", b"\0\xff\xff\xff"),
        ("a SLIP escape that is none", b"\xc0/sync\xdb\0\xc0"),
    ):
        talk = Talk(Tcp(stage.osc_port, "slip" if stream[0] == 0xC0 else "length prefix"), names, lines)
        talk.note(f"TCP, {what}")
        talk.refused(stream)
        talk.close()
    web = Talk(Web(stage.http_port), names, lines)
    web.note("WebSocket")
    web.say("/sync", 4)
    web.say("/generate", "over the web", 0.5, "@seed", 6)
    web.say("/generate", "x", "@seed", -2)
    web.say_raw("bytes that are not OSC", b"hello")
    for text in (
        "words",
        "[]",
        "{}",
        '{"COMMAND": "SHOUT", "DATA": "/done"}',
        '{"COMMAND": "LISTEN", "DATA": 5}',
        '{"COMMAND": "LISTEN", "DATA": "/nothing"}',
        '{"COMMAND": "IGNORE", "DATA": "/nothing"}',
        '{"COMMAND": "LISTEN", "DATA": "/clip"}',
    ):
        web.frame(text)
    udp = Talk(Udp(stage.osc_port), names, lines)
    udp.say("/generate", "for who listens", 0.5, "@seed", 8)
    udp.close()
    web.hear("what the WebSocket heard that listens to /clip", lambda heard: bool(heard))
    web.frame('{"COMMAND": "IGNORE", "DATA": "/clip"}')
    web.close()
