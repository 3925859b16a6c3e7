"""The JavaScript of the clients, by its own tests in Node."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.journeys.conftest import need

HERE = Path(__file__).parent
CLIENTS = HERE.parent.parent / "presets" / "clients"
OLD_SCRIPTS = ("max/clipsonic-client.js", "max-for-live/clipsonic-insert.js")


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.js")))
def test_in_node(file):
    command = [need("node", "nodejs"), "--test", str(HERE / file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^# pass [1-9]", ended.stdout, re.MULTILINE), ended.stdout


@pytest.mark.parametrize("file", OLD_SCRIPTS)
def test_scripts_for_js_speak_its_old_javascript(file):
    """[js] knows JavaScript as it was before 2015; one newer word, and the whole script is dead."""
    source = re.sub(r"\"[^\"\n]*\"|'[^'\n]*'|//.*", "0", (CLIENTS / file).read_text("utf-8"))
    newer = re.findall(r"\b(?:let|const|class|import|export|async|await|of)\b|=>|`|\.\.\.|,\s*[)\]}]", source)
    assert newer == []
