"""The record of the command line."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from tests.golden.commands import COMMANDS, Command
from tests.golden.files import contents
from tests.golden.masks import Names
from tests.golden.osc_script import MINE, SEEN
from tests.golden.project import CHECKOUT, EXPORT, PACKAGE, write_picture, write_stand_ins, write_toys
from tests.golden.talk import folder_names

LINES = (
    (re.compile(r"^(python|onnxruntime|gpu|pictures)( +ok   ).*$", re.M), r"\1\2<facts of this machine>"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "<port>"),
    (re.compile(r"\d+\.\d\d s\b(?!_)"), "<time> s"),
    # Whether one comes before the first part of the work depends on how long a model loads.
    (re.compile(r"^ *(0 % .*|\d+ % loading)\n", re.M), ""),
    (re.compile(r"(red-rain_0\.5s)_s\d+"), r"\1_s<seed>"),
    # Named after where the folder lies.
    (re.compile(r"-[0-9a-f]{8}\.sqlite3"), "-<folder>.sqlite3"),
    # The drawing of a clip whose seed was drawn.
    (re.compile(r"(^[ .:\-=+*#%@]{60,}\n)+(?=0 s)", re.M), "<drawing>\n"),
)
IDS = {"clip": re.compile(r"(?<![\w.])[0-9a-f]{12}\b"), "checksum": re.compile(r"(?<![\w.])[0-9a-f]{16}\b")}


def environment(tmp: Path) -> dict[str, str]:
    """Nothing of the person's own settings, folders or programs; the toy is the model, on one thread."""
    write_stand_ins(tmp / "stand-ins")
    (tmp / "home").mkdir()
    (tmp / "none.toml").touch()
    own = {
        "HOME": tmp / "home",
        "PATH": tmp / "no-programs",
        "TMPDIR": tmp,
        "PYTHONPATH": f"{tmp / 'stand-ins'}{os.pathsep}{CHECKOUT}",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "100",
        "LANG": "C.UTF-8",
        "CLIPSONIC_SETTINGS": tmp / "none.toml",
        "CLIPSONIC_INDEX_FOLDER": tmp / "library",
        "CLIPSONIC_BANK_FOLDER": tmp / "banks",
        "CLIPSONIC_FOLDER": tmp / "clips",
        "CLIPSONIC_MODEL": "toy",
        "CLIPSONIC_DEVICE": "cpu",
        "CLIPSONIC_THREADS": "1",
        "CLIPSONIC_ADVERTISE": "false",
    }
    own |= {f"XDG_{kind}_HOME": tmp / "home" / kind.lower() for kind in ("DATA", "CONFIG", "CACHE", "STATE")}
    # Windows starts no process without these.
    kept = {name: value for name, value in os.environ.items() if name in ("SYSTEMROOT", "LD_LIBRARY_PATH")}
    return kept | {name: str(value) for name, value in own.items()}


def command_records(tmp: Path) -> dict[str, str]:
    """Texts by the names of their files. The folder is used, and must be empty."""
    environ = environment(tmp)
    _write_files(tmp)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        commands = [_filled(command, {"{tmp}": str(tmp), "{taken}": port}) for command in COMMANDS]
        results = _run(commands, tmp, environ)
    names = Names(folder_names(tmp) | {str(CHECKOUT): "<checkout>", port: "<taken port>"})
    told = [_told(command, result, names) for command, result in zip(COMMANDS, results, strict=True)]
    told += [_file(path, names) for path in _shown_files(tmp)]
    return {"cli.txt": "\n".join([python_of_record(), "", *told])}


def python_of_record() -> str:
    """First line of the record: argparse words and wraps its help in another way in each version of Python."""
    return f"# Python {sys.version_info[0]}.{sys.version_info[1]} on {sys.platform}"


def _shown_files(tmp: Path) -> list[Path]:
    """Files that a person opens, or that tell other programs of a clip."""
    made = (path for place in ("clips", "exported", "banks") for path in (tmp / place).rglob("*"))
    return sorted(path for path in made if path.is_file() and path.suffix != ".png" and "red-rain" not in path.name)


def _file(path: Path, names: Names) -> str:
    return "\n".join([names.mask(f"= {path}"), *_masked("\n".join(contents(path)), names), ""])


def _write_files(tmp: Path) -> None:
    write_toys(tmp / "bundles")
    write_picture(tmp / "blue sky.png", "blue")
    (tmp / "no-picture.png").write_text("words")
    (tmp / "unknown.toml").write_text("volume = 3\n")
    (tmp / "broken.toml").write_text("volume =\n")
    for folder in ("banks", "broken-banks", "empty", "work"):
        (tmp / folder).mkdir()
    (tmp / "banks" / "mine.toml").write_text(MINE)
    (tmp / "banks" / "mine-too.toml").write_text(SEEN)
    write_picture(tmp / "banks" / "red.png", "red")
    (tmp / "broken-banks" / "broken.toml").write_text('[[slots]]\nprompt = "x"\nsteps = 1000')
    (tmp / "broken-banks" / "unknown-key.toml").write_text('[[slots]]\nprompt = "x"\nvolume = 3')


def _filled(command: Command, values: dict[str, str]) -> Command:
    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace(name, value)
        return text

    module, arguments, environ = command
    module = {"clipsonic": PACKAGE, "onnx_export": EXPORT}[module]
    return module, [fill(word) for word in arguments], {name: fill(value) for name, value in environ.items()}


def _run(commands: list[Command], tmp: Path, environ: dict[str, str]) -> list[tuple[int, str, str]]:
    driver = [sys.executable, "-m", "tests.golden.drive", str(tmp / "work")]
    ended = subprocess.run(
        driver, input=json.dumps(commands), capture_output=True, text=True, env=environ, cwd=CHECKOUT, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _told(command: Command, result: tuple[int, str, str], names: Names) -> str:
    program, arguments, environ = command
    words = [f"'{word}'" if " " in word or not word else word for word in arguments]
    said = " ".join([*(f"{name}={value}" for name, value in environ.items()), program, *words])
    lines = [f"$ {said.replace('{tmp}', '<tmp>').replace('{taken}', '<taken port>')}"]
    status, *texts = result
    for mark, text in zip(("", "! "), texts, strict=True):
        lines += [f"{mark}{line}".rstrip() for line in _masked(text, names)]
    return "\n".join([*lines, f"(exit status {status})", ""])


def _masked(text: str, names: Names) -> list[str]:
    for pattern, name in LINES:
        text = pattern.sub(name, text)
    for kind, pattern in IDS.items():
        for found in pattern.findall(text):
            names.name(kind, found)
    return names.mask(text).splitlines()
