"""The address table as OSCQuery's JSON: https://github.com/Vidvox/OSCQueryProposal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypedDict

from plugin_server.protocol.table import REPLIES, Argument, LiveRanges, Row, reply_sources

NONE, READ, WRITE = 0, 1, 2
"""Bits of ACCESS."""
REQUIRED = ("FULL_PATH", "CONTENTS", "TYPE")
SUPPORTED = ("ACCESS", "RANGE", "DESCRIPTION", "OVERLOADS")
UNSUPPORTED = ("VALUE", "TAGS", "EXTENDED_TYPE", "UNIT", "CRITICAL", "CLIPMODE", "HTML")
"""Attributes of the proposal that no node has here: commands keep no value that could be asked for."""
PUSHED = {"LISTEN": True, "PATH_CHANGED": False, "PATH_ADDED": False, "PATH_REMOVED": False, "PATH_RENAMED": False}
"""What goes over the WebSocket; the addresses never change while the daemon runs."""
NAME = "Clipsonic Live"

Json = dict[str, object]


class Node(TypedDict, total=False):
    """One node of the address space, with the attributes that it has."""

    FULL_PATH: str
    ACCESS: int
    DESCRIPTION: str
    TYPE: str
    """OSC type tags."""
    RANGE: list[Json | None]
    """One for each argument; None where it has no range."""
    OVERLOADS: list["Node"]
    CONTENTS: dict[str, "Node"]
    """By the next part of the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an HTTP answer; only status 200 has a body."""

    status: HTTPStatus
    body: Json | None = None


class OscQuery:
    """Answers questions about the address space, as OSCQuery puts them in a URL."""

    def __init__(self, table: Sequence[Row], osc_port: int, live: Callable[[], LiveRanges] = dict) -> None:
        """Take the address table, the port of OSC, and what returns the ranges that only the running daemon knows."""
        self._table, self._osc_port, self._live = table, osc_port, live

    def answer(self, path: str, attributes: Sequence[str]) -> Answer:
        """Return the answer to a GET of `path?attributes`: the whole node where there are no attributes.

        404 without a node; 400 for an attribute that the proposal does not know; 204 for one that no node has here.
        """
        if "HOST_INFO" in attributes:
            return Answer(HTTPStatus.OK, self._host_info())
        node = _find(address_space(self._table, self._live()), path)
        if node is None:
            return Answer(HTTPStatus.NOT_FOUND)
        if any(attribute not in (*REQUIRED, *SUPPORTED, *UNSUPPORTED) for attribute in attributes):
            return Answer(HTTPStatus.BAD_REQUEST)
        if any(attribute in UNSUPPORTED for attribute in attributes):
            return Answer(HTTPStatus.NO_CONTENT)
        body: Json = dict(node)
        return Answer(HTTPStatus.OK, {a: body[a] for a in attributes if a in body} if attributes else body)

    def _host_info(self) -> Json:
        extensions = {**dict.fromkeys(SUPPORTED, True), **dict.fromkeys(UNSUPPORTED, False), **PUSHED}
        # No OSC_IP: it is the address that this question was sent to, whatever that is from where the client stands.
        return {"NAME": NAME, "OSC_PORT": self._osc_port, "OSC_TRANSPORT": "UDP", "EXTENSIONS": extensions}


def address_space(table: Sequence[Row], live: LiveRanges) -> Node:
    """Return the tree of all addresses, those that are answered and those that are sent."""
    root: Node = {"FULL_PATH": "/", "ACCESS": NONE, "DESCRIPTION": NAME}
    for address, sources in reply_sources(table).items():
        _add_node(root, address).update(_reply_node(address, sources))
    for row in table:
        node = _add_node(root, row.address)
        # One address may be both: then it can be asked, and listened to.
        node.update(_command_node(row, live) | {"ACCESS": WRITE | node["ACCESS"]})
    return root


def _add_node(root: Node, address: str) -> Node:
    """Return the node of an address, made with the containers above it where it is not there yet."""
    node, path = root, ""
    for name in address.split("/")[1:]:
        path += f"/{name}"
        node = node.setdefault("CONTENTS", {}).setdefault(name, {"FULL_PATH": path, "ACCESS": NONE})
    return node


def _find(node: Node | None, path: str) -> Node | None:
    for name in path.strip("/").split("/") if path.strip("/") else ():
        node = node.get("CONTENTS", {}).get(name) if node else None
    return node


def _reply_node(address: str, sources: Sequence[str]) -> Node:
    node: Node = {"ACCESS": READ, "DESCRIPTION": f"sent in answer to {' '.join(sources)}"}
    if reply := REPLIES.get(address):
        node |= {"TYPE": reply.types, "DESCRIPTION": f"{reply.arguments}; {node['DESCRIPTION']}"}
    return node


def _command_node(row: Row, live: LiveRanges) -> Node:
    """Return TYPE and RANGE of the required arguments, with an overload for every optional argument more.

    The value of a setting counts as required, so that clients make a slider or a button of it.
    """
    arguments = row.arguments
    n_required = max(sum(not argument.optional for argument in arguments), int(row.is_setting))
    node = _typed(arguments[:n_required], live)
    node["DESCRIPTION"] = f"{row.help}; arguments: {row.notation}" if row.notation else row.help
    if n_required < len(arguments):
        node["OVERLOADS"] = [_typed(arguments[: n + 1], live) for n in range(n_required, len(arguments))]
    return node


def _typed(arguments: Sequence[Argument], live: LiveRanges) -> Node:
    # A command that needs nothing has no TYPE, as the proposal has it.
    node: Node = {"TYPE": "".join(argument.tag for argument in arguments)} if arguments else {}
    ranges = [argument.range_now(live) for argument in arguments]
    if any(ranges):
        node["RANGE"] = [span.as_json() if span else None for span in ranges]
    return node
