"""The record of a daemon: OSC and OSCQuery."""

import time
from pathlib import Path

from tests.golden.masks import Names
from tests.golden.osc_script import osc_record, write_banks
from tests.golden.oscquery import query_record
from tests.golden.project import CHECKOUT, staged
from tests.golden.talk import Talk, Udp, folder_names


def daemon_records(tmp: Path) -> dict[str, str]:
    """Texts by the names of their files. The folder is used, and must be empty."""
    write_banks(tmp / "banks")
    with staged(tmp) as stage:
        names = Names(folder_names(tmp) | {str(CHECKOUT): "<checkout>"})
        names.know(stage.http_port, "<HTTP port>")
        names.know(stage.osc_port, "<OSC port>")
        _wait_for_http(stage.osc_port)
        return {"oscquery.json": query_record(stage), "osc.txt": osc_record(stage, names, tmp)}


def _wait_for_http(port: int) -> None:
    """Until the daemon's state is the one that the record shows."""
    talk = Talk(Udp(port), Names({}), [])
    until = time.monotonic() + 20
    # The model loads meanwhile.
    while talk.say("/network")[0][2][1] != "listens" or talk.say("/status")[0][2][9] != "ready":
        assert time.monotonic() < until, "the daemon does not become ready"
        time.sleep(0.02)
    talk.close()
