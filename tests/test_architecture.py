"""The house's order: who may import whom, what serving must never load, and how large files and functions may be."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("plugin_server", "onnx_export", "presets")
ROOMS = ["audio", "engine", "studio", "protocol"]
ABOVE_ROOMS = ["server", "cli", "client", "commands", "benchmarks", "daemon_process"]
TRAINING = {
    "torch",
    "torchvision",
    "diffusers",
    "open_clip",
    "transformers",
    "onnx_export",
    "onnx",
    "scipy",
}
MAX_LINES, MAX_MODULES, MAX_FUNCTION_LINES = 350, 12, 60
BETWEEN_COMMANDS = {
    ("midi", "banks"),
    ("midi", "slots"),
    ("midi", "triggers"),
    ("slots", "banks"),
    ("slots", "triggers"),
}
"""Commands of the protocol that use another one's file; all of them use `thread`."""
BETWEEN_TRANSPORTS = {
    ("http_protocols", "connections"),
    ("network", "web"),
    ("network", "zeroconf"),
    ("sockets", "connections"),
    ("sockets", "receiver"),
    ("sockets", "tcp"),
    ("tcp", "connections"),
    ("tcp", "framing"),
    ("tcp", "receiver"),
    ("web", "connections"),
    ("web", "http_protocols"),
    ("web", "oscquery"),
    ("web", "receiver"),
    ("zeroconf", "oscquery"),
}
TRANSPORTS_OF_COMMANDS = {("daemon", "network")}
TESTS_OF_SEVERAL = {
    "onnx_export/clipsonic/test_images.py",
    "onnx_export/clipsonic/test_models.py",
    "onnx_export/clipsonic/training/test_video_training.py",
    "onnx_export/commands/test_commands.py",
    "plugin_server/audio/playback/test_portaudio.py",
    "plugin_server/protocol/commands/test_pictures.py",
}
"""Tests of what several files do together."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
SERVER_FILES = {name: path for name, path in FILES.items() if name.startswith("plugin_server")}


def imported(path: Path, types: bool = True) -> set[str]:
    """Return what a file imports, also late: modules of this repository, and the names of others.

    Without `types`, what only a type checker imports is left out.
    """
    names = set()
    tree = ast.parse(path.read_text("utf-8"))
    for block in [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
        if not types and ast.unparse(block.test) == "TYPE_CHECKING":
            block.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in FILES else node.module for part in parts}
    return names


IMPORTS = {name: imported(path) for name, path in FILES.items()}


@pytest.mark.parametrize("name", SERVER_FILES)
def test_rooms_import_only_those_below_them(name):
    assert not {other.split(".")[0] for other in IMPORTS[name]} & TRAINING
    _, room, *_ = [*name.split("."), ""]
    if room not in ROOMS:
        return
    above = [*ROOMS[ROOMS.index(room) + 1 :], *ABOVE_ROOMS]
    for other in IMPORTS[name]:
        assert not any(f"{other}.".startswith(f"plugin_server.{upper}.") for upper in above), other


def test_export_uses_nothing_of_the_server_but_audio_engine_errors_and_settings():
    allowed = ("plugin_server.audio", "plugin_server.engine", "plugin_server.errors", "plugin_server.settings")
    for name in FILES:
        if name.startswith("onnx_export"):
            for other in IMPORTS[name]:
                assert not other.startswith("plugin_server") or other.startswith(allowed), f"{name}: {other}"


def test_no_files_import_each_other_in_a_circle():
    # Names of types alone load nothing.
    graph = {name: imported(path, types=False) & FILES.keys() for name, path in FILES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def between(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of files, the first of which imports the second, in two folders of the protocol."""
    for name in FILES:
        if name.startswith(f"plugin_server.protocol.{source}."):
            for other in IMPORTS[name]:
                if other.startswith(f"plugin_server.protocol.{target}."):
                    yield name.split(".")[-1], other.split(".")[-1]


def test_commands_and_transports_of_the_protocol_know_few_others():
    assert set(between("transports", "commands")) == set()
    assert set(between("commands", "transports")) <= TRANSPORTS_OF_COMMANDS
    assert set(between("transports", "transports")) <= BETWEEN_TRANSPORTS
    pairs = {(one, other) for one, other in between("commands", "commands") if other != "thread"}
    assert pairs <= BETWEEN_COMMANDS


@pytest.mark.parametrize("path", FILES.values(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path):
    text = path.read_text("utf-8")
    n_lines = len(text.splitlines())
    assert n_lines <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


def test_folders_have_few_modules():
    counts = Counter(path.parent for path in FILES.values() if path.name != "__init__.py")
    assert {folder: n for folder, n in counts.items() if n > MAX_MODULES} == {}


def has_namesake(test: Path) -> bool:
    """Return whether `test_clip.py` or `test_clip_fades.py` stands where `clip.py` does in the package."""
    words = test.stem.split("_")[1:]
    names = ("_".join(words[:n]) for n in range(1, len(words) + 1))
    return any((ROOT / test.with_name(f"{name}.py")).is_file() for name in names)


def test_tests_are_named_like_what_they_test():
    tests = {
        path.relative_to(ROOT / "tests")
        for package in ("plugin_server", "onnx_export")
        for path in (ROOT / "tests" / package).rglob("test_*.py")
    }
    assert {path.as_posix() for path in tests if not has_namesake(path)} <= TESTS_OF_SEVERAL


def test_a_daemon_loads_no_training_package():
    code = (
        "import sys, plugin_server.server, plugin_server.engine.families;"
        "import plugin_server.cli, plugin_server.commands.demo, plugin_server.commands.doctor;"
        f"print(sorted({TRAINING!r} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def test_help_needs_neither_numpy_nor_onnxruntime():
    code = "import sys, plugin_server.cli; print({'numpy', 'onnxruntime'} & set(sys.modules) or 'none')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "none"


def test_a_daemon_answers_osc_before_http_and_zeroconf_are_imported():
    code = "import sys, plugin_server.server; print({'uvicorn', 'starlette', 'zeroconf'} & set(sys.modules) or 'none')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "none"
