"""The parts of the record and what makes them."""

from collections.abc import Callable
from pathlib import Path

from tests.golden.record_clips import clip_records
from tests.golden.record_commands import command_records
from tests.golden.record_daemon import daemon_records

RECORD = Path(__file__).parent / "record"
RECORDS: dict[str, Callable[[Path], dict[str, str]]] = {
    "daemon": daemon_records,
    "commands": command_records,
    "clips": clip_records,
}
"""Each makes some texts, by the names of their files, in an empty folder."""
