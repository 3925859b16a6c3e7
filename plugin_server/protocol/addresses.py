"""The address table: the rows of all commands, in the order of help."""

from plugin_server.protocol.commands import bank_changes, banks, clips, daemon, jobs, meter, models, playback, slots
from plugin_server.protocol.table import only_sent

ORDER = (
    "/generate",
    "/cancel",
    "/status",
    "/version",
    "/sync",
    "/notify",
    "/network",
    "/help",
    "/play",
    "/stop",
    "/meter",
    "/volume",
    "/tempo",
    "/link",
    "/bank/list",
    "/bank/load",
    "/bank/next",
    "/bank/previous",
    "/bank/render",
    "/bank/fire",
    "/bank/stop",
    "/bank/set",
    "/bank/clear",
    "/bank/save",
    "/bank/delete",
    "/bank/rename",
    "/bank/restore",
    "/bank/undo",
    "/bank/redo",
    "/device/list",
    "/device/set",
    "/model/list",
    "/model/load",
    "/model/unload",
    "/clip/list",
    "/clip/search",
    "/clip/info",
    "/clip/star",
    "/clip/tag",
    "/clip/delete",
    "/clip/undo",
    "/clip/redo",
    "/clip/again",
    "/clip/scan",
)
"""Addresses as `/help` and OSCQuery list them."""
_MODULES = (bank_changes, banks, clips, daemon, jobs, meter, models, playback, slots)
TABLE = tuple(sorted((row for module in _MODULES for row in module.ROWS), key=lambda row: ORDER.index(row.address)))
ADDRESSES = {row.address: row for row in TABLE}
ONLY_SENT = only_sent(TABLE)
"""Addresses of replies that are no commands, too."""
ANSWERS = frozenset((
    "ack", "answer", "done", "err", "error", "errors", "exception", "fail", "failed", "failure", "invalid", "late",
    "nack", "ok", "pong", "queued", "reply", "response", "result", "synced", "unknown", "warning",
))  # fmt: skip
"""Last parts of the addresses by which OSC programs answer, in small letters."""
ENDINGS = (".error", ".fail", ".reply", ".response", "_error", "_fail", "_failed", "_reply")


def is_answer(address: str) -> bool:
    """Return whether a message is an answer, of this daemon or another program: such must not be answered again."""
    last = address.rpartition("/")[2].casefold()
    return address in ONLY_SENT or last in ANSWERS or last.endswith(ENDINGS)
