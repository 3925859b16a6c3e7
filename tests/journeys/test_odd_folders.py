"""A daemon whose folders of clips, banks and bundles hold what strangers have put there."""

import json
import os
import signal
import struct
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from plugin_server.client import Client
from tests.journeys.conftest import serving
from tests.support.odd_files import ODD_KINDS, make_odd
from tests.support.recipes import write_made

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pipes and XDG's folders")

ANSWER_S = 5.0


def write_wav(path: Path, recipe: bytes) -> None:
    chunks = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    chunks += b"clps" + struct.pack("<I", len(recipe)) + recipe + b"\0" * (len(recipe) % 2)
    chunks += b"data" + struct.pack("<I", 200) + bytes(200)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A running daemon, and its folders."""
    tmp = tmp_path_factory.mktemp("odd")
    clips, banks, bundles = tmp / "clips", tmp / "banks", tmp / "data" / "clipsonic" / "bundles"
    for kind in ODD_KINDS:
        make_odd(clips / "sub" / f"{kind}.wav", kind)
        make_odd(banks / f"{kind}.toml", kind)
        make_odd(bundles / kind / "card.json", kind)
    good = {"prompt": "x", "seconds": 0.0125, "seed": 1, "model": "m", "checksum": "c", "id": "abc"}
    for name, value in {"nan": float("nan"), "huge": 10**400, "text": "1", "nested": [[[]]]}.items():
        write_wav(clips / f"{name}.wav", json.dumps(good | {"seconds": value}).encode())
    write_wav(clips / "deep.wav", b"[" * 100_000)
    write_wav(clips / "sparse.wav", b"")
    os.truncate(clips / "sparse.wav", 3 * 2**30)
    write_made(clips, "good.wav", "sea waves")
    (banks / "deep.toml").write_text("a=" + "[" * 5000)
    (banks / "dots.toml").write_text("a." * 100_000 + "a=1")
    (banks / "digits.toml").write_text("[[slots]]\nprompt='x'\nseconds=" + "9" * 400)
    (bundles / "deep").mkdir()
    (bundles / "deep" / "card.json").write_bytes(b"[" * 100_000)
    with serving(tmp, XDG_DATA_HOME=str(tmp / "data")) as process:
        yield process, clips


def test_everything_answers_at_once(odd):
    process, clips = odd
    with Client(process.port) as client:
        for command, reply in (
            ("/status", "/status.reply"),
            ("/model/list", "/done"),
            ("/bank/list", "/done"),
            ("/clip/scan", "/done"),
            ("/clip/list", "/done"),
            ("/clip/search", "/done"),
        ):
            arguments = ["sea"] if command == "/clip/search" else []
            began = time.monotonic()
            answer = client.ask(command, *arguments, reply=reply, timeout_s=ANSWER_S)
            assert time.monotonic() - began < ANSWER_S
        assert answer[:2] == ("/clip/search", 1)
        assert client.ask("/clip/info", "good.wav", reply="/clip.info")[1] == str(clips / "good.wav")
        for kind in ODD_KINDS:
            assert client.ask("/clip/info", f"sub/{kind}.wav", reply="/fail")[1] == "unknown_clip"
            assert client.ask("/bank/load", kind, reply="/fail")[1] in ("bad_file", "unknown_bank")
            assert client.ask("/generate", "rain", "@model", kind, reply="/fail")[1] in (
                "bundle_damaged",
                "unknown_model",
            )
        for kind in ("pipe", "device", "circle", "folder"):
            picture = clips / "sub" / f"{kind}.wav"
            assert client.ask("/generate", "@image", str(picture), reply="/fail")[1] == "bad_file"


def test_pages_answer_at_once(odd):
    process, _ = odd
    port = next(int(line.rpartition(":")[2]) for line in process.lines if line.startswith("OSCQuery"))
    for page in ("/", "/generate", "/model/load", "/?HOST_INFO"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=ANSWER_S) as response:
            assert json.load(response)


def test_a_clip_is_made_beside_them_and_the_daemon_ends(odd):
    process, _ = odd
    with Client(process.port) as client:
        assert [m.address for m in client.generate("rain", 0.5, timeout_s=60)][-1] == "/done"
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    process.wait(10)
    assert time.monotonic() - began < 6
