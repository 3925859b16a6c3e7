"""README's tables say what the code says."""

import re
from pathlib import Path

from plugin_server.protocol.osc import TABLE
from plugin_server.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_every_address_has_its_row():
    for row in TABLE:
        arguments = re.escape(row.arguments.replace("|", "\\|"))
        pattern = rf"\| `{re.escape(row.address)}` \| {f'`{arguments}`' if row.arguments else ''} ?\| "
        assert re.search(pattern, README), f"README lacks {row.address} {row.arguments}"


def test_no_row_is_about_an_address_that_is_not_there():
    known = {row.address for row in TABLE}
    section = README.split("## Addresses")[1].split("\n## ")[0]
    asked = section.split("### What comes back")[0]
    assert set(re.findall(r"^\| `(/[\w/]+)`", asked, re.MULTILINE)) == known


def test_the_ports_are_those_of_the_settings():
    assert str(Settings().osc_port) in README and str(Settings().http_port) in README
