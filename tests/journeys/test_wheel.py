"""The package as it is installed from its wheel."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from plugin_server import __version__
from plugin_server.commands.clients import CLIENTS
from tests.journeys.conftest import environment

ROOT = Path(__file__).parents[2]


def run(*command, **options):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--wheel-dir", str(folder), str(ROOT))
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_packages_banks_and_clients_and_no_generators(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"plugin_server", "onnx_export"}
    for kind in ("banks", "clients"):
        shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "presets" / kind).rglob("*") if path.is_file()}
        assert {f"plugin_server/{name}" for name in shipped if not name.endswith(".DS_Store")} <= names
    assert not any(name.startswith("plugin_server/presets/build") for name in names)
    assert "plugin_server/py.typed" in names


def test_an_installed_package_has_its_banks_clients_and_model(wheel, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    run(sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet", "--no-deps", str(wheel))
    # What it depends on is taken from here.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environ = environment(tmp_path, CLIPSONIC_FOLDER=str(tmp_path / "clips"))
    environ.pop("PYTHONPATH", None)

    def clipsonic(*words):
        return run(str(scripts / "clipsonic"), *words, cwd=tmp_path, env=environ)

    assert clipsonic("--version").strip() == f"clipsonic-live {__version__}"
    assert str(site) in clipsonic("clients")
    clipsonic("clients", "install", str(tmp_path / "patches"))
    assert {path.name for path in (tmp_path / "patches").iterdir()} == set(CLIENTS)
    checked = clipsonic("banks", "check").splitlines()
    assert len(checked) == len(list((ROOT / "presets" / "banks").glob("*.toml")))
    assert all(line.endswith(": all is well") for line in checked)
    assert str(site) in clipsonic("models")
