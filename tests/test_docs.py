"""The pages of docs/ say what the code says."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from plugin_server import errors
from plugin_server.errors import BadArgument, BadSettings, ClipsonicError
from plugin_server.protocol.addresses import ADDRESSES, TABLE
from plugin_server.protocol.commands.playback import parse_play
from plugin_server.protocol.table import REPLIES
from plugin_server.settings import SHIPPED_BUNDLES, Settings, load_settings
from plugin_server.studio.requests import ATTRIBUTES, Generate

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
OSC, SETTINGS = PAGES["osc.md"], PAGES["settings.md"]
ALL = {"README.md": README, "CONTRIBUTING.md": CONTRIBUTING, **{f"docs/{name}": text for name, text in PAGES.items()}}


def section(page, heading):
    """Return what stands below one heading, up to the next of its level."""
    mark = heading.split(" ")[0]
    return re.split(rf"^{mark} ", page.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def rows(text):
    """Return the cells of a section's table rows, without its head."""
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


# The reference of OSC


def test_every_address_has_its_row():
    for row in TABLE:
        arguments = re.escape(row.notation.replace("|", "\\|"))
        pattern = rf"\| `{re.escape(row.address)}` \| {f'`{arguments}`' if row.notation else ''} ?\| "
        assert re.search(pattern, OSC), f"docs/osc.md lacks {row.address} {row.notation}"


def test_no_row_is_about_an_address_that_is_not_there():
    known = {row.address for row in TABLE}
    asked = section(OSC, "## Addresses")
    assert set(re.findall(r"^\| `(/[\w/]+)`", asked, re.MULTILINE)) == known


def test_every_reply_has_its_row():
    listed = set(re.findall(r"^\| `(/[\w./]+)` \|", section(OSC, "## Replies").split("\n### ")[0], re.MULTILINE))
    assert listed == {*REPLIES, "/done"}


def test_what_done_tells_is_listed_for_every_address_that_it_ends():
    table = section(section(OSC, "## Replies") + "\n", "### Arguments of /done")
    listed = set(re.findall(r"`(/[\w/]+)[^`]*`", table))
    known = {row.address for row in TABLE}
    assert {row.address for row in TABLE if "/done" in row.replies} <= listed <= known


def test_every_error_code_of_a_reply_is_listed():
    kinds = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ClipsonicError)}
    before_serving = {"port_taken", "bad_settings", "midi_unavailable"}
    assert {row[0].strip("`") for row in rows(section(OSC, "## Errors"))} == kinds - before_serving


def attributes(heading):
    return {row[0].strip("`@"): row[1] for row in rows(section(OSC, heading))}


def named_in(address):
    """Return the attributes that the table's row of an address names."""
    return [attribute.name for attribute in ADDRESSES[address].attributes]


def test_every_attribute_has_its_row():
    assert list(attributes("## Attributes of /generate")) == ["seconds", *named_in("/generate")]
    assert list(attributes("## Attributes of /play")) == named_in("/play")


BOUNDS = r"(-?[\d.]+)(?: \([a-z]+\))? to (-?[\d.]+)"
BESIDE = {
    "blend": {"images": (str(ROOT / "a.png"),)},
    "bars": {"bpm": 120},
}
"""Attributes that only go together with others."""
FIELDS = {row.name: row.field for row in ATTRIBUTES}


def number(text):
    return float(text) if "." in text else int(text)


def ask(name, value):
    return Generate("sea", **BESIDE.get(name, {}), **{FIELDS[name]: value})


GENERATE_BOUNDS = {
    name: re.match(BOUNDS, span).groups()
    for name, span in attributes("## Attributes of /generate").items()
    if re.match(BOUNDS, span) and name != "seconds"
}


def step_of(name):
    """Return how far outside of a range is outside: 1 where only whole numbers are taken."""
    return 1 if name in ("frames", "seed", "steps", "variations") else 0.001


@pytest.mark.parametrize("name", GENERATE_BOUNDS)
def test_a_range_of_generate_is_the_code_s(name):
    low, high = map(number, GENERATE_BOUNDS[name])
    for inside in (low, high):
        assert getattr(ask(name, inside), FIELDS[name]) == inside
    for outside in (low - step_of(name), high + step_of(name)):
        with pytest.raises(BadArgument, match=f"{low:g} to {high:g}|{low} to {high}"):
            ask(name, outside)


def test_ranges_are_given_for_all_numbers_of_generate():
    expected = {"blend", "frames", "bars", "bpm", "seed", "steps", "guidance", "stereo", "variations"}
    assert set(GENERATE_BOUNDS) == expected


@pytest.mark.parametrize("name", ["via", "format"])
def test_choices_of_generate_are_the_code_s(name):
    choices = re.findall(r"`(\w+)`", attributes("## Attributes of /generate")[name])
    for choice in choices:
        assert getattr(ask(name, choice), FIELDS[name]) == choice
    with pytest.raises(BadArgument, match=f"expected one of {', '.join(choices)}$"):
        ask(name, "other")


def test_keys_of_the_table_are_keys():
    for key in re.findall(r"`([^`]+)`", attributes("## Attributes of /generate")["key"]):
        assert ask("key", key).key


def test_lengths_are_those_of_the_shipped_model():
    lengths = json.loads((SHIPPED_BUNDLES / Settings().model / "card.json").read_text("utf-8"))["lengths"]
    span, usual = rows(section(OSC, "## Attributes of /generate"))[0][1:3]
    assert re.fullmatch(BOUNDS, span).groups() == (f"{lengths['least']:g}", f"{lengths['most']:g}")
    assert usual == f"{lengths['usual']:g}"


PLAY_BOUNDS = {
    name: re.match(BOUNDS, span).groups()
    for name, span in attributes("## Attributes of /play").items()
    if re.match(BOUNDS, span)
}


@pytest.mark.parametrize("name", PLAY_BOUNDS)
def test_a_range_of_play_is_the_code_s(name):
    low, high = map(float, PLAY_BOUNDS[name])
    for inside in (low, high):
        assert parse_play(["last", f"@{name}", inside])[1] == {name: inside}
    for outside in (low - 0.001, high + 0.001):
        with pytest.raises(BadArgument, match=f"{low:g} to {high:g}"):
            parse_play(["last", f"@{name}", outside])


def test_ranges_are_given_for_all_numbers_of_play():
    assert set(PLAY_BOUNDS) == {"gain", "pan", "rate", "attack", "release"}


def test_choices_of_play_are_the_code_s():
    choices = re.findall(r"`(\w+)`", attributes("## Attributes of /play")["at"])
    for choice in choices:
        assert parse_play(["last", "@at", choice])[1] == {"at": choice}
    with pytest.raises(BadArgument, match=f"expected one of {', '.join(choices)}$"):
        parse_play(["last", "@at", "other"])


# Settings

SETTING_ROWS = rows(section(SETTINGS, "## All settings"))


def test_the_ports_are_those_of_the_settings():
    for page in (README, OSC + PAGES["network.md"], SETTINGS):
        assert str(Settings().osc_port) in page and str(Settings().http_port) in page


def test_every_setting_has_its_row_with_its_default():
    listed = {row[0].strip("`"): row[1].strip("`") for row in SETTING_ROWS}
    defaults = {}
    for field in fields(Settings):
        default = field.default
        defaults[field.name] = "" if default in (None, "", ()) else str(default)
    defaults |= {name: value.lower() for name, value in defaults.items() if value in ("True", "False")}
    assert listed == defaults


def test_a_range_of_a_setting_is_the_code_s():
    bounds = {row[0].strip("`"): re.fullmatch(BOUNDS, row[2]) for row in SETTING_ROWS}
    bounds = {name: match.groups() for name, match in bounds.items() if match}
    assert set(bounds) == {"osc_port", "http_port", "latency_ms", "loudness_lufs", "queue_size", "threads"}
    for name, span in bounds.items():
        low, high = map(number, span)
        assert Settings(**{name: low}) and Settings(**{name: high})
        for outside in (low - 1, high + 1):
            with pytest.raises(BadSettings, match=f"expected {low} to {high}"):
                Settings(**{name: outside})


def test_the_settings_file_of_the_page_is_read_and_has_all_settings(tmp_path):
    text = re.search(r"^```toml\n(.*?)^```", SETTINGS, re.MULTILINE | re.DOTALL)[1]
    path = tmp_path / "settings.toml"
    path.write_text(text, "utf-8")
    assert set(tomllib.loads(text)) == {field.name for field in fields(Settings)}
    assert load_settings(environ={"CLIPSONIC_SETTINGS": str(path)}).queue_size == Settings().queue_size


def test_flags_of_settings_are_those_of_serve():
    command = [sys.executable, "-m", "plugin_server", "serve", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    own = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", told, re.MULTILINE)) - {"--help"}
    assert {flag for row in SETTING_ROWS for flag in re.findall(r"`(--[\w-]+)`", row[3])} == own


def test_extras_are_those_of_the_package():
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    listed = set(re.findall(r"^\| `\.\[(\w+)\]` \|", SETTINGS, re.MULTILINE))
    assert {"cuda", "link", "midi", "pictures", "train"} <= listed <= extras


# Commands


@pytest.mark.parametrize("name", ALL)
def test_every_module_that_is_to_be_run_is_there(name):
    for module in set(re.findall(r"python(?:\.exe)? -m ([\w.]+)", ALL[name])) - {"build", "pytest", "venv"}:
        assert importlib.util.find_spec(module.rstrip(".")), f"{name}: python -m {module}"


def test_benchmarks_are_named():
    named = set(re.findall(r"python -m (plugin_server\.bench\w*(?:[ .]\w+)?)", PAGES["performance.md"]))
    assert len(named) == 3


@pytest.mark.parametrize("name", ALL)
def test_every_command_of_clipsonic_is_there(name):
    from plugin_server.cli import build_parser

    commands = next(action.choices for action in build_parser()._actions if action.choices)
    for line in re.findall(r"(?:^|`)clipsonic ((?:\w+ ?)+)", ALL[name], re.MULTILINE):
        command, *rest = line.split()
        assert command in commands, f"{name}: clipsonic {line}"
        actions = [action.choices for action in commands[command]._actions if isinstance(action.choices, dict)]
        if actions and rest:
            assert rest[0] in actions[0], f"{name}: clipsonic {line}"
