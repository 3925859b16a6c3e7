"""Real zeroconf, browsed on the loopback interface. Other daemons may run here: ours is known by its port."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import ifaddr
import pytest
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from plugin_server import __version__
from plugin_server.protocol.access import AccessPolicy
from plugin_server.protocol.transports import zeroconf as advertise
from plugin_server.protocol.transports.zeroconf import OSC, QUERY, Advertiser, host_name
from plugin_server.settings import Settings
from tests.conftest import running_daemon
from tests.journeys.conftest import free_port

GROUP = "224.0.0.251"
QUESTION = b"\0\1\0\0\0\1\0\0\0\0\0\0" + b"\4_osc\4_udp\5local\0" + b"\0\x0c" + b"\x80\1"
"""For `_osc._udp.local.`, to be answered to the sender alone."""


class Seen(ServiceListener):
    def __init__(self) -> None:
        self.by_port: dict[tuple[str, int], ServiceInfo] = {}

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        if info := zc.get_service_info(type_, name):
            self.by_port[type_, info.port] = info

    update_service = add_service

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.by_port = {key: info for key, info in self.by_port.items() if info.name != name}


def own_addresses() -> list[str]:
    ips = {ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4}
    return sorted(ip for ip in ips if not ip.startswith("127."))


@pytest.fixture
def seen() -> Iterator[Seen]:
    try:
        zeroconf = Zeroconf(["127.0.0.1"], ip_version=IPVersion.V4Only)
    except OSError as error:
        pytest.skip(f"no multicast on the loopback interface: {error}")
    seen = Seen()
    ServiceBrowser(zeroconf, [OSC, QUERY], listener=seen)
    yield seen
    zeroconf.close()


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


async def advertised(
    body: Callable[[Advertiser], Awaitable[None]], osc_port: int, http_port: int, *, is_enabled: bool = True
) -> Advertiser:
    advertiser = Advertiser(AccessPolicy(), is_enabled=is_enabled)
    advertiser.start(osc_port, http_port)
    try:
        await until(lambda: advertiser.state != "starts")
        await body(advertiser)
    finally:
        await advertiser.stop()
    return advertiser


def test_both_ports_are_found_and_forgotten(seen):
    osc_port, http_port = free_port(), free_port()
    keys = {(OSC, osc_port), (QUERY, http_port)}

    async def check(advertiser: Advertiser) -> None:
        await until(lambda: keys <= set(seen.by_port))
        for kind, port in keys:
            info = seen.by_port[kind, port]
            assert info.name.startswith("Clipsonic Live")
            assert info.parsed_addresses() == ["127.0.0.1"]
            assert info.server == f"{host_name()}."
            assert info.decoded_properties == {"version": __version__}
        assert seen.by_port[OSC, osc_port].name == f"{advertiser.state}.{OSC}"

    async def body() -> None:
        await advertised(check, osc_port, http_port)
        await until(lambda: not keys & set(seen.by_port))

    asyncio.run(body())


@pytest.mark.usefixtures("seen")
def test_a_second_daemon_gets_a_number():
    async def second(first: Advertiser) -> None:
        async def compare(advertiser: Advertiser) -> None:
            assert advertiser.state.startswith("Clipsonic Live-") and advertiser.state != first.state

        await advertised(compare, free_port(), free_port())

    asyncio.run(advertised(second, free_port(), free_port()))


def test_the_network_gets_no_answer_from_a_daemon_that_keeps_to_this_machine():
    own = own_addresses()
    if not own:
        pytest.skip("this machine has no address on a network")
    address = socket.inet_aton(own[0])

    def answers(port: int) -> list[bytes]:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as responder,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            # The system's own responder receives from the network; on Linux all who share its port then do.
            responder.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + address)
            client.bind((own[0], 0))
            client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
            client.settimeout(1.5)
            client.sendto(QUESTION, (GROUP, 5353))
            client.sendto(QUESTION, (own[0], 5353))
            packets = []
            try:
                while True:
                    packets.append(client.recv(9000))
            except TimeoutError:
                # Other daemons of this machine may answer; the port tells them apart.
                return [packet for packet in packets if port.to_bytes(2, "big") in packet]

    async def ask(advertiser: Advertiser) -> None:
        assert advertiser.state.startswith("Clipsonic Live")
        assert await asyncio.to_thread(answers, port) == []

    port = free_port()
    asyncio.run(advertised(ask, port, free_port()))


def test_on_the_network_its_addresses_are_advertised():
    own = own_addresses()
    if not own:
        with pytest.raises(OSError, match="no address on a network"):
            advertise._addresses(lan=True)
    else:
        assert advertise._addresses(lan=True) == own


def test_nothing_is_advertised_when_it_is_off(seen):
    port = free_port()

    async def wait(advertiser: Advertiser) -> None:
        await asyncio.sleep(2)
        assert advertiser.state == "off" and (OSC, port) not in seen.by_port

    asyncio.run(advertised(wait, port, 0, is_enabled=False))


def test_zeroconf_that_fails_leaves_the_daemon_alone(toys, tmp_path, monkeypatch, caplog):
    def refuse(**_options: bool) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(advertise, "_open", refuse)
    settings = Settings(osc_port=0, http_port=0, folder=tmp_path, model="toy", device="cpu", threads=1)
    with running_daemon(settings, toys) as running, running.client() as client:
        while (reply := client.ask("/network", reply="/network.reply"))[2] == "starts":
            pass
        assert reply[2] == "failed: OSError('Network is unreachable')"
        assert list(client.generate("rain", 0.25))[-1].address == "/done"
    assert "zeroconf does not work" in caplog.text


@pytest.mark.parametrize("name", ["Studio PC", "MÜLLER.local", "x" * 80, "---", ""])
def test_the_machine_s_name_is_fit_for_dns(monkeypatch, name):
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    label, _, rest = host_name().partition(".")
    assert rest == "local" and label.isascii() and len(label) <= 63 and label[-1] != "-"
