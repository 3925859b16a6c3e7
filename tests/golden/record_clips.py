"""The record of sounds: clips of the shipped model, made on one thread."""

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile

from tests.golden.masks import Names
from tests.golden.project import CHECKOUT, PACKAGE, write_lesson
from tests.golden.record_commands import environment
from tests.golden.talk import Talk, Udp, folder_names

STRIDE = 50
"""Samples from one that is kept to the next."""
UNIT = 1e-4
"""What kept samples are whole numbers of."""
KERNELS = re.compile(r"^(avx|fma|f16c|amx|sse4|ssse3|sve|asimd|i8mm|bf16)")
"""Features of a processor by which kernels are chosen."""
LIKE = "words, made again by the command"


def clip_records(tmp: Path) -> dict[str, str]:
    """Texts by the names of their files. The folder is used, and must be empty."""
    environ = environment(tmp) | {"CLIPSONIC_MODEL": "clipsonic-mini"}
    write_lesson(tmp / "lesson.png")
    asked = {
        "words": ("sea waves", 1.0, "@seed", 7),
        "picture": (0.8, "@image", str(tmp / "lesson.png"), "@seed", 8),
        "loop of bars": ("drum kit", "@bars", 1, "@bpm", 240, "@seed", 9),
        "stereo": ("rain on leaves", 0.8, "@stereo", 0.6, "@seed", 10),
    }
    said: list[str] = []
    with _serving(tmp, environ, said) as port:
        talk = Talk(Udp(port), Names({}), [])
        # Loaded by now: the daemon waits for nothing else.
        paths = {what: _path(talk.say("/generate", *arguments)) for what, arguments in asked.items()}
        talk.close()
    paths[LIKE] = _made_again(tmp, environ, paths["words"])
    names = Names(folder_names(tmp))
    sounds = {what: _sound(path, names) for what, path in paths.items()}
    return {"clips.json": _text({"machine": machine(), "daemon": [_masked(line, names) for line in said]} | sounds)}


def machine() -> dict[str, object]:
    """What the exact samples depend on."""
    packages = {name: version(name) for name in ("numpy", "soxr", "soundfile", "pillow")}
    return {"system": f"{sys.platform} {platform.machine()}", "kernels": _kernels(), "onnxruntime": _ort(), **packages}


def _ort() -> str:
    import onnxruntime

    return onnxruntime.__version__


def _kernels() -> str:
    try:
        about = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^(?:flags|Features)\s*: (.*)$", about, re.M)
    vendor = re.search(r"^vendor_id\s*: (.*)$", about, re.M)
    flags = sorted(flag for flag in (found[1] if found else "").split() if KERNELS.match(flag))
    return " ".join([vendor[1] if vendor else "", *flags]).strip()


@contextmanager
def _serving(tmp: Path, environ: dict[str, str], said: list[str]) -> Iterator[int]:
    """The command's daemon; `said` gets its lines and how it ended."""
    command = [sys.executable, "-m", PACKAGE, "serve", "--osc-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=tmp) as process:
        try:
            for line in process.stdout:
                said.append(line.strip())
                if line.startswith("ready"):
                    break
            yield int(re.search(r"127\.0\.0\.1:(\d+)", said[0])[1])
        finally:
            process.terminate()
            said.append(f"(exit status {process.wait(20)})")


def _path(heard: list) -> Path:
    (clip,) = [arguments for address, _, arguments in heard if address == "/clip"]
    return Path(clip[2])


def _made_again(tmp: Path, environ: dict[str, str], like: Path) -> Path:
    command = [sys.executable, "-m", PACKAGE, "generate", "--like", str(like), "--folder", str(tmp / "again")]
    subprocess.run(command, env=environ, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    (made,) = (tmp / "again").glob("*.wav")
    return made


def _masked(line: str, names: Names) -> str:
    return re.sub(r"(?<=127\.0\.0\.1:)\d+", "<port>", names.mask(line))


def _sound(path: Path, names: Names) -> dict[str, object]:
    samples, rate = soundfile.read(path, dtype="int32", always_2d=True)
    kept = np.round(samples[::STRIDE] / 2**31 / UNIT).astype(int)
    return {
        "file": names.mask(str(path)),
        "rate": rate,
        "frames": len(samples),
        "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
        "samples": [" ".join(map(str, channel)) for channel in kept.T.tolist()],
    }


def _text(record: dict[str, object]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"
