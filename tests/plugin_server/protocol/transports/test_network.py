"""Listed hosts and others; both are loopback addresses of this machine."""

import http.client
import ipaddress
import json
import socket
from collections.abc import Iterator

import ifaddr
import pytest
from PIL import Image
from websockets.sync.client import connect

from plugin_server.client import Client
from plugin_server.protocol.packets import decode_packet, encode_message
from plugin_server.protocol.transports.network import ELSEWHERE, addresses_towards
from plugin_server.settings import Settings
from tests.conftest import Running, running_daemon

OWN, LISTED, FOREIGN = "127.0.0.1", "127.0.0.3", "127.0.0.2"


@pytest.fixture(scope="module")
def lan(toys, tmp_path_factory) -> Iterator[Running]:
    try:
        socket.create_server((FOREIGN, 0)).close()
    except OSError:
        pytest.skip(f"this system has no {FOREIGN}")
    folder = tmp_path_factory.mktemp("clips")
    settings = Settings(
        osc_port=0, http_port=0, folder=folder, model="toy", device="cpu", threads=1, lan=True, allow=(f"{LISTED}/32",),
        advertise=False,
    )  # fmt: skip
    with running_daemon(settings, toys) as running:
        yield running


def refused(lan: Running) -> int:
    with Client(lan.port) as client:
        return client.ask("/network", reply="/network.reply")[5]


def exchange(port: int, host: str, data: bytes) -> bytes:
    """Return what comes back over TCP until the other side closes, or after one packet."""
    with socket.create_connection((OWN, port), 10, source_address=(host, 0)) as connection:
        try:
            connection.sendall(data)
            return connection.recv(65536)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("host", [OWN, LISTED])
def test_listed_hosts_are_answered(lan, host):
    before = refused(lan)
    with Client(lan.port, host) as client:
        assert client.ask("/version", reply="/version.reply")[0] == "clipsonic-live"
        assert list(client.generate("rain", 0.25))[-1].address == "/done"
    packet = encode_message("/version")
    answer = exchange(lan.port, host, len(packet).to_bytes(4, "big") + packet)
    assert decode_packet(answer[4:])[0].address == "/version.reply"
    connection = http.client.HTTPConnection(OWN, lan.daemon.network.web.port, 10, source_address=(host, 0))
    # A tablet knows this machine by its address on the network.
    connection.request("GET", "/?HOST_INFO", headers={"Host": "192.168.1.2:9461"})
    assert json.load(connection.getresponse())["OSC_PORT"] == lan.port
    connection.close()
    with connect(f"ws://{OWN}:{lan.daemon.network.web.port}/", proxy=None, source_address=(host, 0)) as websocket:
        websocket.send(packet)
        assert decode_packet(websocket.recv(timeout=10))[0].address == "/version.reply"
    assert refused(lan) == before


def test_others_are_ignored_and_counted(lan):
    before = refused(lan)
    with Client(lan.port, FOREIGN) as client:
        client.send("/generate", "rain", 0.25)
        with pytest.raises(TimeoutError):
            client.receive(0.5)
    packet = encode_message("/generate", "rain")
    assert exchange(lan.port, FOREIGN, len(packet).to_bytes(4, "big") + packet) == b""
    assert exchange(lan.daemon.network.web.port, FOREIGN, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == b""
    with Client(lan.port) as client:
        reply = client.ask("/network", reply="/network.reply")
    assert reply[3:] == (1, 1, before + 3)
    assert lan.daemon.network.access.refused == {FOREIGN: before + 3}
    assert lan.daemon.jobs.active() == []


@pytest.fixture(scope="module")
def tablet() -> str:
    """An address of this machine on its network: who sends from it is taken for another machine."""
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    outside = [ip for ip in found if not ip.startswith("127.")]
    if not outside:
        pytest.skip("this system is on no network")
    return outside[0]


@pytest.fixture(scope="module")
def wide(toys, tablet, tmp_path_factory) -> Iterator[Running]:
    """A daemon that also answers `tablet`."""
    folder = tmp_path_factory.mktemp("wide")
    settings = Settings(
        osc_port=0, http_port=0, folder=folder, model="toy", device="cpu", threads=1, lan=True, allow=(f"{tablet}/32",),
        advertise=False,
    )  # fmt: skip
    with running_daemon(settings, toys) as running:
        yield running


@pytest.fixture
def red(tmp_path) -> str:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


@pytest.mark.parametrize(
    "command", [("/generate",), ("/generate", "rain"), ("/bank/set", 0), ("/bank/set", 0, "rain"), ("/g{en,on}erate",)]
)
def test_files_of_this_machine_are_for_its_own_programs(wide, tablet, red, command):
    address, *before = command
    sentence = f"image: came from {tablet}, expected a program on the daemon's own machine"
    with Client(wide.port, tablet) as client:
        client.send(address, *before, "@image", red)
        message = client.receive(10)
        assert (message.address, message.arguments[1:3]) == ("/fail", ("bad_argument", sentence))
    packet = encode_message(address, *before, "@image", red)
    with socket.create_connection((tablet, wide.port), 10) as connection:
        connection.sendall(len(packet).to_bytes(4, "big") + packet)
        assert decode_packet(connection.recv(65536)[4:])[0].arguments[2] == sentence
    with connect(f"ws://{tablet}:{wide.daemon.network.web.port}/", proxy=None) as websocket:
        websocket.send(packet)
        assert decode_packet(websocket.recv(timeout=10))[0].arguments[2] == sentence
    assert wide.daemon.jobs.active() == []


def test_others_may_ask_for_words_and_own_programs_for_pictures(wide, tablet, red):
    with Client(wide.port, tablet) as client:
        assert list(client.generate("rain", 0.25))[-1].address == "/done"
    with Client(wide.port, OWN) as client:
        assert list(client.generate("", 0.25, image=red))[-1].address == "/done"


def test_a_name_may_be_anyone_s_also_on_the_network(lan):
    connection = http.client.HTTPConnection(OWN, lan.daemon.network.web.port, 10)
    connection.request("GET", "/?HOST_INFO", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 403
    connection.close()


def test_the_address_to_type_is_that_on_the_way_to_the_network(tablet):
    networks = [ipaddress.IPv4Network(f"{tablet}/24", strict=False), ipaddress.IPv4Network(f"{tablet}/32")]
    assert addresses_towards(networks) == [tablet]
    assert addresses_towards([ipaddress.IPv4Network("127.0.0.3/32")]) == addresses_towards([ELSEWHERE])
