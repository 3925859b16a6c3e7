"""The house's order: who may import whom, and what serving must never load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ["audio", "engine", "studio", "protocol"]
ROOT_FILES = ["server", "cli", "client", "commands", "benchmarks"]
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
FILES = sorted((ROOT / "plugin_server").rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_only_those_below_them(path):
    room = path.relative_to(ROOT / "plugin_server").parts[0]
    names = imported(path)
    assert not {name.split(".")[0] for name in names} & TRAINING
    if room not in ROOMS:
        return
    above = [*ROOMS[ROOMS.index(room) + 1 :], *ROOT_FILES]
    for name in names:
        assert not any(name.startswith(f"plugin_server.{other}") for other in above), name


def test_export_uses_nothing_of_the_server_but_audio_engine_errors_and_settings():
    allowed = ("plugin_server.audio", "plugin_server.engine", "plugin_server.errors", "plugin_server.settings")
    for path in (ROOT / "onnx_export").rglob("*.py"):
        for name in imported(path):
            assert not name.startswith("plugin_server") or name.startswith(allowed), f"{path}: {name}"


def test_a_daemon_loads_no_training_package():
    code = (
        "import sys, plugin_server.server, plugin_server.engine.families;"
        "import plugin_server.commands.demo, plugin_server.commands.doctor;"
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
