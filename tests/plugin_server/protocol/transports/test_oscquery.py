"""The tree is made from the table, and replies have the types that it has."""

from collections.abc import Iterator

import pytest
from pythonosc.osc_message import OscMessage

from plugin_server.client import Client
from plugin_server.protocol.addresses import TABLE
from plugin_server.protocol.packets import Atom, address_of
from plugin_server.protocol.table import REPLIES, Argument, LiveRange, Range, Row, reply_sources
from plugin_server.protocol.transports.oscquery import REQUIRED, SUPPORTED, OscQuery, address_space

LIVE = {LiveRange.LENGTHS: Range(0.5, 30), LiveRange.MODELS: Range(choices=("mini", "toy"))}


def nodes(node: dict) -> Iterator[dict]:
    yield node
    for child in node.get("CONTENTS", {}).values():
        yield from nodes(child)


@pytest.fixture(scope="module")
def tree() -> dict[str, dict]:
    return {node["FULL_PATH"]: node for node in nodes(address_space(TABLE, LIVE))}


def test_every_address_is_in_the_tree(tree):
    for row in TABLE:
        assert tree[row.address]["ACCESS"] & 2 and row.help in tree[row.address]["DESCRIPTION"]
    for address in reply_sources(TABLE):
        assert tree[address]["ACCESS"] & 1
    methods = {path for path, node in tree.items() if node["ACCESS"]}
    assert methods == {row.address for row in TABLE} | set(reply_sources(TABLE))


def test_nodes_have_the_shape_of_the_proposal(tree):
    for path, node in tree.items():
        assert set(node) <= {*REQUIRED, *SUPPORTED}, path
        for signature in (node, *node.get("OVERLOADS", ())):
            assert "CONTENTS" not in signature or signature is node
            if "RANGE" in signature:
                assert len(signature["RANGE"]) == len(signature["TYPE"])
                assert all(part is None or set(part) <= {"MIN", "MAX", "VALS"} for part in signature["RANGE"])


def test_a_number_after_the_words_is_an_overload_with_the_model_s_range(tree):
    node = tree["/generate"]
    assert node["TYPE"] == "s"
    assert node["OVERLOADS"] == [{"TYPE": "sf", "RANGE": [None, {"MIN": 0.5, "MAX": 30}]}]


def test_choices_and_models_are_values(tree):
    assert tree["/notify"]["TYPE"] == "i" and tree["/notify"]["RANGE"] == [{"VALS": [0, 1]}]
    assert tree["/notify"]["OVERLOADS"][0] == {"TYPE": "ii", "RANGE": [{"VALS": [0, 1]}, {"MIN": 1, "MAX": 65535}]}
    assert tree["/model/load"]["RANGE"] == [{"VALS": ["mini", "toy"]}]


@pytest.mark.parametrize(
    ("arguments", "tags", "overloads"),
    [
        ((), None, []),
        ((Argument("clip"),), "s", []),
        ((Argument("clip"), Argument("words")), "ss", []),
        ((Argument("clip"), Argument("switch", "i", optional=True)), "s", ["si"]),
        ((Argument("how many", "i", optional=True), Argument("from", "f", optional=True)), None, ["i", "if"]),
    ],
)
def test_an_optional_argument_more_is_an_overload(arguments, tags, overloads):
    row = Row("/x", "help", arguments, (Argument("count", "i", optional=True),))
    node = address_space((row,), {})["CONTENTS"]["x"]
    assert node.get("TYPE") == tags
    assert [overload["TYPE"] for overload in node.get("OVERLOADS", [])] == overloads


def test_an_address_both_asked_and_sent_has_both_bits():
    assert address_space((Row("/x", "help", replies=("/x",)),), {})["CONTENTS"]["x"]["ACCESS"] == 3


@pytest.mark.parametrize(
    ("path", "attributes", "status", "body"),
    [
        ("/generate", ["TYPE"], 200, {"TYPE": "s"}),
        ("/generate/", ["TYPE", "ACCESS"], 200, {"TYPE": "s", "ACCESS": 2}),
        ("/model/list", ["TYPE"], 200, {}),
        ("/generate", ["VALUE"], 204, None),
        ("/generate", ["UNIT"], 204, None),
        ("/generate", ["type"], 400, None),
        ("/generate", ["TYPE", "COLOUR"], 400, None),
        ("/nowhere", [], 404, None),
        ("/generate/more", ["TYPE"], 404, None),
        ("/nowhere", ["COLOUR"], 404, None),
    ],
)
def test_statuses(path, attributes, status, body):
    answer = OscQuery(TABLE, 9460, lambda: LIVE).answer(path, attributes)
    assert (answer.status, answer.body) == (status, body)


def test_host_info_needs_no_path():
    query = OscQuery(TABLE, 9470)
    body = query.answer("/nowhere", ["HOST_INFO"]).body
    assert (body["OSC_PORT"], body["OSC_TRANSPORT"]) == (9470, "UDP")
    supported = {name for node in nodes(query.answer("/", []).body) for name in node} - set(REQUIRED)
    assert supported == {name for name, is_supported in body["EXTENSIONS"].items() if is_supported} - {"LISTEN"}


def test_replies_have_the_types_of_the_table(daemon):
    types_by_address: dict[str, set[str]] = {}

    class Spy(Client):
        def receive(self, _timeout_s: float = 5.0) -> Atom:
            packet = self._socket.recv(65536)
            types = packet[packet.index(b",") :].split(b"\0", 1)[0].decode()
            types_by_address.setdefault(address_of(packet), set()).add(types.removeprefix(","))
            return type("M", (), {"address": address_of(packet), "arguments": tuple(OscMessage(packet).params)})

    with Spy(daemon.port) as client:
        client._socket.settimeout(10)
        list(client.generate("rain", 0.25))
        for address in ("/status", "/version", "/network", "/nowhere"):
            client.send(address)
            client.receive()
        client.ask("/sync", reply="/synced")
        client.ask("/help", "/help", reply="/done")
        client.ask("/model/list", reply="/done")
        client.ask("/clip/list", 1, reply="/done")
        client.ask("/bank/list", reply="/done")
        client.ask("/bank/load", reply="/done")
        client.send("/meter", 1)
        while "/levels" not in types_by_address:
            client.receive()
        client.ask("/meter", 0, reply="/done")
    # Sound outputs are listed only where there are any.
    types_by_address.setdefault("/device", {REPLIES["/device"].types})
    assert set(REPLIES) <= set(types_by_address)
    assert {address: types_by_address[address] for address in REPLIES} == {a: {r.types} for a, r in REPLIES.items()}
